"""Records what a JAX model does while it trains: pure functions from trees, as transforms give them, to named rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from covdist.errors import DataError
from covdist.given import told

if TYPE_CHECKING:
    import jax

_COLLECTIONS = ("params", "intermediates")  # Flax's names at the root of a tree
_OUTPUT = ("__call__", "output")  # what Flax calls the output of a module
_WRAPPERS = ("value", "raw_value")  # a variable's array, which is no part of its name
_BIAS = re.compile(r"b|bias|beta", re.IGNORECASE)


def gradients(tree: Any) -> dict[str, jax.Array]:
    """Gradients of each layer's own parameters, as one row: a pure function, which may be part of a jitted step.

    Parameters
    ----------
    tree : pytree of arrays
        What ``jax.grad`` returns: Flax's ``{"params": {"Dense_0": {"kernel": ..., "bias": ...}}}``, an nnx state, an
        Equinox module, or mappings and lists of any depth.

    Returns
    -------
    dict of str to Array
        ``"Dense_0/gradient"`` (1, param): a node for each place in the tree that holds arrays, these one after the
        other by their names, biases last, each flat.

    Raises
    ------
    DataError
        The tree holds no array, or something else beside; or JAX is missing.
    """
    return _joined(tree, "gradient", lambda leaf: leaf.reshape(1, -1))


def sample_gradients(tree: Any) -> dict[str, jax.Array]:
    """Gradients of single samples, as ``jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))`` returns them.

    Parameters
    ----------
    tree : pytree of arrays
        As for :func:`gradients`, each with the samples on its first axis.

    Returns
    -------
    dict of str to Array
        ``"Dense_0/sample_gradient"`` (sample, param).

    Raises
    ------
    DataError
        The tree holds no array, an array without a first axis, or something else beside; or JAX is missing.
    """
    return _joined(tree, "sample_gradient", lambda leaf: leaf.reshape(len(leaf), math.prod(leaf.shape[1:])))


def activations(tree: Any) -> dict[str, jax.Array]:
    """Rows of the outputs of each layer, a row a position, of what Flax has captured or a model has sown.

    Parameters
    ----------
    tree : pytree of arrays
        Flax's ``model.apply(params, x, capture_intermediates=True, mutable=["intermediates"])[1]``, or any tree of
        arrays (..., unit), such as mappings that a forward function returns by itself.

    Returns
    -------
    dict of str to Array
        ``"Dense_0/activation"`` (sample, unit) of what ``__call__`` returns, ``"Dense_0/NAME"`` of what is sown under a
        name; (N, H, W, C) becomes (N·H·W, C). A module that is called several times has the rows of all calls.

    Raises
    ------
    DataError
        The tree holds no array, something else beside, or outputs of a module that differ in their units; or JAX is
        missing.
    """
    calls: dict[str, list[jax.Array]] = {}
    for path, leaf in _leaves(tree):
        parts = list(path or _OUTPUT[:1])
        while len(parts) > 1 and parts[-1].isdecimal():  # of a tuple of calls, or of several outputs
            parts.pop()
        node, last = parts[:-1], parts[-1]
        variable = "activation" if last in _OUTPUT else last
        calls.setdefault("/".join([*node, variable]), []).append(
            leaf.reshape(-1, leaf.shape[-1] if leaf.ndim > 1 else 1)
        )
    import jax.numpy as jnp

    for name, rows in calls.items():
        if len(units := {each.shape[1]: None for each in rows}) > 1:
            raise DataError(
                f"{name} has outputs of {' and '.join(map(str, units))} units, expected as many in all calls: keep one "
                "output, or sow each under a name of its own."
            )
    return {name: rows[0] if len(rows) == 1 else jnp.concatenate(rows) for name, rows in calls.items()}


def _joined(tree: Any, variable: str, rows: Callable[[Any], Any]) -> dict[str, jax.Array]:
    nodes: dict[tuple[str, ...], list[tuple[bool, jax.Array]]] = {}
    for path, leaf in _leaves(tree):
        if variable == "sample_gradient" and not leaf.ndim:
            raise DataError(f"{'/'.join(path)} is a single number, expected an axis of samples: map over them.")
        nodes.setdefault(path[:-1], []).append((bool(_BIAS.fullmatch(path[-1] if path else "")), rows(leaf)))
    import jax.numpy as jnp

    for node, found in nodes.items():
        if len(counts := {len(each): None for _, each in found}) > 1:
            raise DataError(
                f"{'/'.join(node) or 'the tree'} has gradients of {' and '.join(map(str, counts))} samples, expected "
                "as many in all: map over the same samples."
            )
    return {
        "/".join([*node, variable]): jnp.concatenate([each for _, each in sorted(found, key=lambda one: one[0])], 1)
        for node, found in nodes.items()
    }


def _leaves(tree: Any) -> Iterable[tuple[tuple[str, ...], Any]]:
    try:
        import jax
    except ImportError as error:
        raise DataError("recording from JAX needs jax: pip install 'covdist[jax]'.") from error
    try:
        leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    except (TypeError, ValueError) as error:  # keys that cannot be sorted
        said = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{type(tree).__name__} is no tree of JAX ({said}): name its parts by text.") from error
    if not leaves:
        raise DataError(f"{type(tree).__name__} holds no array, expected a tree of them, as jax.grad returns it.")
    for path, leaf in leaves:
        if not _is_array(leaf):
            raise DataError(
                f"{'/'.join(_names(path)) or 'the tree'} is {told(leaf)}, expected an array of numbers: leave it out, "
                "or pass what jax.grad returns."
            )
    return [(_names(path), leaf) for path, leaf in leaves]


def _is_array(leaf: Any) -> bool:
    import jax
    import numpy as np

    if not isinstance(leaf, jax.Array | np.ndarray | np.generic) or isinstance(leaf, np.ma.MaskedArray):
        return False
    return any(jax.dtypes.issubdtype(leaf.dtype, kind) for kind in (np.number, np.bool_))


def _names(path: Iterable[Any]) -> tuple[str, ...]:
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))).lstrip(".") for key in path]
    if len(parts) > 1 and parts[-1] in _WRAPPERS:
        parts.pop()
    return tuple(parts[1:] if parts and parts[0] in _COLLECTIONS else parts)

"""Names of dims: from the log, else by convention, made unique where sizes clash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Named = Sequence[str | None] | None


def convention(variable: str, ndim: int) -> tuple[str, ...]:
    """Return the dims of a variable whose log does not name them."""
    if variable == "gradient" and ndim in (2, 3):
        return ("step", "param") if ndim == 2 else ("step", "sample", "param")
    if ndim <= 2:
        return ("sample", "unit")[:ndim]
    return ("sample", *(f"unit_{axis}" for axis in range(ndim - 1)))


def choose(node: str, variable: str, shape: tuple[int, ...], named: Named, taken: Mapping[str, int]) -> list[str]:
    """Return one free name per axis.

    Parameters
    ----------
    node, variable : str
        The node's path and the variable's name.
    shape : tuple of int
        Its shape.
    named : sequence of (str or None), or None
        The log's names of the axes.
    taken : mapping
        Sizes of the dims that this node and its ancestors have already.
    """
    defaults = convention(variable, len(shape))
    if named is None and len(shape) == 1:
        defaults = (_along(variable, shape[0], taken),)
    preferred = [name or default for name, default in zip(named or defaults, defaults, strict=True)]
    chosen: list[str] = []
    for axis, (name, size) in enumerate(zip(preferred, shape, strict=True)):
        options = (
            name,
            f"{variable}_{name}",
            f"{variable}_{name}_{axis}",
            _qualified(node, variable, name, axis),
        )
        blocked = {*chosen, variable} if len(shape) > 1 else set()
        chosen.append(next(each for each in options if each not in blocked and taken.get(each, size) == size))
    return chosen


def _qualified(node: str, variable: str, name: str, axis: int) -> str:
    return "_".join([*node.split("/"), variable, name, str(axis)])


def _along(variable: str, size: int, taken: Mapping[str, int]) -> str:
    fitting = (name for name in (variable, "sample", "step") if taken.get(name) == size)
    return next(fitting, "sample")

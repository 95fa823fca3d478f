"""``kronfluence``: the factors of K-FAC and EK-FAC as kronfluence loads them, a folder of four safetensors files.

``activation_covariance`` and ``gradient_covariance`` hold for each module the sum of a aᵀ of its inputs and of g gᵀ of
the gradients of its outputs, ``num_activation_covariance_processed`` and ``num_gradient_covariance_processed`` how
many, int64 (1,). Inputs of a module with a bias have a last column of ones, and so a last row and column of the sum.
Here a module is a layer that has ``input`` or ``activation``, and ``gradient``: ``block3/attn/gradient`` is that of
``block3.attn``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from covdist.errors import DataError, ResultError, shown
from covdist.exports._imported import Imported, is_zero, mean_of
from covdist.exports._statistics import INPUTS, check_alone, count, finite, module_of, plain
from covdist.given import names
from covdist.results.moments import Moments

_FACTORS = {"activation": INPUTS, "gradient": ("gradient",)}
_INSTALL = "pip install 'covdist[exports]'"


def write_all(states: Mapping[str, Moments], path: Path, *, bias: str | Sequence[str] = ()) -> None:
    """Write the factors of all modules; ``bias`` names those with a bias, or has patterns of them, such as "*"."""
    numpy_files = _safetensors(path)
    patterns = _patterns(bias)
    tensors: dict[str, dict[str, np.ndarray]] = {
        name: {} for factor in _FACTORS for name in (f"{factor}_covariance", f"num_{factor}_covariance_processed")
    }
    for module, found in _modules(states).items():
        for factor, (node, m) in found.items():
            ones = factor == "activation" and _matches(module, patterns)
            try:
                check_alone(m, "kronfluence")
                sums = plain(m.second_moment(divide=False, append_one=ones), 2)
                rows = count(m, "kronfluence")
                tensors[f"{factor}_covariance"][module] = finite(sums, "sum of products", "kronfluence")
            except DataError as error:
                raise DataError(f"{node}: {error}") from error
            tensors[f"num_{factor}_covariance_processed"][module] = np.array([rows], np.int64)
    path.mkdir()
    for name, each in tensors.items():
        numpy_files.save_file(each, path / f"{name}.safetensors")


def _modules(states: Mapping[str, Moments]) -> dict[str, dict[str, tuple[str, Moments]]]:
    """Return by module the states of its inputs and of its gradients, with their paths."""
    found: dict[str, dict[str, tuple[str, Moments]]] = {}
    for node, m in states.items():
        module, variable = module_of(node)
        factor = next((each for each, names in _FACTORS.items() if variable in names), None)
        if factor is None or not module:
            raise DataError(
                f"{shown(node) or 'a state without a name'} is neither the inputs nor the gradients of a module, which "
                "are called such as fc1/input, or fc1/activation, and fc1/gradient: pass these, by those names"
            )
        if factor in found.setdefault(module, {}):
            raise DataError(f"{module} has {found[module][factor][0]} and {node}: pass the one that is its input")
        found[module][factor] = node, m
    for module, its in found.items():
        if missing := [each for each in _FACTORS if each not in its]:
            raise DataError(
                f"{module} has no {missing[0]}, where kronfluence needs both of each module: fold both variables, or "
                "leave the module out"
            )
    return found


def read(
    path: str | Path, *, bias: str | Sequence[str] = (), mean: Any = None, dim: str = "unit"
) -> dict[str, Moments]:
    """Return the moments of the inputs and gradients of all modules.

    The border of ones of those with a ``bias`` holds the mean; of others ``mean`` gives it.
    """
    patterns = _patterns(bias)
    found: dict[str, Moments] = {}
    for factor, (variable, *_) in _FACTORS.items():
        sums, counts = (_tensors(Path(path) / f"{name}.safetensors") for name in _names(factor))
        if sums.keys() != counts.keys():
            odd = sorted(sums.keys() ^ counts.keys())[0]
            raise DataError(f"{path} holds {shown(odd)} in one of {' and '.join(_names(factor))}: expected both")
        for module, matrix in sums.items():
            about = Imported(path, "kronfluence", dim, f"{module}/{variable}")
            ones = factor == "activation" and _matches(module, patterns)
            found[about.node] = _moments(about, matrix, about.count(counts[module]), ones, mean)
    return found


def _moments(about: Imported, matrix: np.ndarray, rows: int, ones: bool, mean: Any) -> Moments:
    what = f"the sum of {'activations' if about.node.endswith('input') else 'gradients'}"
    if not ones:
        given = mean_of(mean, about.node, len(np.atleast_1d(matrix)))
        return about.uncentred(rows, given, matrix, what, is_zero(mean))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise DataError(f"{about.place}: {what} has the shape {matrix.shape}, where a square matrix is expected")
    corner = float(matrix[-1, -1])
    if not np.isclose(corner, rows, rtol=1e-3):
        raise DataError(
            f"{about.place}: {what} has {corner:g} in its last corner, where a module with a bias has the number of "
            f"rows, {rows}: leave it out of bias="
        )
    return about.uncentred(rows, matrix[:-1, -1].astype(np.float64) / rows, matrix[:-1, :-1], what)


def _names(factor: str) -> tuple[str, str]:
    return f"{factor}_covariance", f"num_{factor}_covariance_processed"


def _patterns(bias: str | Sequence[str]) -> Sequence[str]:
    return names("bias", bias)


def _matches(module: str, patterns: Sequence[str]) -> bool:
    return any(module == pattern or fnmatchcase(module, pattern) for pattern in patterns)


def _safetensors(path: Path) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise DataError(f"kronfluence's files need the package safetensors ({error}): {_INSTALL}") from error
    return safetensors.numpy


def _tensors(path: Path) -> dict[str, np.ndarray]:
    numpy_files = _safetensors(path)
    with suppress(ImportError):
        import ml_dtypes  # type: ignore[import-not-found, unused-ignore]  # noqa: F401  NumPy knows bfloat16 by it
    if not path.is_file():
        raise ResultError(f"{path} does not exist: pass a folder of kronfluence's factors")
    try:
        found = dict(numpy_files.load_file(path))
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} holds tensors of a type that NumPy lacks ({error}): install ml_dtypes, pip install "
            "'covdist[dtypes]', or save them as float32"
        ) from error
    except Exception as error:  # what safetensors raises is neither public nor one class
        raise DataError(f"{path} is not a readable safetensors file ({shown(str(error))}): copy it again") from error
    for name, each in found.items():
        if each.dtype.kind == "c":
            raise DataError(f"{path} holds {shown(name)} as {each.dtype}, expected real numbers: pass a file of them")
    return found

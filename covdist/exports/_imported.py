"""From a count, a mean and a matrix that another tool kept to moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.exports._arrays import array, sources
from covdist.given import text, told
from covdist.numerics.columns import NO_EXPONENT, quantised_exponent
from covdist.results.labels import Axis
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.state.base import rebuilt
from covdist.state.scatter import Scatter

_UNKNOWN = ("zeros", "subnormals", "nans", "infs")  # which values were seen, no such file says


@dataclass(frozen=True)
class Imported:
    """Where statistics come from, and what their columns are called."""

    path: str | Path
    format: str
    dim: str = "unit"
    node: str = ""  # of several states in a file

    def __post_init__(self) -> None:
        text("dim", self.dim)

    @property
    def place(self) -> str:
        """The file, and what in it, for messages."""
        return f"{self.node} in {self.path}" if self.node else str(self.path)

    def count(self, given: Any, least: int = 1) -> int:
        """Return a number of rows that a user or a file gave; DataError where it is none."""
        try:
            values = np.asarray(given)
        except (TypeError, ValueError):  # of lists of several lengths, of a Dataset
            values = np.empty(0)
        counts = values.size == 1 and values.dtype.kind in "iuf" and least <= values.item() < 2**63
        if not counts or values.item() != np.rint(values.item()):
            found = " ".join(told(values.item() if values.size == 1 else given).split())
            raise DataError(f"{self.place}: {found} is not a number of rows: expected a whole number from {least} on")
        return int(values.item())

    def centred(self, count: int, mean: np.ndarray, matrix: np.ndarray, divisor: float, what: str) -> Moments:
        """Return the moments of rows of which the covariance is known, or with the divisor 1 the centred sums."""
        return self._moments(count, mean, self._checked(matrix, what), divisor, matrix.dtype)

    def uncentred(
        self, count: int, mean: np.ndarray | None, sums: np.ndarray, what: str, zero: bool = False
    ) -> Moments:
        """Return the moments of rows of which the sum of x xᵀ is known; ``zero`` says that the mean is taken as 0."""
        products = self._checked(sums, what)
        if mean is None:
            raise DataError(
                f"{self.place} holds the sum of x xᵀ and no mean: pass mean=, a vector (--mean FILE.npy), or mean=0, "
                "with which second moments of it and of its sums with other rows are right, and covariances are about 0"
            )
        self._vector(mean, len(products))
        with np.errstate(over="ignore"):  # of a mean that cannot be theirs
            scatter = products - count * mean[:, None] * mean
        squares, own = np.diagonal(scatter).copy(), np.diagonal(products)
        if (bad := np.flatnonzero(squares < -_tolerance(sums.dtype) * own)).size:
            raise DataError(
                f"{self.place}: the mean square of column {bad[0]} is less than the square of its mean: the mean is "
                "not that of these rows"
            )
        # What rounding left of a constant column may be negative, and what of two nearly dependent ones too large.
        roots = np.sqrt(np.maximum(squares, 0.0))
        bound = roots[:, None] * roots
        scatter = np.clip(scatter, -bound, bound)
        np.fill_diagonal(scatter, np.maximum(squares, 0.0))
        return self._moments(count, mean, scatter, 1.0, sums.dtype, {"mean": "taken as 0"} if zero else {})

    def _vector(self, mean: np.ndarray, width: int) -> None:
        if mean.shape != (width,):
            raise DataError(
                f"{self.place}: the mean has the shape {mean.shape}, where the matrix has {width} columns: expected "
                f"({width},)"
            )
        if not np.isfinite(mean).all():
            column = int(np.flatnonzero(~np.isfinite(mean))[0])
            raise DataError(f"{self.place}: the mean of column {column} is {mean[column]}: expected finite numbers")

    def _checked(self, matrix: np.ndarray, what: str) -> np.ndarray:
        """Return a matrix as float64, symmetric to the last bit; DataError where it is no covariance."""
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise DataError(f"{self.place}: {what} has the shape {matrix.shape}, where a square matrix is expected")
        values = matrix.astype(np.float64)
        self._refuse(~np.isfinite(values), values, what, "finite numbers are expected")
        own = np.diagonal(values)
        self._refuse(np.diag(own < 0), values, what, "a sum of squares is expected")
        bound = np.sqrt(own)[:, None] * np.sqrt(own)
        slack = _tolerance(matrix.dtype) * bound
        self._refuse(np.abs(values - values.T) > slack, values, what, "a symmetric matrix is expected")
        self._refuse(np.abs(values) > bound + slack, values, what, "no more than the diagonal allows is expected")
        return values / 2 + values.T / 2

    def _refuse(self, bad: np.ndarray, values: np.ndarray, what: str, expected: str) -> None:
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{self.place}: {what} is {values[row, column]:g} at ({row}, {column}), where {expected}: pass a "
                f"{self.format} file of real data"
            )

    def _moments(
        self,
        count: int,
        mean: np.ndarray,
        matrix: np.ndarray,
        divisor: float,
        dtype: np.dtype,
        more: Mapping[str, object] = {},
    ) -> Moments:
        width = len(matrix)
        self._vector(mean, width)
        exponent = quantised_exponent(np.sqrt(np.diagonal(matrix)))
        exponent[exponent == NO_EXPONENT] = 0
        scatter = np.ldexp(np.ldexp(matrix, -exponent[:, None]), -exponent) * divisor
        zeros = np.zeros(width)
        arrays: dict[str, Any] = {
            **{"count": count, "skipped": 0, "weight": count, "weight2": count},
            **{"mean": mean.astype(np.float64), "mean_low": zeros, "exponent": exponent},
            **{"squares": np.diagonal(scatter), "scatter": scatter, **dict.fromkeys(_UNKNOWN, zeros)},
        }
        provenance = {
            "rows": count,
            "source": str(self.path),
            "dtype": dtype.name,
            "precision": f"{dtype.name} in the {self.format} file",
            "kernel": f"imported from {self.format}",
            **more,
        }
        layout = Layout(Scatter, (Axis(self.dim, width),), None, provenance)
        return Moments(rebuilt(Scatter, layout.widths, arrays), layout)


def _tolerance(dtype: np.dtype) -> float:
    """Return by how much sums in a type may be off, as a share."""
    if dtype.kind == "f":
        return float(np.sqrt(np.finfo(dtype).eps))
    return 0.1 if dtype.kind == "V" else 1e-8  # bfloat16; integers


def mean_of(given: Any, node: str, width: int) -> np.ndarray | None:
    """Return the mean that a user gave: 0, a vector, a ``.npy`` file, or by node a mapping or ``.npz`` file of them."""
    if isinstance(given, str | Path):
        found = sources(given, ".npy")
        if Path(given).is_file() and Path(given).suffix == ".npy":
            given = array(next(iter(found.values())))
        else:
            given = {name: array(one) for name, one in found.items()}
    if isinstance(given, Mapping):
        given = given.get(node)
    if given is None:
        return None
    try:
        values = np.asarray(given)
    except (TypeError, ValueError):  # of lists of several lengths
        values = np.empty(0, object)
    if values.dtype.kind not in "biuf":
        raise DataError(f"mean={told(given)} is not a vector of numbers: pass 0, a vector, or a .npy file of it")
    return np.zeros(width) if is_zero(given) else values.astype(np.float64)


def is_zero(given: Any) -> bool:
    """Return whether a user says that the mean is to be taken as 0."""
    return isinstance(given, int | float) and given == 0

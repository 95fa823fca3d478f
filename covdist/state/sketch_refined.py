"""A second pass for a sketch: the covariance applied to the directions that the first pass found.

That is one step of block power iteration; the same Nyström approximation is far closer from there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.errors import MergeError
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import add_product, single_thread
from covdist.numerics.eigen import Spectrum
from covdist.numerics.filled_block import Block, rows_of
from covdist.numerics.nystrom import approximate, spectrum_of_images
from covdist.state.sketch import Sketch, images

_LEAST_ROWS = 64


class Basis(NamedTuple):
    """Passed from the first pass to the second: directions, and the shift and scale of all rows."""

    directions: np.ndarray  # (columns, m), orthonormal
    mean: np.ndarray
    mean_low: np.ndarray
    exponent: int

    @classmethod
    def of(cls, sketch: Sketch) -> Basis:
        """Return an orthonormal basis of what the sketch spans."""
        with single_thread():
            given = images(sketch)
            basis = approximate(given.directions, given.image).basis
        return cls(basis, sketch.columns.mean, sketch.columns.mean_low, given.exponent)


class Applied(NamedTuple):
    """Sum over the rows of (x - mean)(x - mean)ᵀ Q, times ``4 ** -exponent`` of the basis Q."""

    image: np.ndarray  # float64 (columns, m)

    @classmethod
    def empty(cls, width: int, directions: int) -> Applied:
        return cls(np.zeros((width, directions)))

    def merge(self, other: Applied) -> Applied:
        if self.image.shape != other.image.shape:
            raise MergeError(f"cannot merge images of shapes {self.image.shape} and {other.image.shape}")
        return Applied(self.image + other.image)

    def spectrum(self, sketch: Sketch, basis: Basis, k: int) -> Spectrum:
        """Return the k leading eigenpairs; the first pass's probes judge them."""
        with single_thread():
            image = self.image / sketch.columns.weight
            return spectrum_of_images(images(sketch)._replace(directions=basis.directions, image=image), k)


class AppliedAccumulator:
    """Folds rows that the first pass has seen; mutable, lives inside one task."""

    least_rows = _LEAST_ROWS

    def __init__(self, basis: Basis, options: Options = Options()):
        self._basis, self._policy, self._inf = basis, options.missing, options.inf
        self._image = np.zeros(basis.directions.shape)

    def add(self, block: Block) -> None:
        rows = rows_of(block)
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(rows), _LEAST_ROWS):
                self._fold(rows[start : start + _LEAST_ROWS])

    def _fold(self, rows: np.ndarray) -> None:
        directions, mean, mean_low, exponent = self._basis
        deviations = rows.astype(np.float64)
        keep = None if np.isfinite(deviations.sum()) else self._policy([deviations], self._inf)
        if keep is not None:
            deviations = deviations[keep]
        deviations -= mean
        deviations -= mean_low
        if exponent:
            np.ldexp(deviations, -exponent, out=deviations)
        add_product(deviations, deviations @ directions, self._image)

    def state(self) -> Applied:
        return Applied(self._image.copy())

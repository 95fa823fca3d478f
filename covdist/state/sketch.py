"""``Sketch``: a covariance matrix applied to a few random directions, in one pass and without the matrix.

The image C Ω of a tall random Ω is linear in C, so images of parts of the rows add up (Tropp, Yurtsever, Udell and
Cevher 2017); ``covdist.numerics.nystrom`` reads the leading eigenpairs off it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from covdist.errors import MergeError
from covdist.numerics.accumulator import Options, RowsAccumulator
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns, combine
from covdist.numerics.eigen import Spectrum, spectrum_of, unknown
from covdist.numerics.filled_block import Block, rows_of
from covdist.numerics.nystrom import PROBES, Images, approximate, spectrum_of_images
from covdist.numerics.products import add_product
from covdist.numerics.segments import Segments
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import fold_whole

LEAST_ROWS = 64  # as many as there are directions, or reading and writing the image costs more than the rows
_BLOCK = 4096  # columns whose random numbers are drawn together


class Directions(NamedTuple):
    """The random Ω, Gaussian, by what makes it: ``amount`` to sketch with, and the probes that judge it."""

    amount: int = 50
    seed: int = 0

    def total(self, width: int) -> int:
        return width if self.complete(width) else self.amount + PROBES

    def complete(self, width: int) -> bool:
        """Whether Ω is the identity, because there are no more columns than directions, so the sketch is exact."""
        return width <= self.amount + PROBES

    def matrix(self, width: int) -> np.ndarray:
        """Return Ω, shape (width, total); rows of it depend on their column's number alone."""
        if self.complete(width):
            return np.eye(width)
        out = np.empty((width, self.total(width)))
        for start in range(0, width, _BLOCK):
            block = out[start : start + _BLOCK]
            rng = np.random.Generator(np.random.SFC64([self.seed, start]))
            block[...] = rng.standard_normal((_BLOCK, out.shape[1]))[: len(block)]
        return out


class Sketch(NamedTuple):
    """Sum over the rows of (x - mean)(x - mean)ᵀ Ω; row i times 2**-(exponent[i] + the largest exponent)."""

    columns: Columns
    image: np.ndarray  # float64 (columns, directions)
    directions: Directions

    @classmethod
    def empty(cls, width: int, directions: Directions = Directions()) -> Sketch:
        return cls(Columns.empty(width), np.zeros((width, directions.total(width))), directions)

    @classmethod
    def accumulator(
        cls, width: int, options: Options = Options(), directions: Directions = Directions()
    ) -> RowsAccumulator:
        segments = Segments([width], _Image(width, directions), partial(cls.empty, width, directions))
        return fold_whole(segments, [width], LEAST_ROWS, options)

    def merge(self, other: Sketch) -> Sketch:
        columns, link = combine(self.columns, other.columns)
        if self.directions != other.directions:
            raise MergeError(f"cannot merge sketches of other directions: {self.directions} and {other.directions}")
        if link is None:
            return self._replace(columns=columns, image=(other if self.columns.weight == 0 else self).image)
        top = columns.exponent.max()
        merged = rescaled(self.image, link.shift_a + (self.columns.exponent.max() - top))
        merged = merged + rescaled(other.image, link.shift_b + (other.columns.exponent.max() - top))
        with np.errstate(invalid="ignore"):  # infinity under missing="propagate"
            projected = link.delta @ rescaled(self.directions.matrix(columns.width), columns.exponent - top)
        add_product(link.delta[None], projected[None], merged, link.factor)
        return self._replace(columns=columns, image=merged)


def rescaled(rows: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return row i times ``2 ** shift[i]``."""
    return np.ldexp(rows, shift[:, None]) if shift.any() else rows


class _Image:
    """Sums of (deviations)ᵀ (deviations Ω) within a segment."""

    def __init__(self, width: int, directions: Directions):
        self._width, self._directions = width, directions
        self._drawn: np.ndarray | None = None
        self._clear()

    def _clear(self) -> None:
        self._scaled: np.ndarray | None = None
        self._image = np.zeros((self._width, self._directions.total(self._width)))

    def _matrix(self, exponent: np.ndarray) -> np.ndarray:
        """Return Ω in the segment's scale, which belongs on both sides of the product; the largest is kept at 1."""
        if self._drawn is None:  # at the first row, which a group may never see
            self._drawn = self._directions.matrix(self._width)
        if self._scaled is None:
            self._scaled = rescaled(self._drawn, exponent - exponent.max())
        return self._scaled

    def add(self, sides: Sequence[Deviations]) -> None:
        rows = sides[0].rows
        add_product(rows, rows @ self._matrix(sides[0].exponent), self._image)

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Sketch:
        x, image = shifted[0], self._image
        add_product(x.sums[None], (x.sums @ self._matrix(x.exponent))[None], image, -1 / x.weight)
        self._clear()
        return Sketch(columns[0], image, self._directions)


def spectrum_of_sketch(sketch: Sketch, k: int) -> Spectrum:
    """Return the k leading eigenpairs, k no more than the sketch has directions or columns."""
    width, rows = sketch.columns.width, sketch.columns.rows
    if sketch.columns.weight == 0 or not np.isfinite(sketch.columns.squares).all():
        return unknown(width, k, rows)
    with single_thread():
        if sketch.directions.complete(width):
            image, unit = _in_one_unit(sketch)
            return spectrum_of((image + image.T) / 2, k, rows=rows, exponent=unit)
        return spectrum_of_images(images(sketch), k)


def images(sketch: Sketch) -> Images:
    """Bring a sketch to one unit, and recall its directions."""
    columns, amount = sketch.columns, sketch.directions.amount
    image, unit = _in_one_unit(sketch)
    directions = sketch.directions.matrix(columns.width)
    parts = directions[:, :amount], image[:, :amount], directions[:, amount:], image[:, amount:]
    return Images(*parts, total=_total(columns, unit), rows=columns.rows, exponent=unit)


def _in_one_unit(sketch: Sketch) -> tuple[np.ndarray, int]:
    """Return C Ω, and the exponent of a unit in which the total variance is near 1, so that no power of it is lost."""
    columns, varied = sketch.columns, sketch.columns.squares > 0
    unit = int(columns.exponent[varied].max()) if varied.any() else 0
    unit += int(np.frexp(_total(columns, unit))[1]) // 2
    shift = columns.exponent + (columns.exponent.max() - 2 * unit)
    return rescaled(sketch.image, shift) / columns.weight, unit


def _total(columns: Columns, unit: int) -> float:
    return float(np.ldexp(columns.squares, 2 * (columns.exponent - unit)).sum() / columns.weight)


# ---- a second pass: one step of block power iteration, from which the same Nyström approximation is far closer


class Basis(NamedTuple):
    """What the first pass found: directions for the second one, and the shift and scale of all rows."""

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

    least_rows = LEAST_ROWS

    def __init__(self, basis: Basis, options: Options = Options()):
        self._basis, self._policy, self._inf = basis, options.missing, options.inf
        self._image = np.zeros(basis.directions.shape)

    def add(self, block: Block) -> None:
        directions, mean, mean_low, exponent = self._basis
        rows = rows_of(block)
        with single_thread(), np.errstate(over="ignore", invalid="ignore"):
            mean, mean_low = (np.ldexp(each, -max(exponent, 0)) for each in (mean, mean_low))
            for start in range(0, len(rows), LEAST_ROWS):
                deviations = rows[start : start + LEAST_ROWS].astype(np.float64)
                keep = None if np.isfinite(deviations.sum()) else self._policy([deviations], self._inf)
                if keep is not None:
                    deviations = deviations[keep]
                if exponent > 0:  # scaled first, as differences of the largest numbers leave float64's range
                    np.ldexp(deviations, -exponent, out=deviations)
                deviations -= mean
                deviations -= mean_low
                if exponent < 0:
                    np.ldexp(deviations, -exponent, out=deviations)
                add_product(deviations, deviations @ directions, self._image)

    def state(self) -> Applied:
        return Applied(self._image.copy())

"""Every kind of state in ``covdist.state``, found by walking the package, behind one face for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import Columns
from covdist.numerics.nonfinite import drop, propagate, refuse
from covdist.state.dependence.fourier import Fourier
from covdist.state.dependence.sampled import Sampled
from covdist.state.few_rows import Folding
from covdist.state.grouped import Grouped
from covdist.state.named import state_types
from covdist.state.projected import Projected
from covdist.state.series.lagged import Lagged, LaggedPairs
from covdist.state.series.serial import Serial, SerialSums
from covdist.state.together import Combined, Together

from .oracle import BOUND, Exact, known, power
from .strategies import Rows


@dataclass(frozen=True)
class Kind:
    """A state type; perhaps one such state per group."""

    cls: Any
    sides: int
    grouped: bool = False
    few: int = 0  # groups of fewer rows keep them

    def __str__(self) -> str:
        name = getattr(self.cls, "__name__", str(self.cls))
        return f"Grouped[{name}{f', {self.few} rows' if self.few else ''}]" if self.grouped else name

    @property
    def paired(self) -> bool:
        """Whether both sides have as many columns: here the first ones of both, as many as there are."""
        return getattr(self.cls, "PAIRED", False)

    def widths(self, widths: Sequence[int]) -> list[int]:
        return [min(widths)] * 2 if self.paired else list(widths[: self.sides])

    def blocks(self, rows: Rows) -> list[np.ndarray]:
        return [block[:, :size] for block, size in zip(rows.blocks, self.widths(rows.widths), strict=False)]

    def empty(self, widths: Sequence[int]):
        inner = self.cls.empty(*self.widths(widths))
        return Grouped(inner, {}) if self.grouped else inner

    def accumulator(self, widths: Sequence[int], options: Options = Options()):
        if self.few:
            return Grouped.accumulator(Folding(self.cls, tuple(self.widths(widths)), options, self.few), 1 << 12)
        make = partial(self.cls.accumulator, *self.widths(widths), options=options)
        return Grouped.accumulator(make) if self.grouped else make()

    def fold(self, *pieces: Rows, options: Options = Options()):
        """Return the state of all pieces, each added as one block."""
        accumulator = self.accumulator(pieces[0].widths, options)
        with single_thread():  # one limit for all pieces; one for each takes as long as the rest
            for piece in pieces:
                weights = {"frequency": piece.frequency, "reliability": piece.reliability}
                weights = {} if self.cls.ordered else weights
                by = {"by": piece.by} if self.grouped else {}
                accumulator.add(*self.blocks(piece), **by, **weights)
        return accumulator.state()


def _discover() -> Iterator[Kind]:
    for name, cls in state_types().items():
        for kind in EXAMPLES.get(name) or [cls() if is_dataclass(cls) else cls]:
            yield Kind(kind, kind.sides)


# Of types with parameters; by default those of the defaults, where each parameter has one.
EXAMPLES = {
    "together": [Together(("full", "variances"))],
    "fourier": [Fourier(features=4)],
    "lagged": [Lagged(lag) for lag in (0, 1, 3)],
    "projected": [Projected(directions=3)],
    "sampled": [Sampled(rows=5)],
    "serial": [Serial(lags) for lags in (1, 4)],
}
EVERY = sorted(_discover(), key=str)
PLAIN = [kind for kind in EVERY if not kind.cls.ordered]
ORDERED = [kind for kind in EVERY if kind.cls.ordered]
GROUPED = [replace(kind, grouped=True, few=few) for few in (0, 4) for kind in PLAIN]
KINDS = [*PLAIN, *GROUPED]


POLICIES = {"raise": refuse, "drop": drop, "propagate": propagate}


def arrays(state: object) -> Iterator[np.ndarray]:
    """Yield everything a state holds, numbers too, in a fixed order."""
    if isinstance(state, Mapping):
        state = [np.array(list(state)), *state.values()]
    if isinstance(state, tuple | list):
        for part in state:
            yield from arrays(part)
    else:
        yield np.asarray(state)


def bits(state: object) -> list[tuple[str, tuple[int, ...], bytes]]:
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays(state)]


def frozen(state):
    """Make every array of a state read-only."""
    for array in arrays(state):
        array.flags.writeable = False
    return state


def assert_accurate(state, rows: Rows) -> None:
    """Hold a state against the exact moments of ``rows``, within the numerics contract."""
    if isinstance(state, Grouped):
        assert list(state) == sorted({code for code in rows.by.tolist() if code >= 0})
        for code, inner in state.items():
            assert_accurate(inner, rows.take(rows.by == code))
        return
    if isinstance(state, LaggedPairs):
        lag = len(state.head)
        first, last = slice(max(0, len(rows) - lag)), slice(lag, None)
        pairs = Rows((rows.blocks[0][first], rows.blocks[0][last]), rows.by[first])
        assert_accurate(state.pairs, pairs)
        return
    if isinstance(state, Combined):
        for part in state.parts:
            assert_accurate(part, rows)
        return
    if isinstance(state, SerialSums):
        rows = Rows(rows.blocks, rows.by)  # weights have no part in it
        _check_lags(state, rows)
        state = (state.columns,)
    sides = [part for part in state if isinstance(part, Columns)]
    truth = known(*rows.blocks[: len(sides)], weights=rows.weights)
    for side, columns in enumerate(sides):
        _check_columns(columns, truth, side, len(rows))
    for left, i, right, j, scaled in _entries(state) if truth.weight else ():
        scale = power(sides[left].exponent[i] + sides[right].exponent[j])
        error = Fraction(scaled) * scale / Fraction(sides[left].weight) - truth.cov(left, i, right, j)
        allowed = truth.allowed2(left, i, right, j)
        assert error**2 <= allowed, f"cov of {left}, {i} with {right}, {j} is off by {float(error)}"


def _check_lags(state: SerialSums, rows: Rows) -> None:
    truth = known(rows.blocks[0])
    for lag, products in enumerate(state.products, 1):
        assert state.pairs[lag - 1] == max(0, len(rows) - lag)
        for i, scaled in enumerate(products if len(rows) else ()):
            mean, column = truth.mean(0, i), [Fraction(value.item()) for value in rows.blocks[0][:, i]]
            expected = sum((a - mean) * (b - mean) for a, b in zip(column, column[lag:], strict=False))
            error = (Fraction(scaled) * power(2 * state.columns.exponent[i]) - expected) / len(rows)
            assert error**2 <= truth.allowed2(0, i, 0, i), f"lag {lag} of {i} is off by {float(error)}"


def _check_columns(columns: Columns, truth: Exact, side: int, count: int) -> None:
    assert columns.rows == count
    weight = Fraction(columns.weight) * power(columns.weight_unit)
    assert abs(weight - truth.weight) <= BOUND * truth.weight
    for i in range(columns.width if truth.weight else 0):
        error = Fraction(columns.mean[i]) + Fraction(columns.mean_low[i]) - truth.mean(side, i)
        assert error**2 <= BOUND**2 * truth.spread2(side, i), f"mean {side}, {i} is off by {float(error)}"


def _entries(state) -> Iterator[tuple[int, int, int, int, float]]:
    """Yield (side, column, side, column, scaled scatter) for each product that a state holds."""
    sides = [part for part in state if isinstance(part, Columns)]
    for side, columns in enumerate(sides):
        yield from ((side, i, side, i, square) for i, square in enumerate(columns.squares))
    for side, name in enumerate(("triangle", "triangle_y")):
        if hasattr(state, name):
            full = triangle.unpack(getattr(state, name), sides[side].width)
            yield from ((side, i, side, j, full[i, j]) for i, j in np.ndindex(full.shape))
    if hasattr(state, "pairs"):
        for i, j in np.ndindex(state.pairs.scatter.shape):
            yield 0, i, len(sides) - 1, j, state.pairs.scatter[i, j]
            yield 0, i, 0, i, state.half.squares[i, j]
    if hasattr(state, "products"):
        yield from ((0, i, 1, i, scaled) for i, scaled in enumerate(state.products))
    if hasattr(state, "rectangle"):
        yield from ((0, i, 1, j, state.rectangle[i, j]) for i, j in np.ndindex(state.rectangle.shape))

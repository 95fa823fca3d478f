"""``Serial``: how each column goes with itself some rows later, for all lags up to a last one, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError, NonFiniteError
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Options
from covdist.numerics.columns import Columns, combine
from covdist.numerics.filled_block import Block, rows_of
from covdist.numerics.nonfinite import all_finite
from covdist.numerics.shifted_columns import beyond_float64, high_part, low_part
from covdist.numerics.weights import Vector
from covdist.state.base import ALL_ROWS, Field, Fields, column_fields
from covdist.state.variances import LEAST_ROWS, Variances

_TOGETHER = 1024  # rows whose products are summed about their own mean


@dataclass(frozen=True)
class Serial:
    """The type of states of single columns at lags 1, 2, ... ``lags``.

    Rows are taken in their order; merging joins the last rows of the first state with the first rows of the second.
    """

    lags: int = 32
    name: ClassVar[str] = "serial"
    sides: ClassVar[int] = 1
    ordered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.lags, int | np.integer) or not 1 <= self.lags < 1 << 31:
            raise DataError(f"lags={self.lags!r} is not a number of rows: pass a whole number, 1 or more, below 2^31")

    @property
    def FIELDS(self) -> Fields:
        """Those of the columns, sums for each lag, and the rows at both ends."""
        lag, edge = ("lag", self.lags), ("edge_row", self.lags)
        return {
            **column_fields(),
            "products": Field("products", (0,), leading=lag),
            "sums": Field("sums", (0,), leading=lag),
            "pairs": Field("pairs", (), np.int64, leading=lag, least=0),
            "rows": Field("rows", (), np.int64, **ALL_ROWS),
            **{f"{end}{part}": Field(f"{end}.rows{part}", (0,), leading=edge, default=0 if part else None)
               for end in ("head", "tail") for part in ("", "_low")},
            **{f"{end}_kept": Field(f"{end}.kept", (), np.int64, leading=edge) for end in ("head", "tail")},
        }  # fmt: skip

    def empty(self, width: int) -> SerialSums:
        zeros, edge = np.zeros((self.lags, width)), End.empty(self.lags, width)
        return SerialSums(Columns.empty(width), zeros, zeros, np.zeros(self.lags, np.int64), 0, edge, edge)

    def accumulator(self, width: int, options: Options = Options()) -> SerialAccumulator:
        return SerialAccumulator(self, width, options)

    def cost(self, width: int) -> Cost:
        state_bytes = (COLUMN_BYTES + 48 * self.lags) * width
        return Cost(state_bytes, (COLUMN_FLOPS + 8 * self.lags) * width, LEAST_ROWS, 3 * width, 2 * state_bytes)


class End(NamedTuple):
    """Rows at one end of a state, in front; behind them zeros."""

    rows: np.ndarray  # float64 (lags, columns)
    rows_low: np.ndarray  # what is to be added to them
    kept: np.ndarray  # int64 (lags,): 0 where the policy for missing values leaves the row out

    @classmethod
    def empty(cls, lags: int, width: int) -> End:
        return cls(np.zeros((lags, width)), np.zeros((lags, width)), np.zeros(lags, np.int64))

    def part(self, rows: slice) -> End:
        return End(*(each[rows] for each in self))

    def joined(self, later: End) -> End:
        return End(*(np.concatenate(both) for both in zip(self, later, strict=True)))

    def padded(self, length: int) -> End:
        after = (0, length - len(self.kept)), (0, 0)
        return End(np.pad(self.rows, after), np.pad(self.rows_low, after), np.pad(self.kept, after[0]))

    def deviations(self, columns: Columns) -> np.ndarray:
        """Return the rows less the mean times 2**-exponent, 0 where they are left out."""
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through, or left out
            mean, low, rows, rows_low = (
                np.ldexp(each, -columns.exponent) for each in (columns.mean, columns.mean_low, self.rows, self.rows_low)
            )
            # In this order: what is missing to a row may be far larger than what is missing to the mean.
            return np.where(self.kept[:, None] > 0, ((rows - mean) + rows_low) - low, 0.0)


class SerialSums(NamedTuple):
    """Sums over the pairs of rows t and t + lag that are kept, of the deviations u from the mean of all rows."""

    columns: Columns
    products: np.ndarray  # float64 (lags, columns): of u_t u_(t + lag), times 4**-exponent
    sums: np.ndarray  # float64 (lags, columns): of u_t + u_(t + lag), times 2**-exponent
    pairs: np.ndarray  # int64 (lags,)
    rows: int  # those that are left out, too
    head: End
    tail: End

    def merge(self, other: SerialSums) -> SerialSums:
        lags = len(self.pairs)
        if lags != len(other.pairs):
            raise MergeError(f"cannot merge a state of {lags} lags with one of {len(other.pairs)} lags")
        columns, _ = combine(self.columns, other.columns)
        if self.rows == 0 or other.rows == 0:
            return other if self.rows == 0 else self
        a, b, pairs = self._about(columns), other._about(columns), self.pairs + other.pairs
        (head, tail), (its_head, its_tail) = self._ends(), other._ends()
        products, sums = a[0] + b[0], a[1] + b[1]
        border = _lagged_sums(tail.joined(its_head), columns, lags, len(tail.kept))
        for number, (product, total, count) in enumerate(border):
            products[number] += product
            sums[number] += total
            pairs[number] += count
        head = head.joined(its_head).part(slice(lags)).padded(lags)
        tail = tail.joined(its_tail).part(slice(-lags, None)).padded(lags)
        return SerialSums(columns, products, sums, pairs, self.rows + other.rows, head, tail)

    def _ends(self) -> tuple[End, End]:
        return self.head.part(slice(self.rows)), self.tail.part(slice(self.rows))

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def _about(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Return products and sums of deviations from another mean, times its exponents."""
        own, exponent = self.columns, columns.exponent
        with np.errstate(invalid="ignore", over="ignore"):
            step = np.ldexp(own.mean, -exponent) - np.ldexp(columns.mean, -exponent)
            step += np.ldexp(own.mean_low, -exponent) - np.ldexp(columns.mean_low, -exponent)
            step = step if own.weight else np.zeros(own.width)
            products = np.ldexp(self.products, 2 * (own.exponent - exponent))
            sums, pairs = np.ldexp(self.sums, own.exponent - exponent), self.pairs[:, None]
            return products + step * sums + step**2 * pairs, sums + 2 * step * pairs

    def autocorrelations(self) -> np.ndarray:
        """Return those of lags 0, 1, ... about the mean of all rows, NaN where a column is constant."""
        squares = np.where(self.columns.squares > 0, self.columns.squares, np.nan)
        return np.concatenate([squares[None], self.products]) / squares


class SerialAccumulator:
    """Sums up pieces of rows, each about its own mean; mutable, lives inside one task."""

    def __init__(self, kind: Serial, width: int, options: Options):
        self._kind, self._width, self._options = kind, width, options
        self._state = kind.empty(width)
        self.least_rows, self.workspace = LEAST_ROWS, Workspace()
        self._step = max(32, min(_TOGETHER, (1 << 18) // max(width, 1)))

    def add(self, block: Block, frequency: Vector = None, reliability: Vector = None) -> None:
        if frequency is not None or reliability is not None:
            raise DataError("a serial state pairs rows with each other, found weights of single rows: leave them out")
        rows = rows_of(block)
        for start in range(0, len(rows), self._step):
            self._state = self._state.merge(self._of(rows[start : start + self._step]))

    def _of(self, rows: np.ndarray) -> SerialSums:
        lags, count = self._kind.lags, len(rows)
        accumulator = Variances.accumulator(self._width, options=self._options)
        accumulator.workspace = self.workspace
        try:
            kept = None if all_finite(rows) else self._options.missing([rows], self._options.inf)
            accumulator.add(rows)
        except NonFiniteError as error:
            error.row += self._state.rows
            raise
        columns = accumulator.state().columns
        large = beyond_float64(rows)
        end = End(
            high_part(rows) if large else rows.astype(np.float64),
            low_part(rows) if large else np.zeros(rows.shape),
            np.ones(count, np.int64) if kept is None else kept.astype(np.int64),
        )
        products, sums, pairs = map(np.array, zip(*_lagged_sums(end, columns, lags), strict=True))
        head, tail = end.part(slice(lags)).padded(lags), end.part(slice(-lags, None)).padded(lags)
        return SerialSums(columns, products, sums, pairs, count, head, tail)

    def state(self) -> SerialSums:
        return self._state


def _lagged_sums(
    end: End, columns: Columns, lags: int, border: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield for each lag products, sums and number of pairs of rows; of those across a border, if there is one."""
    deviations, kept, count = end.deviations(columns), end.kept[:, None], len(end.kept)
    memory, every = np.empty_like(deviations), kept.all()
    up_to = np.concatenate([np.zeros_like(deviations[:1]), np.cumsum(deviations, axis=0)])
    for lag in range(1, lags + 1):
        stop = max(0, count - lag if border is None else min(count - lag, border))
        start = 0 if border is None else min(max(0, border - lag), stop)
        first, second = slice(start, stop), slice(start + lag, stop + lag)
        products = np.multiply(deviations[first], deviations[second], out=memory[first])
        sums = (up_to[stop] - up_to[start]) + (up_to[min(stop + lag, count)] - up_to[min(start + lag, count)])
        if not every:
            sums = np.add.reduce(deviations[first] * kept[second]) + np.add.reduce(deviations[second] * kept[first])
        # Not einsum, whose multiplications and additions are one operation on some processors and two on others.
        yield np.add.reduce(products), sums, int(np.sum(kept[first] * kept[second]))

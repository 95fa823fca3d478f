"""``Lagged``: the covariance of each row with the row some steps later, exact across the borders of pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError, NonFiniteError
from covdist.kernel.workspace import Workspace
from covdist.numerics.accumulator import Cost, Options
from covdist.numerics.columns import Columns
from covdist.numerics.filled_block import Block, rows_of
from covdist.numerics.nonfinite import all_finite, propagate
from covdist.numerics.shifted_columns import beyond_float64, high_part, low_part
from covdist.numerics.weights import Vector
from covdist.state.base import ALL_ROWS, Field, Fields
from covdist.state.cross import Cross
from covdist.state.variances import Variances


@dataclass(frozen=True)
class Lagged:
    """The type of states of row t with row t + lag.

    Rows are taken in their order; merging joins the last rows of the first state with the first rows of the second.
    """

    lag: int = 1  # rows, 0 or more
    name: ClassVar[str] = "lagged"
    sides: ClassVar[int] = 1
    ordered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.lag, int | np.integer) or not 0 <= self.lag < 1 << 31:
            raise DataError(f"lag={self.lag!r} is not a number of rows: pass a whole number, 0 or more, below 2^31")

    @property
    def FIELDS(self) -> Fields:
        """Those of the pairs of rows, and the rows at both ends."""
        pairs = {
            name: field._replace(path=f"pairs.{field.path}", also=tuple(f"pairs.{path}" for path in field.also))
            for name, field in Cross.FIELDS.items()
        }
        edge = "edge_row", self.lag
        return {
            **pairs,
            "rows": Field("rows", (), np.int64, **ALL_ROWS),
            **{name: Field(name, (0,), leading=edge) for name in ("head", "tail")},
            **{name: Field(name, (0,), leading=edge, default=0) for name in ("head_low", "tail_low")},
            **{name: Field(name, (), np.int64, leading=edge) for name in ("head_kept", "tail_kept")},
        }

    def empty(self, width: int) -> LaggedPairs:
        rows, kept = np.zeros((self.lag, width)), np.zeros(self.lag, np.int64)
        return LaggedPairs(Cross.empty(width, width), 0, rows, rows, kept, kept, rows, rows)

    def accumulator(self, width: int, options: Options = Options()) -> LaggedAccumulator:
        return LaggedAccumulator(self, width, options)

    def cost(self, width: int) -> Cost:
        cost, edges = Cross.cost(width, width), 32 * self.lag * width
        return cost._replace(state_bytes=cost.state_bytes + edges, merged_bytes=cost.merged_bytes + 2 * edges)


_NOTHING = np.zeros((0, 0))  # of older checkpoints


class LaggedPairs(NamedTuple):
    """Rows t and t + lag as x and y; of the edges as many rows count as there are, the others are 0."""

    pairs: Cross
    rows: int
    head: np.ndarray  # float64 (lag, columns): the first rows, in front
    tail: np.ndarray  # float64 (lag, columns): the last rows, in front
    head_kept: np.ndarray  # int64 (lag,): 0 where the policy for missing values leaves the row out
    tail_kept: np.ndarray
    head_low: np.ndarray = _NOTHING  # what is missing to integers that float64 does not hold
    tail_low: np.ndarray = _NOTHING

    @property
    def columns(self) -> Columns:
        """Of the earlier rows of the pairs."""
        return self.pairs.columns

    def merge(self, other: LaggedPairs) -> LaggedPairs:
        lag = len(self.head)
        if self.head.shape != other.head.shape:
            mine, its = (f"{each.head.shape[1]} columns and a lag of {len(each.head)} rows" for each in (self, other))
            raise MergeError(f"cannot merge a state of {mine} with one of {its}")
        if self.rows == 0 or other.rows == 0:
            return other if self.rows == 0 else self
        (head, tail), (its_head, its_tail) = self._edges(), other._edges()
        pairs = self.pairs.merge(self._border(tail, its_head)).merge(other.pairs)
        head = head.joined(its_head, slice(lag)).padded(lag)
        tail = tail.joined(its_tail, slice(-lag or lag, None)).padded(lag)
        return _with_edges(pairs, self.rows + other.rows, head, tail)

    def _edges(self) -> list[_Edge]:
        """Return the first rows and the last ones."""
        ends = (
            _Edge(self.head, self.head_kept, self.head_low),
            _Edge(self.tail, self.tail_kept, self.tail_low),
        )
        return [edge.part(slice(self.rows)) for edge in ends]

    def _border(self, tail: _Edge, head: _Edge) -> Cross:
        """Return the pairs of a row at this end and one at the beginning of the next state."""
        lag, width = self.head.shape
        edge = tail.joined(head, slice(None))
        rows, kept = edge.whole(), edge.kept
        count = max(0, min(self.rows, len(rows) - lag))
        both = (kept[:count] * kept[lag : lag + count]).astype(bool)
        accumulator = Cross.accumulator(width, width, Options(propagate))
        accumulator.add(rows[:count][both], rows[lag : lag + count][both])
        border, skipped = accumulator.state(), count - int(both.sum())
        columns, columns_y = (each._replace(skipped=skipped) for each in (border.columns, border.columns_y))
        return border._replace(columns=columns, columns_y=columns_y)

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def autocovariance(self, rows: slice, ddof: float, estimator: str) -> np.ndarray:
        return ESTIMATORS[estimator](self, rows, ddof)

    def of_pairs(self, rows: slice, ddof: float) -> np.ndarray:
        """Return the covariance with a mean for each side of the pairs."""
        return self.pairs.covariance(rows, ddof)

    def reversible(self, rows: slice, ddof: float) -> np.ndarray:
        """Return that of the pairs and the same pairs turned round, which have one mean."""
        x, y, count = self.pairs.side(0), self.pairs.side(1), 2 * self.columns.weight
        both = self.pairs.covariance(slice(0, self.columns.width), ddof / 2)  # whose divisor is half of theirs
        step = ((y.mean() - x.mean()) + (y.mean_low() - x.mean_low())) / 2
        with np.errstate(invalid="ignore", over="ignore"):  # of covariances beyond float64
            return (both[rows] + both[:, rows].T) / 2 - np.outer(step[rows], step) * (count / (count - ddof))

    def of_series(self, rows: slice, ddof: float) -> np.ndarray:
        """Return that about the mean of all rows, which are more than the pairs by ``lag``, divided by their number."""
        (head, tail), sides = self._edges(), (self.pairs.side(0), self.pairs.side(1))
        if self.columns.skipped or not (head.kept.all() and tail.kept.all()):  # rows in no pair lie at the ends
            raise DataError(
                "estimator='series' takes one mean of all rows, found some that are left out: pass estimator='pairs', "
                "or fill what is missing first, such as by covdist.fill"
            )
        if (divisor := self.rows - ddof) <= 0:
            raise DataError(f"ddof={ddof} leaves nothing to divide by with {self.rows} rows: use a smaller ddof")
        found, count = self.pairs.covariance(rows, 0), self.columns.weight
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity that were let through, or made here
            x, y = (
                (((edge.rows - side.mean()) + edge.low) - side.mean_low()).sum(axis=0) / self.rows
                for edge, side in zip((tail, head), sides, strict=True)
            )
            return (found + np.outer(x[rows], y)) * (count / divisor)


ESTIMATORS = {
    "pairs": LaggedPairs.of_pairs,
    "reversible": LaggedPairs.reversible,
    "series": LaggedPairs.of_series,
}


class LaggedAccumulator:
    """Pairs each row with the one ``lag`` rows before it; mutable, lives inside one task."""

    def __init__(self, kind: Lagged, width: int, options: Options):
        self._lag, self._options = kind.lag, options
        self._pairs = Cross.accumulator(width, width, options)
        self.least_rows = self._pairs.least_rows
        none = np.zeros((0, width))
        self._head = self._tail = _Edge(none, np.zeros(0, bool), none)
        self._rows = 0

    @property
    def workspace(self) -> Workspace:
        """Memory that the accumulators of groups share."""
        return self._pairs.workspace

    @workspace.setter
    def workspace(self, workspace: Workspace) -> None:
        self._pairs.workspace = workspace

    def add(self, block: Block, frequency: Vector = None, reliability: Vector = None) -> None:
        if frequency is not None or reliability is not None:
            raise DataError("a lagged state pairs rows with each other, found weights of single rows: leave them out")
        rows, lag = rows_of(block), self._lag
        edge = _Edge(rows, self._kept(rows), np.broadcast_to(0.0, rows.shape))
        if self._rows == 0:
            self._head = self._tail = edge.part(slice(0))  # of the rows' dtype
        self._pair(self._tail.joined(edge.part(slice(lag)), slice(None)).rows)
        self._pair(rows)
        if len(self._head.rows) < lag:
            self._head = self._head.joined(edge.part(slice(lag)), slice(lag))
        self._tail = self._tail.joined(edge.part(slice(-lag or len(rows), None)), slice(-lag or None, None))
        self._rows += len(rows)

    def _pair(self, rows: np.ndarray) -> None:
        count = len(rows) - self._lag
        if count > 0:
            self._pairs.add(rows[:count], rows[self._lag :])

    def _kept(self, rows: np.ndarray) -> np.ndarray:
        every = np.ones(len(rows), bool)
        if all_finite(rows):
            return every
        try:
            kept = self._options.missing([rows], self._options.inf)
        except NonFiniteError as error:
            error.row += self._rows
            raise
        return every if kept is None else kept

    def state(self) -> LaggedPairs:
        head, tail = (edge.split().padded(self._lag) for edge in (self._head, self._tail))
        return _with_edges(self._pairs.state(), self._rows, head, tail)


class _Edge(NamedTuple):
    """Rows at one end, and which of them are kept."""

    rows: np.ndarray
    kept: np.ndarray
    low: np.ndarray  # what is to be added to the rows

    def part(self, rows: slice) -> _Edge:
        return _Edge(*(each[rows] for each in self))

    def joined(self, later: _Edge, rows: slice) -> _Edge:
        """Return some of these rows and those after them."""
        return _Edge(*map(np.concatenate, zip(self, later, strict=True))).part(rows)

    def padded(self, length: int) -> _Edge:
        after = 0, length - len(self.rows)
        rows, low = (np.pad(each.astype(np.float64), (after, (0, 0))) for each in (self.rows, self.low))
        return _Edge(rows, np.pad(self.kept.astype(np.int64), after), low)

    def split(self) -> _Edge:
        """Return the same in parts that float64 holds."""
        rows = self.rows
        return self._replace(rows=high_part(rows), low=low_part(rows)) if beyond_float64(rows) else self

    def whole(self) -> np.ndarray:
        """Return the rows; as integers where float64 does not hold them."""
        if not self.low.any():
            return self.rows
        dtype = np.uint64 if self.rows.max() >= 2.0**63 else np.int64
        if (self.rows != np.rint(self.rows)).any() or not _within(self.rows, dtype):
            return self.rows + self.low
        return self.rows.astype(dtype) + self.low.astype(dtype)


def _within(rows: np.ndarray, dtype: type) -> bool:
    """Say whether whole float64 numbers are ones of an integer type."""
    limits = np.iinfo(dtype)
    return bool((rows >= float(limits.min)).all() and (rows < float(limits.max)).all())  # whose float64 is one too many


def _with_edges(pairs: Cross, rows: int, head: _Edge, tail: _Edge) -> LaggedPairs:
    return LaggedPairs(pairs, rows, head.rows, tail.rows, head.kept, tail.kept, head.low, tail.low)

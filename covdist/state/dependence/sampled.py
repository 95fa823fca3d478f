"""``Sampled``: some rows, drawn evenly and the same however all are cut, beside the moments of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.numerics.accumulator import COLUMN_BYTES, COLUMN_FLOPS, Cost, Counted, Options, RowsAccumulator
from covdist.numerics.columns import Columns
from covdist.numerics.dependence.correlated_pairs import Links, correlated_pairs
from covdist.numerics.dependence.rank_correlations import rank_correlations
from covdist.numerics.dependence.row_keys import NO_KEY, KeptRows, joined, row_keys
from covdist.numerics.filled_block import Block, rows_of
from covdist.numerics.screening import widen
from covdist.numerics.weights import Vector, combined
from covdist.state.base import WEIGHTS, Field, Fields, column_fields, in_one_unit
from covdist.state.dependence.exact import check_exact
from covdist.state.variances import Variances, side_by_side, tiles

_RANKED = "ask corr(x, method='spearman'), which ranks them as they are"


@dataclass(frozen=True)
class Sampled:
    """The type of states that keep so many rows, those of the smallest keys, for ranks of their values."""

    rows: int = 4096
    seed: int = 0
    name: ClassVar[str] = "sampled"
    sides: ClassVar[int] = 1
    ordered: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for what, least in (("rows", 2), ("seed", 0)):
            given = getattr(self, what)
            if isinstance(given, bool) or not isinstance(given, int | np.integer) or not least <= given < 1 << 32:
                raise DataError(
                    f"{what}={given!r} is not a number of the state 'sampled': pass a whole one, {least} or more"
                )
            object.__setattr__(self, what, int(given))

    @property
    def FIELDS(self) -> Fields:
        """Those of the columns, and the kept rows."""
        rows = ("sampled_row", self.rows)
        return {
            **column_fields(),
            "sampled_key": Field("keys", (), np.int64, leading=rows),
            "sampled_value": Field("values", (0,), leading=rows),
            "sampled_weight": Field("weights", (), extensive=1, leading=rows, **WEIGHTS),
        }

    def empty(self, width: int) -> SampledRows:
        return _filled(Columns.empty(width), KeptRows.none(width), self)

    def accumulator(self, width: int, options: Options = Options()) -> _SamplingAccumulator:
        return _SamplingAccumulator(self, width, options)

    def cost(self, width: int) -> Cost:
        own = Variances.cost(width)
        kept = 8 * self.rows * (width + 2)
        return own._replace(
            state_bytes=kept + COLUMN_BYTES * width, row_flops=2 * COLUMN_FLOPS * width, merged_bytes=2 * kept
        )


class SampledRows(NamedTuple):
    """The moments of single columns, and the kept rows by ascending keys; of places that no row fills weigh 0."""

    columns: Columns
    keys: np.ndarray  # int64 (rows,)
    values: np.ndarray  # float64 (rows, columns)
    weights: np.ndarray  # float64 (rows,), in the unit of the columns'
    kind: Sampled

    @property
    def FIELDS(self) -> Fields:
        """Those of its type."""
        return self.kind.FIELDS

    def merge(self, other: SampledRows) -> SampledRows:
        if self.kind != other.kind:
            raise MergeError(f"cannot merge rows that were sampled differently: {self.kind} and {other.kind}")
        columns = self.columns.merge(other.columns)
        kept = joined([each.kept() for each in in_one_unit(self, other)])
        return _filled(columns, kept.smallest(self.kind.rows, self.kind.seed), self.kind)

    def kept(self) -> KeptRows:
        """Return the places that are filled."""
        count = int(np.count_nonzero(self.keys != NO_KEY))
        return KeptRows(self.keys[:count], self.values[:count], self.weights[:count])

    def side(self, number: int) -> Variances:
        return Variances(self.columns)

    def rank_correlation(self) -> np.ndarray:
        """Return the correlations of ranks, their standard errors and bounds of the error, (3, columns, columns).

        NaN where columns have NaN. The errors are 0 where all rows are kept.
        """
        kept = self.kept()
        found = rank_correlations(kept.values, kept.weights)
        left_out = self._left_out(kept)
        found[1] *= np.sqrt(left_out)
        if not left_out:
            found[1:] = np.where(np.isfinite(found[0]), 0.0, np.nan)
        odd = ~np.isfinite(self.columns.squares)
        found[:, odd], found[:, :, odd] = np.nan, np.nan
        return found

    def correlated_pairs(self, threshold: float) -> tuple[Links, float]:
        """Return the pairs of columns whose correlation in the kept rows is beyond a threshold, and a unit of error.

        The standard error of a correlation r is 1 - r² times that, as of normal rows; 0 where all rows are kept.
        """
        kept = self.kept()
        if not len(kept.keys):
            return Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)), 0.0
        values = np.where(np.isfinite(self.columns.squares), kept.values, 0.0)  # NaN may lie in rows that are not kept
        found = correlated_pairs(values, kept.weights, threshold, self.kind.seed)
        effective = kept.weights.sum() ** 2 / np.sum(kept.weights**2)
        return found, float(np.sqrt(self._left_out(kept) / effective))

    def _left_out(self, kept: KeptRows) -> float:
        """Return the share of the weight that rows have that are not kept."""
        if len(kept.keys) < self.kind.rows:
            return 0.0
        return max(0.0, 1.0 - float(kept.weights.sum() / self.columns.weight))


def _filled(columns: Columns, kept: KeptRows, kind: Sampled) -> SampledRows:
    """Return the state whose arrays have a place for each of the rows that may be kept."""
    keys, weights = np.full(kind.rows, NO_KEY), np.zeros(kind.rows)
    values = np.zeros((kind.rows, columns.width))
    count = len(kept.keys)
    keys[:count], values[:count], weights[:count] = kept
    return SampledRows(columns, keys, values, weights, kind)


class _SamplingAccumulator(RowsAccumulator):
    """Folds the moments of columns, and keeps rows whose keys are small."""

    numbered = True

    def __init__(self, kind: Sampled, width: int, options: Options):
        finish = partial(_finish, kind=kind, kept=self._smallest)
        super().__init__([width], Variances.cost(width).least_rows, tiles(width), finish, options)
        self._kind, self._asked_policy, self._asked_inf = kind, options.missing, options.inf
        self._parts, self._most = [KeptRows.none(width)], NO_KEY

    def add(self, *blocks: Block, frequency: Vector = None, reliability: Vector = None, number: Vector = None) -> None:
        """Fold rows; ``number`` is the place of each among all."""
        super().add(*blocks, frequency=frequency, reliability=reliability)
        rows, weights = widen(rows_of(blocks[0])), combined(frequency, reliability)
        step = max(self._kind.rows, self.least_rows)
        for start in range(0, len(rows), step):
            cut = slice(start, start + step)
            self._take(rows[cut], *(each if each is None else each[cut] for each in (weights, number)))

    def _take(self, rows: np.ndarray, weights: Vector, number: Vector) -> None:
        check_exact(rows if weights is None else rows[weights > 0], self._kind.name, _RANKED)
        keys = row_keys(rows, number, self._kind.seed)
        taken = keys <= self._most
        if weights is not None:
            taken &= weights > 0
        values = rows[taken].astype(np.float64, copy=False)
        kept = KeptRows(keys[taken], values, np.ones(len(values)) if weights is None else weights[taken])
        if not np.isfinite(values).all() and (keep := self._asked_policy([values], self._asked_inf)) is not None:
            kept = KeptRows(*(each[keep] for each in kept))
        self._parts.append(kept)
        if sum(len(part.keys) for part in self._parts) > 2 * self._kind.rows:
            self._smallest()

    def _smallest(self) -> KeptRows:
        kept = joined(self._parts).smallest(self._kind.rows, self._kind.seed)
        if len(kept.keys) == self._kind.rows:
            self._most = int(kept.keys[-1])
        self._parts = [kept]
        return kept


def _finish(counted: Counted, states: Sequence[Any], kind: Sampled, kept: Any) -> SampledRows:
    columns = counted.into(side_by_side(list(states)).columns)
    rows = kept()
    weights = np.ldexp(rows.weights, -columns.weight_unit) if columns.weight_unit else rows.weights
    return _filled(columns, rows._replace(weights=weights), kind)

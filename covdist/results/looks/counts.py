"""How many rows, weights and missing values a computed state holds, without folding rows that groups keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from covdist.numerics.screening import widen
from covdist.state.base import get
from covdist.state.few_rows import FewRows
from covdist.state.grouped import Grouped
from covdist.state.stacked import Stacked

if TYPE_CHECKING:
    from covdist.results.labelled_state import LabelledState


class RowCounts(NamedTuple):
    rows: int
    skipped: int  # rows left out
    missing: int  # values, of all sides


def totals(m: LabelledState) -> np.ndarray:
    """Return the sum of the rows' weights, of each group where there are groups: the number of rows without weights."""
    weight, unit = (m.deferred.read(get, (), f"columns.{name}").to_numpy() for name in ("weight", "weight_unit"))
    return np.ldexp(weight, unit.astype(np.int64))


def counts(state: Any, sides: int) -> RowCounts:
    """Return those of a state, or of all groups."""
    parts = [*_parts(state, sides)]
    return RowCounts(*map(sum, zip(*parts, strict=True))) if parts else RowCounts(0, 0, 0)


def _parts(state: Any, sides: int) -> Iterator[RowCounts]:
    if not isinstance(state, Grouped):
        yield _of_state(state, sides, 1)
        return
    folded = state.folded
    if isinstance(folded, Stacked):
        yield _of_state(folded.together, sides, len(folded.codes))
        folded = folded.alone
    for one in folded.values():
        yield _of_state(one, sides, 1)
    if state.few is not None:
        yield _of_rows(state.few)


def _of_state(state: Any, sides: int, alike: int) -> RowCounts:
    """Return those of a state, or of a stack of states that agree in all single numbers."""
    columns = state.columns
    census = [state.side(number).columns.census for number in range(sides)]
    return RowCounts(
        int(columns.rows) * alike, int(columns.skipped) * alike, sum(int(c.nans.sum() + c.infs.sum()) for c in census)
    )


def _of_rows(few: FewRows) -> RowCounts:
    blocks, options = [widen(block) for block in few.blocks], few.folding.options
    missing = sum(block.size - int(np.isfinite(block).sum()) for block in blocks)
    kept = options.missing(blocks, options.inf) if missing else None
    rows = len(few) if kept is None else int(kept.sum())
    return RowCounts(rows, len(few) - rows, missing)

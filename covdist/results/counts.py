"""What counts rows in each kind of state, and its columns' moments without the matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from covdist.results.groups import map_groups
from covdist.state.grouped import Grouped
from covdist.state.pairwise_variances import PairwiseVariances
from covdist.state.variances import Variances


def rows_folded(state: Any) -> int:
    return state.columns.rows


def _seen(state: Any) -> np.ndarray:
    return state.seen.rows


def _pair_rows(state: Any) -> np.ndarray:
    return state.pairs.rows


# By kind, what counts, and along how many axes.
COUNTS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "pairwise": (_pair_rows, 2),
    "pairwise cross": (_pair_rows, 2),
    "pairwise variances": (_seen, 1),
}
SIDES = dict.fromkeys(COUNTS, "pairwise variances")


def without_matrix(state: Any, side: int) -> Variances | PairwiseVariances:
    if hasattr(state, "seen"):
        return PairwiseVariances(*(state.columns_y, state.seen_y) if side else (state.columns, state.seen))
    return Variances(state.columns_y if side else state.columns)


def variances_of(state: Any) -> Any:
    """Return the part of a full state, of groups or not, that a state of variances holds."""
    take = partial(without_matrix, side=0)
    return map_groups(state, take) if isinstance(state, Grouped) else take(state)

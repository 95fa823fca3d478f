"""Leave out missing values one by one: each pair of columns uses the rows that hold both."""

from __future__ import annotations

from covdist.errors import DataError
from covdist.folding.request import Policy
from covdist.numerics.nonfinite import keep_all
from covdist.state.base import StateType
from covdist.state.columnwise import Columnwise
from covdist.state.columnwise_pairs import ColumnwisePairs
from covdist.state.cross import Cross
from covdist.state.pairwise import Pairwise, PairwiseCross, PairwiseVariances
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

_PAIRWISE: dict[StateType, StateType] = {
    Scatter: Pairwise, Cross: PairwiseCross, Variances: PairwiseVariances, Columnwise: ColumnwisePairs,
}  # fmt: skip


def state(kind: StateType) -> StateType:
    """Return the type whose entries have rows of their own; DataError where there is none."""
    if kind not in _PAIRWISE:
        raise DataError(
            f"missing='pairwise' has no form of the state {kind.name!r}: pass missing='drop', or fill the values "
            "beforehand with covdist.fill"
        )
    return _PAIRWISE[kind]


POLICY = Policy(keep_all, state=state)

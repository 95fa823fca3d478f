"""Which columns of x are set against which columns of y."""

from __future__ import annotations

from covdist.errors import DataError
from covdist.folding.inputs import one_of
from covdist.state.base import StateType
from covdist.state.columnwise import Columnwise

ALL = "all"
_STATES: dict[str, StateType | None] = {ALL: None, "columns": Columnwise}


def state_for(pairs: str, y: object) -> StateType | None:
    """Return the state that holds the pairs, None for the usual one of x or of x and y."""
    one_of("pairs", pairs, tuple(_STATES))
    if pairs != ALL and y is None:
        raise DataError(f"pairs={pairs!r} sets each column of x against that of y, found no y: pass y, or pairs='all'")
    return _STATES[pairs]

"""Which columns of x are set against which columns of y, and of their own side."""

from __future__ import annotations

from dataclasses import replace

from covdist.errors import DataError
from covdist.folding.request import Request
from covdist.given import one_of
from covdist.state.base import StateType
from covdist.state.both import Both
from covdist.state.columnwise import Columnwise
from covdist.state.cross import Cross

ALL = "all"
_FEW_COLUMNS = 4096  # whose scatter takes 67 MB
_STATES: dict[str, StateType | None] = {ALL: None, "columns": Columnwise}


def state_for(pairs: str, y: object) -> StateType | None:
    """Return the state that holds the pairs, None for the usual one of x or of x and y."""
    one_of("pairs", pairs, tuple(_STATES))
    if pairs != ALL and y is None:
        raise DataError(f"pairs={pairs!r} sets each column of x against that of y, found no y: pass y, or pairs='all'")
    return _STATES[pairs]


def with_own_matrices(request: Request) -> Request:
    """Return a request of x with y for each side's own matrix too, unless there are very many columns."""
    fits = request.state is Cross and request.policy.strategy is None and sum(request.widths) <= _FEW_COLUMNS
    return replace(request, state=Both) if fits else request

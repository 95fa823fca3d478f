"""What readings and the algebra do to a state of groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.numerics.segments import State
from covdist.results.labels import Groups
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances

Recoding = Callable[[Grouped], Grouped]


def by_group(state: Grouped, function: Callable[..., Any], shape: tuple[int, ...], *arguments: Any) -> np.ndarray:
    parts = []
    for code in range(shape[0]):
        try:
            parts.append(function(state.get(code, state.inner), *arguments))
        except DataError:  # too few rows in this group alone
            parts.append(None)
    one = next((np.shape(part) for part in parts if part is not None), _blank(state.inner, shape[1:]))
    return np.stack([np.full(one, np.nan) if part is None else part for part in parts])


def _blank(inner: State, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A strip of many columns is narrower than what is read of all of them."""
    return tuple(inner.columns.width for _ in shape) if isinstance(inner, Variances) else shape


def map_groups(state: Grouped, function: Callable[[Any], Any]) -> Grouped:
    return Grouped(function(state.inner), {code: function(inner) for code, inner in state.items()})


def all_groups(state: Grouped) -> State:
    return reduce(lambda a, b: a.merge(b), state.values(), state.inner)


def one_group(state: Grouped, code: int) -> State:
    return state.get(code, state.inner)


def recoded(state: Grouped, codes: np.ndarray) -> Grouped:
    return Grouped(state.inner, {int(codes[code]): inner for code, inner in state.items()})


def members(state: Any, size: int) -> list[Any]:
    """Return the states of the groups in the order of their codes; of a state without groups, itself."""
    return [state.get(code, state.inner) for code in range(size)] if isinstance(state, Grouped) else [state]


def joined(a: Groups, b: Groups) -> tuple[Groups, tuple[Recoding, Recoding]]:
    """Return the groups of two states' sum, and what gives each state their codes."""
    if a.dim != b.dim:
        raise MergeError(f"cannot merge groups by {a.dim!r} with groups by {b.dim!r}: both must be the same")
    values = np.unique(np.concatenate([a.values, b.values]))
    first, second = (partial(recoded, codes=np.searchsorted(values, each.values)) for each in (a, b))
    return Groups(a.dim, values), (first, second)

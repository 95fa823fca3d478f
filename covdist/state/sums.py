"""Sums of neighbouring states: of windows, of all up to each, of all but each.

No state is subtracted, which would lose digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from covdist.state.base import merged


def up_to_each(states: Sequence[Any]) -> list[Any]:
    """Return for each state the sum of it and those before it."""
    return list(accumulate(states, merged))


def from_each(states: Sequence[Any]) -> list[Any]:
    """Return for each state the sum of it and those after it."""
    return list(accumulate(reversed(states), lambda later, earlier: merged(earlier, later)))[::-1]


def all_but_each(states: Sequence[Any]) -> Iterator[Any]:
    """Yield for each of two states or more the sum of all others."""
    after = from_each(states)
    yield after[1]
    before = states[0]
    for state, rest in zip(states[1:], after[2:], strict=False):
        yield merged(before, rest)
        before = merged(before, state)
    yield before


def windows(states: Sequence[Any], size: int) -> Iterator[Any]:
    """Yield for each state the sum of it and the ``size - 1`` before it, or as many as there are.

    A window lies in two blocks of ``size`` states, and is the end of one and the beginning of the other (van Herk 1992;
    Gil and Werman 1993): three merges a state, however long the window is.
    """
    ends: list[Any] = []
    for start in range(0, len(states), size):
        block = states[start : start + size]
        for place, beginning in enumerate(up_to_each(block), 1):
            yield ends[place].merge(beginning) if place < len(ends) else beginning
        ends = from_each(block)

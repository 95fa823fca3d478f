"""``Stacked``: the states of many groups in one, whose arrays have one axis more in front."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from covdist.state.base import unstacked


class Stacked(Mapping[int, Any]):
    """States by code, in ascending order: of thousands, an object for each takes longer to make than to fold its rows.

    ``together`` is of those with ``codes``, which agree in all single numbers; those ``alone`` are others.
    """

    def __init__(self, together: Any, codes: np.ndarray, alone: Mapping[int, Any]):
        self.together, self.codes, self.alone = together, codes, alone

    @cached_property
    def _places(self) -> dict[int, int]:
        return {code: place for place, code in enumerate(self.codes.tolist())}

    def __getitem__(self, code: int) -> Any:
        return self.alone[code] if code in self.alone else unstacked(self.together, self._places[code])

    def __contains__(self, code: object) -> bool:
        return code in self.alone or code in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(sorted([*self._places, *self.alone]))

    def __len__(self) -> int:
        return len(self.codes) + len(self.alone)

    def merge(self, other: Stacked) -> Stacked:
        """Merge the states of the same codes: all at once where both have them together."""
        codes = np.intersect1d(self.codes, other.codes)
        together = self._some(codes).merge(other._some(codes))
        alone = {code: self[code] for code in self.keys() - other.keys()}
        alone |= {code: other[code] for code in other.keys() - self.keys()}
        both = self.keys() & other.keys() & {*self.alone, *other.alone}
        return Stacked(together, codes, alone | {code: self[code].merge(other[code]) for code in sorted(both)})

    def _some(self, codes: np.ndarray) -> Any:
        return (
            self.together
            if np.array_equal(codes, self.codes)
            else unstacked(self.together, np.searchsorted(self.codes, codes))
        )


def room_for(stack: Any, count: int) -> Any:
    """Return a stack of ``count`` states like those of another, with arbitrary content."""
    if isinstance(stack, np.ndarray):
        return np.empty((count, *stack.shape[1:]), stack.dtype)
    return type(stack)(*(room_for(part, count) for part in stack)) if isinstance(stack, tuple) else stack


def put(stack: Any, places: np.ndarray, part: Any) -> Any:
    """Return a stack with some of its states replaced, in place; single numbers are those of the part."""
    if isinstance(stack, np.ndarray):
        stack[places] = part
        return stack
    if not isinstance(stack, tuple):
        return part
    return type(stack)(*(put(each, places, new) for each, new in zip(stack, part, strict=True)))

"""``MissingRun``: where a look along the rows found no value, column by column, so that nobody looks there again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.interpolation import NearestValue

_NEVER = np.iinfo(np.int64)


class MissingRun(NamedTuple):
    """Per column a stretch of rows without a value, in the direction of the look; arrays (columns,).

    Rows count along that direction: those of a look backwards are negative.
    """

    start: np.ndarray  # int64
    stop: np.ndarray  # int64, exclusive
    ended: np.ndarray  # bool: whether it is known what follows,
    value: np.ndarray  # which is this value, NaN where the rows end,
    position: np.ndarray  # and where it lies

    @classmethod
    def none(cls, width: int) -> MissingRun:
        unknown = NearestValue.none((width,))
        return cls(np.full(width, _NEVER.max), np.full(width, _NEVER.min), np.zeros(width, bool), *unknown)

    @property
    def after(self) -> NearestValue:
        return NearestValue(self.value, self.position)

    def covers(self, row: int | np.ndarray) -> np.ndarray:
        """Say in which columns a look from ``row`` on begins in the stretch, or where it ends."""
        return (self.start <= row) & (row <= self.stop)

    def but(self, columns: np.ndarray, other: MissingRun) -> MissingRun:
        """Return this one, in some columns, bool (columns,), the other."""
        return MissingRun(*(np.where(columns, its, mine) for its, mine in zip(other, self, strict=True)))

    def seen(self, row: int, stop: int, first: NearestValue) -> MissingRun:
        """Learn of a look at rows ``row`` to ``stop``, and the first values there."""
        covered, empty = self.covers(row), first.unknown
        going = covered & ~self.ended
        new = MissingRun(np.full_like(self.start, row), np.full_like(self.stop, stop), np.zeros_like(empty), *first)
        longer = self._replace(stop=np.maximum(self.stop, stop))
        found = self._replace(ended=np.ones_like(empty), value=first.value, position=first.position)
        return self.but(~covered & empty, new).but(going & empty, longer).but(going & ~empty, found)

    def joined(self, other: MissingRun, row: int) -> MissingRun:
        """Learn what the other one knows of a look from ``row`` on."""
        mine = self.covers(row)
        start = np.where(mine, np.minimum(self.start, other.start), other.start)
        stop = np.where(mine, np.maximum(self.stop, other.stop), other.stop)
        return self.but(other.covers(row) & ~(mine & self.ended), other._replace(start=start, stop=stop))

    def at_end(self, row: int) -> MissingRun:
        """Learn that there are no rows from ``row`` on."""
        nothing = self._replace(ended=np.ones_like(self.ended), **NearestValue.none(self.start.shape)._asdict())
        return self.but(self.covers(row) & ~self.ended, nothing)

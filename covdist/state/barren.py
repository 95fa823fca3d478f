"""``Barren``: where a look along the rows found no value, column by column, so that nobody looks there again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.state.gaps import Carried


class Barren(NamedTuple):
    """Per column one stretch of rows without a value, in the direction of the look; arrays (columns,).

    Rows count along that direction: those of a look backwards are negative.
    """

    start: np.ndarray  # int64
    stop: np.ndarray  # int64, exclusive
    ended: np.ndarray  # bool: whether it is known what follows
    after: Carried  # what does; NaN where the array ends

    @classmethod
    def none(cls, width: int) -> Barren:
        nowhere = np.full(width, np.iinfo(np.int64).max), np.full(width, np.iinfo(np.int64).min)
        return cls(*nowhere, np.zeros(width, bool), Carried.none((width,)))

    def covers(self, row: int) -> np.ndarray:
        """Say in which columns a look from ``row`` on begins in the stretch or at its end."""
        return (self.start <= row) & (row <= self.stop)

    def known(self, row: int) -> np.ndarray:
        """Say for which columns the next value from ``row`` on is known."""
        return self.covers(row) & self.ended

    def seen(self, row: int, stop: int, first: Carried) -> Barren:
        """Learn of a look at rows ``row`` to ``stop``, and the first value there."""
        covered = self.covers(row)
        going, empty = covered & ~self.ended, first.unknown
        new = ~covered & empty
        found = going & ~empty
        return Barren(
            np.where(new, row, self.start),
            np.where(new | (going & empty), np.maximum(stop, np.where(new, stop, self.stop)), self.stop),
            np.where(new, False, self.ended | found),
            Carried(*(np.where(found, a, b) for a, b in zip(first, self.after, strict=True))),
        )

    def at_end(self, row: int) -> Barren:
        """Learn that the rows end before ``row``."""
        going = self.covers(row) & ~self.ended
        nothing = (np.where(going, np.nan, part) for part in self.after)
        return self._replace(ended=self.ended | going, after=Carried(*nothing))

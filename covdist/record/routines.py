"""``Routines``: calls of ``log`` like an earlier one, whose arrays need no checks, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from covdist.record.lent import Given
from covdist.record.track import Track
from covdist.record.values import Rows

_MOST = 1 << 14  # arrays of all calls that are known

ByTrack = dict[Track, dict[str, Given]]


def by_track(rows: Iterable[tuple[Track, str, Given]]) -> ByTrack:
    """Gather rows by track and variable."""
    given: ByTrack = {}
    for track, variable, data in rows:
        given.setdefault(track, {})[variable] = data
    return given


class Routines:
    """Where the arrays of earlier calls went that fitted there as they were, by the names of a call."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Routine] = {}
        self._arrays = 0  # of those calls

    def find(self, arrays: Mapping[str, Given], marks: Mapping[str, np.ndarray]) -> ByTrack | None:
        """Return the rows of a call by track and variable; None where no earlier one had the same shapes and dtypes."""
        routine = self._known.get(tuple(arrays))
        if routine is None or routine.forms != _forms(arrays) or routine.types != _types(marks):
            return None
        if routine.resumed_at is not None and marks["step"] <= routine.resumed_at:
            return None
        return by_track(
            (track, variable, data.reshape(shape))
            for (track, variable, shape), data in zip(routine.places, arrays.values(), strict=True)
        )

    def learn(
        self,
        arrays: Mapping[str, Given],
        rows: Mapping[str, Rows],
        tracks: Mapping[str, Track],
        marks: Mapping[str, np.ndarray],
    ) -> None:
        """Know a call again whose marks have the dtypes of those before, and whose arrays went to these tracks."""
        places = [(tracks[name], name.rpartition("/")[2], each.data.shape) for name, each in rows.items()]
        dtypes = [track.members[variable].dtype for track, variable, _ in places]
        if dtypes == [data.dtype for data in arrays.values()]:
            if self._arrays > _MOST:
                self.forget()
            self._arrays += len(arrays)
            resumed_at = max((at for track, *_ in places if (at := track.resumed_at) is not None), default=None)
            self._known[tuple(arrays)] = _Routine(_forms(arrays), _types(marks), places, resumed_at)

    def forget(self) -> None:
        """Know no call any more, since arrays go elsewhere, or have other dtypes."""
        self._known.clear()
        self._arrays = 0


class _Routine(NamedTuple):
    forms: list[tuple[np.dtype, tuple[int, ...]]]
    types: dict[str, np.dtype]  # of the marks
    places: list[tuple[Track, str, tuple[int, ...]]]  # of each array the track, the variable, and the shape of its rows
    resumed_at: int | None  # the last step that any of the tracks had when it was opened


def _forms(arrays: Mapping[str, Given]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(data.dtype, data.shape) for data in arrays.values()]


def _types(marks: Mapping[str, np.ndarray]) -> dict[str, np.dtype]:
    return {mark: value.dtype for mark, value in marks.items()}

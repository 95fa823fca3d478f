"""``Routines``: calls of ``log`` like an earlier one, whose arrays need no checks, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from covdist.record.lent import Given
from covdist.record.track import Track, join

_MOST = 1 << 14  # arrays of all calls that are known


class Portion(NamedTuple):
    """What of a call goes to one track."""

    track: Track
    rows: Mapping[str, Given]  # by variable
    length: int | None  # where all arrays have as many rows
    nbytes: int


def portions_of(rows: Iterable[tuple[Track, str, Given]]) -> list[Portion]:
    """Gather rows by track and variable."""
    given: dict[Track, dict[str, Given]] = {}
    for track, variable, data in rows:
        given.setdefault(track, {})[variable] = data
    return [
        Portion(track, each, _common(map(len, each.values())), sum(data.nbytes for data in each.values()))
        for track, each in given.items()
    ]


def _common(counts: Iterable[int]) -> int | None:
    several = set(counts)
    return several.pop() if len(several) == 1 else None


class Routines:
    """Where the arrays of earlier calls went that fitted there as they were, by the names of a call."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Routine] = {}
        self._arrays = 0  # of those calls

    def find(self, arrays: Mapping[str, Given], marks: Mapping[str, np.ndarray]) -> list[Portion] | None:
        """Return the rows of a call by track; None where no earlier one had the same shapes and dtypes."""
        routine = self._known.get(tuple(arrays))
        if routine is None or routine.forms != _forms(arrays) or routine.types != _types(marks):
            return None
        if routine.resumed_at is not None and marks["step"] <= routine.resumed_at:
            return None
        given = list(arrays.values())
        return [plan.portion(given) for plan in routine.plans]

    def learn(self, arrays: Mapping[str, Given], portions: list[Portion], marks: Mapping[str, np.ndarray]) -> None:
        """Know a call again whose marks have the dtypes of those before, and whose arrays went to these tracks."""
        if all(_fits(portion, arrays) for portion in portions):
            if self._arrays > _MOST:
                self.forget()
            self._arrays += len(arrays)
            numbers = {name: number for number, name in enumerate(arrays)}
            plans = [_plan(portion, arrays, numbers) for portion in portions]
            resumed_at = max((at for plan in plans if (at := plan.track.resumed_at) is not None), default=None)
            self._known[tuple(arrays)] = _Routine(_forms(arrays), _types(marks), plans, resumed_at)

    def forget(self) -> None:
        """Know no call any more, since arrays go elsewhere, or have other dtypes."""
        self._known.clear()
        self._arrays = 0


class _Plan(NamedTuple):
    """A portion of every call of a routine, without the rows."""

    track: Track
    places: list[tuple[str, int, tuple[int, ...] | None]]  # variables, numbers of their arrays, shapes of rows if other
    length: int | None
    nbytes: int

    def portion(self, given: list[Given]) -> Portion:
        rows = {variable: _as_rows(given[number], shape) for variable, number, shape in self.places}
        return Portion(self.track, rows, self.length, self.nbytes)


class _Routine(NamedTuple):
    forms: list[tuple[np.dtype, tuple[int, ...]]]
    types: dict[str, np.dtype]  # of the marks
    plans: list[_Plan]
    resumed_at: int | None  # the last step that any of the tracks had when it was opened


def _forms(arrays: Mapping[str, Given]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(data.dtype, data.shape) for data in arrays.values()]


def _types(marks: Mapping[str, np.ndarray]) -> dict[str, np.dtype]:
    return {mark: value.dtype for mark, value in marks.items()}


def _plan(portion: Portion, arrays: Mapping[str, Given], numbers: Mapping[str, int]) -> _Plan:
    places = []
    for variable, rows in portion.rows.items():
        name = join(portion.track.node, variable)
        places.append((variable, numbers[name], None if rows.shape == arrays[name].shape else rows.shape))
    return _Plan(portion.track, places, portion.length, portion.nbytes)


def _fits(portion: Portion, arrays: Mapping[str, Given]) -> bool:
    track = portion.track
    return all(track.members[variable].dtype == arrays[join(track.node, variable)].dtype for variable in portion.rows)


def _as_rows(data: Given, shape: tuple[int, ...] | None) -> Given:
    return data if shape is None else data.reshape(shape)

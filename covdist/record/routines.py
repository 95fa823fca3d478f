"""``Routines``: calls of ``log`` like an earlier one, whose arrays need no checks, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from covdist.record.lent import Given
from covdist.record.track import Target, Track

_Form: TypeAlias = tuple[np.dtype, tuple[int, ...]]

_MOST = 1 << 14  # arrays of all calls that are known


class Portion(NamedTuple):
    """What of a call goes to one track."""

    track: Track
    targets: list[Target]
    length: int | None  # where all arrays of the track have as many rows; none joins one that has rows
    nbytes: int


class Call(NamedTuple):
    """Arrays of a call, and where they go."""

    arrays: list[Given]
    portions: list[Portion]


def portions_of(targets: Iterable[tuple[Track, Target]], rows: list[Given]) -> list[Portion]:
    """Gather the targets of rows by track."""
    by_track: dict[Track, list[Target]] = {}
    for track, target in targets:
        by_track.setdefault(track, []).append(target)
    portions = []
    for track, found in by_track.items():
        each = [rows[target.number] for target in found]
        counts = {*map(len, each)}
        whole = len(found) == len(track.members) and len(counts) == 1
        portions.append(Portion(track, found, counts.pop() if whole else None, sum(data.nbytes for data in each)))
    return portions


class Routines:
    """Where the arrays of earlier calls went that fitted there as they were, by the names of a call."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Routine] = {}
        self._arrays = 0  # of those calls

    def find(self, arrays: Mapping[str, Given], marks: Mapping[str, np.ndarray]) -> Call | None:
        """Return where the arrays of a call go; None where no earlier one had the same shapes and dtypes."""
        routine = self._known.get(tuple(arrays))
        if routine is None or routine.forms != _forms(arrays) or routine.types != _types(marks):
            return None
        if routine.resumed_at is not None and marks["step"] <= routine.resumed_at:
            return None
        rows = [*arrays.values()]
        for number, shape in routine.shapes:
            rows[number] = rows[number].reshape(shape)
        return Call(rows, routine.portions)

    def learn(self, arrays: Mapping[str, Given], call: Call, marks: Mapping[str, np.ndarray]) -> None:
        """Know a call again whose marks have the dtypes of those before, and whose arrays went to these tracks."""
        given, (rows, portions) = [*arrays.values()], call
        if all(target.column.dtype == given[target.number].dtype for portion in portions for target in portion.targets):
            if self._arrays > _MOST:
                self.forget()
            self._arrays += len(arrays)
            resumed_at = max((at for portion in portions if (at := portion.track.resumed_at) is not None), default=None)
            one_of: dict[_Form, _Form] = {}  # of equal ones, so that less memory is read
            forms = [one_of.setdefault(form, form) for form in _forms(arrays)]
            shapes = [(n, data.shape) for n, data in enumerate(rows) if data.shape != given[n].shape]
            self._known[tuple(arrays)] = _Routine(forms, _types(marks), shapes, portions, resumed_at)

    def forget(self) -> None:
        """Know no call any more, since arrays go elsewhere, or have other dtypes."""
        self._known.clear()
        self._arrays = 0


class _Routine(NamedTuple):
    forms: list[_Form]
    types: dict[str, np.dtype]  # of the marks
    shapes: list[tuple[int, tuple[int, ...]]]  # of the rows of arrays, where they are others
    portions: list[Portion]
    resumed_at: int | None  # the last step that any of the tracks had when it was opened


def _forms(arrays: Mapping[str, Given]) -> list[_Form]:
    return [(data.dtype, data.shape) for data in arrays.values()]


def _types(marks: Mapping[str, np.ndarray]) -> dict[str, np.dtype]:
    return {mark: value.dtype for mark, value in marks.items()}

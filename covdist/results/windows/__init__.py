"""A folder of results, one for each window of training steps, as one result with groups by "window"."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

from covdist.errors import ResultError

MARKER = "windows.json"  # says that the folder is one, and how many steps a window has
DIM = "window"
_NAME = re.compile(r"steps-(-?\d{11,})-(-?\d{11,})(?:-rank(\d+))?", re.ASCII)


class _Window(NamedTuple):
    """The result of the steps from ``first`` to ``last``, as its name says."""

    place: Path
    first: int
    last: int
    rank: int | None


def name_of(first: int, last: int, rank: int | None) -> str:
    """Name the result of the steps from ``first`` to ``last``."""
    return f"steps-{first:012d}-{last:012d}{'' if rank is None else f'-rank{rank}'}"


def steps_of(folder: Path, rank: int | None) -> list[int]:
    """Return the last step of each result that a rank has written."""
    return [window.last for window in _windows(folder) if window.rank == rank]


def _windows(folder: Path) -> Iterator[_Window]:
    """Yield the results of windows, and nothing that somebody has put beside them."""
    for place in sorted(folder.glob("steps-*")):
        if named := _NAME.fullmatch(place.name):
            window = _Window(place, int(named[1]), int(named[2]), None if named[3] is None else int(named[3]))
            if name_of(*window[1:]) == place.name:
                yield window


def begun(folder: Path) -> int | None:
    """Return how many steps a window has; None where the folder is no such result."""
    if not os.path.isfile(folder / MARKER):  # a pipe would be waited for
        return None
    try:
        steps = int(json.loads((folder / MARKER).read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None
    return steps if steps > 0 else None


def joined(folder: Path, steps: int, load: Callable[[Path], Any]) -> Mapping[str, Any]:
    """Return the moments of all windows by array; what several ranks, or parts of a window, hold is added up."""
    windows = list(_windows(folder))
    if not windows:
        raise ResultError(f"{folder} holds no window yet: the first is written when its steps are over, or by close()")
    _check_disjoint(windows)
    found: dict[str, list[Any]] = {}
    for window in windows:
        held = load(window.place)
        if not isinstance(held, Mapping):
            raise ResultError(f"{window.place} is no window, it holds one state without a name: move it elsewhere")
        for name, one in held.items():
            _check_label(window, one, steps)
            found.setdefault(name, []).append(one)
    return {name: reduce(add, each) for name, each in found.items()}


def _check_disjoint(windows: list[_Window]) -> None:
    """Raise ResultError where two results of a rank, which logs each step once, hold the same steps."""
    for before, after in pairwise(sorted(windows, key=lambda each: (str(each.rank), each.first, each.last))):
        if before.rank == after.rank and after.first <= before.last:
            raise ResultError(
                f"{after.place} holds steps that {before.place.name} holds too, whose rows would count twice: move "
                "one of them elsewhere"
            )


def _check_label(window: _Window, held: Any, steps: int) -> None:
    """Raise ResultError where a result is not of the window of so many steps that its name says."""
    groups = held.layout.groups
    labels = [] if groups is None or groups.dim != DIM else groups.values.tolist()
    if window.first > window.last or {step // steps * steps for step in (window.first, window.last)} != {*labels}:
        raise ResultError(
            f"{window.place} holds the windows {labels}, expected the one of {steps} steps that its name says: move it "
            "elsewhere, or give it the name that it had"
        )

"""A folder of results, one for each window of training steps, as one result with groups by "window"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from covdist.errors import ResultError

MARKER = "windows.json"  # says that the folder is one, and how many steps a window has
DIM = "window"
_NAME = re.compile(r"steps-(?:-?\d{11,})-(-?\d{11,})(?:-rank(\d+))?")


def name_of(first: int, last: int, rank: int | None) -> str:
    """Name the result of the steps from ``first`` to ``last``."""
    return f"steps-{first:012d}-{last:012d}{'' if rank is None else f'-rank{rank}'}"


def steps_of(folder: Path, rank: int | None) -> list[int]:
    """Return the last step of each result that a rank has written."""
    whose = None if rank is None else str(rank)
    return [int(last) for _, last, of in _windows(folder) if of == whose]


def _windows(folder: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Yield the results of windows with their last steps and ranks, and nothing that somebody has put beside them."""
    for place in sorted(folder.glob("steps-*")):
        if named := _NAME.fullmatch(place.name):
            yield place, named[1], named[2]


def begun(folder: Path) -> int | None:
    """Return how many steps a window has; None where the folder is no such result."""
    if not (folder / MARKER).is_file():  # a pipe would be waited for
        return None
    try:
        return int(json.loads((folder / MARKER).read_text(encoding="utf-8"))["steps"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def joined(folder: Path, load: Callable[[Path], Any]) -> Mapping[str, Any]:
    """Return the moments of all windows by array; what several ranks, or parts of a window, hold is added up."""
    places = [place for place, *_ in _windows(folder)]
    if not places:
        raise ResultError(f"{folder} holds no window yet: the first is written when its steps are over, or by close()")
    found: dict[str, list[Any]] = {}
    for place in places:
        window = load(place)
        if not isinstance(window, Mapping):
            raise ResultError(f"{place} is no window, it holds one state without a name: move it elsewhere")
        for name, one in window.items():
            found.setdefault(name, []).append(one)
    return {name: reduce(add, each) for name, each in found.items()}

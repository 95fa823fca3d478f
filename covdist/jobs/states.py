"""States as checksummed numbers and back, bit for bit; never pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from covdist.jobs.directory.arrays import dump_arrays, load_arrays
from covdist.state.grouped import Grouped


def dump_state(state: Any) -> bytes:
    return dump_arrays(dict(_fields(state, "")))


def load_state(accumulator: Callable[[], Any], data: bytes | memoryview) -> Any:
    """Return the state, which is built like the empty one of ``accumulator()``, else raise ValueError."""
    return load_like(accumulator().state(), data)


def load_like(empty: Any, data: bytes | memoryview) -> Any:
    """Return the state, which is built like ``empty``; an axis without entries there may have any number."""
    arrays = load_arrays(data)
    if not isinstance(empty, Grouped):
        return _like(empty, "", arrays)
    codes = dict.fromkeys(int(name.partition("/")[0]) for name in arrays)
    return Grouped(empty.inner, {code: _like(empty.inner, f"{code}/", arrays) for code in codes})


def _fields(state: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(state, Grouped):
        for code, one in state.items():
            yield from _fields(one, f"{place}{code}/")
    elif isinstance(state, tuple):
        for name, value in _named(state):
            yield from _fields(value, f"{place}{name}/")
    else:
        yield place, state


def _like(empty: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(empty, tuple):
        values = [_like(value, f"{place}{name}/", arrays) for name, value in _named(empty)]
        return type(empty)(*values) if type(empty) is not tuple else tuple(values)
    found = arrays.get(place)
    if found is None or not _fits(found.shape, np.shape(empty)):
        raise ValueError(f"{place} is {None if found is None else found.shape}, expected is {np.shape(empty)}")
    return found if isinstance(empty, np.ndarray) else type(empty)(found)


def _named(state: tuple[Any, ...]) -> Iterable[tuple[str, Any]]:
    """Pair the entries of a tuple with their names, or with their places where it has no names."""
    return zip(getattr(state, "_fields", map(str, range(len(state)))), state, strict=True)


def _fits(found: tuple[int, ...], empty: tuple[int, ...]) -> bool:
    return len(found) == len(empty) and all(b in (a, 0) for a, b in zip(found, empty, strict=True))

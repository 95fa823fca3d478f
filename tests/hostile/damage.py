"""Each part of a JSON-like document something else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

OTHERS = (None, -1, 0, 1e308, float("nan"), True, "x", "", [], {}, 10**30, [[1, [2]]], {"x": [1]}, "y" * 3000)
At = tuple[Any, ...]


def changes(document: Any) -> Iterator[tuple[At, Any]]:
    """Yield copies without each part, and with each replaced by each of other things, and where that was done."""
    for at in _places(document):
        within = copy.deepcopy(document)
        del _at(within, at[:-1])[at[-1]]
        yield at, within
        for other in OTHERS:
            within = copy.deepcopy(document)
            _at(within, at[:-1])[at[-1]] = other
            yield at, within
    yield from (((), other) for other in OTHERS)


def _places(document: Any, at: At = ()) -> Iterator[At]:
    parts = document.items() if isinstance(document, dict) else enumerate(document[:3])
    for key, each in parts:
        yield (*at, key)
        if isinstance(each, dict | list):
            yield from _places(each, (*at, key))


def _at(document: Any, at: At) -> Any:
    for key in at:
        document = document[key]
    return document

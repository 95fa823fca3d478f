"""Two files or folders that change places at once."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def exchange(a: Path, b: Path) -> None:
    """Let two folders beside each other change places; on Linux there is no moment at which one is missing."""
    if not exchanged(a, b):
        _in_turn(a, b)


def exchanged(a: bytes | Path, b: bytes | Path) -> bool:
    """Let two files or folders change places in one step, if the system can, and return whether."""
    call = _call()
    return call is not None and call(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0


@cache
def _call() -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # another system
        return None
    return found


def _in_turn(a: Path, b: Path) -> None:
    aside = b.with_name(f"{a.name}.before")
    os.rename(b, aside)
    try:
        os.rename(a, b)
    except OSError:
        os.rename(aside, b)
        raise
    os.rename(aside, a)

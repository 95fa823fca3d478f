"""Finds plug-ins by name. A room is a folder of ``covdist``; each module or package in it is a plug-in.

A room of many has shelves: packages, named in its ``SHELVES``, whose modules are plug-ins of the room.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType


class NoSuchPluginError(LookupError):
    """A room has no plug-in of that name."""


def names(room: str) -> list[str]:
    """Return the names of a room's plug-ins, sorted, without importing them.

    A plug-in is called as its module, less a trailing underscore: ``missing/raise_.py`` is ``"raise"``.
    """
    return sorted(_modules(room))


def find(room: str, name: str) -> ModuleType:
    """Import and return a plug-in, or raise NoSuchPluginError.

    One that cannot be imported, for instance because an optional package is missing, raises the error of its import.
    """
    if name not in _modules(room):
        raise NoSuchPluginError(f"covdist.{room} has no {name!r}, only {', '.join(names(room))}")
    return importlib.import_module(_modules(room)[name])


def modules(room: str) -> list[ModuleType]:
    """Import and return all plug-ins of a room."""
    return [find(room, name) for name in names(room)]


@cache
def _modules(room: str) -> dict[str, str]:
    shelves = getattr(importlib.import_module(f"covdist.{room}"), "SHELVES", ())
    found: dict[str, str] = {}
    for place in (f"covdist.{room}", *(f"covdist.{room}.{shelf}" for shelf in shelves)):
        names = (info.name for info in pkgutil.iter_modules(importlib.import_module(place).__path__))
        own = [name for name in names if not name.startswith("_") and name not in shelves]
        found |= {name.removesuffix("_"): f"{place}.{name}" for name in own}
    return found

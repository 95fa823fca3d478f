"""``Callback`` of a module: a class made of one of a framework's, which is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from covdist.errors import DataError


def made_late(module: str, home: str, base: str, needs: str, make: Callable[[Any], type]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose ``Callback`` is made of the class ``base`` of ``home``.

    DataError with the sentence ``needs`` where there is none.
    """

    @cache
    def callback() -> type:
        try:
            found = getattr(import_module(home), base)
        except (ImportError, AttributeError) as error:
            raise DataError(needs) from error
        return make(found)

    def look_up(name: str) -> Any:
        if name == "Callback":
            return callback()
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return look_up

"""What every reading of ``Moments`` does with its arguments before it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from covdist.errors import DataError, shown
from covdist.results.labelled_state import LabelledState
from covdist.results.moments import Moments
from covdist.results.names import own_names

P = ParamSpec("P")
R = TypeVar("R")


def reading(function: Callable[Concatenate[Moments, P], R]) -> Callable[Concatenate[Moments, P], R]:
    """Refuse what are no moments, and answer options by other libraries' names, as ``own_names`` does."""
    checked = own_names(function)

    @wraps(function)
    def read(m: Moments, /, *arguments: P.args, **options: P.kwargs) -> R:
        check_moments(m, function.__name__)
        return checked(m, *arguments, **options)

    return read


def check_moments(given: Any, what: str) -> None:
    """Raise DataError where something is no moments, with what to pass instead."""
    if isinstance(given, LabelledState):
        return
    advice = "pass covdist.moments(x, dim=...), or a method of it"
    if isinstance(given, Mapping) and given:
        advice = f"pass one of its states, such as m[{shown(repr(next(iter(given))))}]"
    raise DataError(f"{what} reads moments, found a {type(given).__name__}: {advice}")

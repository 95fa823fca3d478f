"""State types by name: as files, messages, options and the command line know them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast

from covdist import plugins
from covdist.errors import DataError, shown
from covdist.given import choices
from covdist.state.base import StateType, can_answer

Named = str | Mapping[str, Any] | StateType
_has_parameters: Callable[[object], bool] = is_dataclass  # itself it would narrow types to what cannot be called
_CALL = re.compile(r"\s*([^()]+?)\s*(?:\((.*)\))?\s*")


@cache
def state_types() -> dict[str, Any]:
    """Return by name what stands in this folder: a class, or the dataclass of a type with parameters."""
    return {cls.name: cls for module in plugins.modules("state") for cls in _types_in(module)}


def _types_in(module: ModuleType) -> Iterator[Any]:
    for cls in vars(module).values():
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and isinstance(vars(cls).get("name"), str):
            yield cls


def state_type(given: Named | Sequence[Named]) -> StateType:
    """Return the type that a name such as "full" or "lagged(lag=3)" stands for; of several, that of all together."""
    if isinstance(given, str):
        return _called(given)
    if isinstance(given, Mapping):
        return _made(given.get("name"), {key: value for key, value in given.items() if key != "name"})
    if isinstance(given, Sequence):
        return state_type(given[0]) if len(given) == 1 else _made("together", {"states": tuple(given)})
    return given if hasattr(given, "accumulator") else _made(cast(Any, given), {})


def _called(text: str) -> StateType:
    match = _CALL.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        name, inside = match.groups()
        pairs = [part.split("=") for part in (inside or "").split(",") if part.strip()]
        parameters = {key.strip(): ast.literal_eval(value.strip()) for key, value in pairs}
    except (ValueError, SyntaxError):
        raise DataError(
            f"state={text!r} cannot be read: write a name such as 'full', or with numbers 'lagged(lag=3)'"
        ) from None
    return _made(name, parameters)


def _made(name: object, parameters: Mapping[str, Any]) -> StateType:
    known = state_types()
    if not isinstance(name, str) or name not in known:
        raise DataError(f"there is no state {shown(repr(name))}: pass one of {choices(name, sorted(_public()))}")
    cls = known[name]
    if not _has_parameters(cls):
        if parameters:
            raise DataError(f"the state {name!r} has no parameters, found {', '.join(parameters)}: leave them out")
        return cast(StateType, cls)
    try:
        return cast(StateType, cls(**parameters))
    except TypeError:
        allowed, found = ", ".join(inspect.signature(cls).parameters), ", ".join(parameters) or "none"
        raise DataError(f"the state {name!r} has the parameters {allowed}, found {found}: pass those") from None


def _offered() -> dict[str, Any]:
    """Return the types that a call can ask for."""
    return {name: cls for name, cls in state_types().items() if not is_beside_matrix(cls)}


def _public() -> list[str]:
    """Return the names of the types that a user names, other than those that stand for another option."""
    return [name for name, cls in _offered().items() if not hasattr(cls, "BY_OPTION")]


def described(kind: StateType) -> dict[str, Any]:
    """Return a type's name and parameters as JSON holds them; ``state_type`` returns the type again."""
    if isinstance(kind, type):
        return {"name": kind.name}
    return {"name": kind.name, **{each.name: _plain(getattr(kind, each.name)) for each in fields(cast(Any, kind))}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return described(value) if hasattr(value, "FIELDS") else value


def answering(answer: str) -> list[str]:
    """Return the names of the types whose states have an answer, without those that extend another such type."""
    found = {name: cls for name, cls in _offered().items() if _can_answer(cls, answer)}
    return [name for name, cls in found.items() if getattr(cls, "EXTENDS", None) not in found.values()]


def _can_answer(cls: Any, answer: str) -> bool:
    try:
        kind = cls() if _has_parameters(cls) else cls
    except TypeError:  # a type whose parameters say what it answers
        return False
    return can_answer(kind, answer)


def is_paired(kind: StateType) -> bool:
    """Return whether a type sets each column of x against the same column of y, so that both have as many."""
    return _marked(kind, "PAIRED")


def is_beside_matrix(kind: StateType) -> bool:
    """Return whether a type, or one of several together, is kept beside a matrix and is nothing to fold by itself."""
    return _marked(kind, "BESIDE_MATRIX")


def _marked(kind: StateType, mark: str) -> bool:
    """Return whether a type, or one of several together, has a mark."""
    held: Any = kind  # every type is hashable
    return _has_mark(held, mark)


@cache
def _has_mark(kind: Any, mark: str) -> bool:
    return getattr(kind, mark, False) or any(_marked(each, mark) for each in getattr(kind, "states", ()))


def stackable(kind: StateType) -> bool:
    """Return whether ``stacked`` states of a type answer of all at once, for single columns and for correlations."""
    return getattr(kind, "STACKABLE", False)


def containing(kind: StateType) -> StateType | None:
    """Return the type whose states of the same rows hold those of another, bit for bit."""
    return _containing(cast(Hashable, kind))


@cache
def _containing(kind: Any) -> StateType | None:
    return next((cls for cls in state_types().values() if getattr(cls, "CONTAINS", None) is kind), None)

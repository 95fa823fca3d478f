"""What is read of JSON, held to what it should be."""

from __future__ import annotations

from typing import Any


def of_kind(found: Any, kind: Any, name: str) -> Any:
    """Return what JSON holds under a name; ValueError where it is of another kind.

    A kind is a type, or several by ``|``; ``[kind]``, a list of such; ``(kind, kind)``, a list of one of each;
    ``{str: kind}``, a mapping of names to such; or a mapping of the names that must be there, or with ``?`` behind them
    may be, to their kinds, which says nothing of others. True and False are no ``int``.

    Examples
    --------
    >>> of_kind({"dim": "unit", "size": 3}, {"dim": str | None, "size": int, "levels?": [str]}, "axis")
    {'dim': 'unit', 'size': 3}
    >>> of_kind({"dim": "unit", "size": "3"}, {"dim": str, "size": int}, "axis")
    Traceback (most recent call last):
    ...
    ValueError: axis.size is '3', expected int
    """
    if isinstance(kind, list):
        for number, each in enumerate(_whole(found, list, name)):
            of_kind(each, kind[0], f"{name}[{number}]")
    elif isinstance(kind, tuple):
        if len(_whole(found, list, name)) != len(kind):
            raise ValueError(f"{name} has {len(found)} entries, expected {len(kind)}")
        for number, (each, of) in enumerate(zip(found, kind, strict=True)):
            of_kind(each, of, f"{name}[{number}]")
    elif isinstance(kind, dict) and str in kind:
        for key, each in _whole(found, dict, name).items():
            of_kind(each, kind[str], f"{name}.{key}")
    elif isinstance(kind, dict):
        _whole(found, dict, name)
        for key, of in kind.items():
            own = key.removesuffix("?")
            if own in found:
                of_kind(found[own], of, f"{name}.{own}")
            elif own == key:
                raise ValueError(f"{name} lacks {own}")
    else:
        _whole(found, kind, name)
    return found


def _whole(found: Any, kind: Any, name: str) -> Any:
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        said = repr(found)
        raise ValueError(
            f"{name} is {said if len(said) < 40 else f'a {type(found).__name__}'}, expected "
            f"{getattr(kind, '__name__', kind)}"
        )
    return found

"""What users give where a path, a word, a flag or names are meant: taken, or refused in one sentence at the door."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from difflib import get_close_matches
from typing import cast

import numpy as np

from covdist.errors import DataError, shown

_NEAR = 0.6  # of the letters of two names, how many they share in order: "maen" and "mean" share 3/4


def told(given: object) -> str:
    """Return what was given as messages show it: by its type where it cannot say what it is.

    Examples
    --------
    >>> told("x" * 100), told(2.5)
    ("'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'", '2.5')
    """
    try:
        return shown(repr(given))
    except Exception:  # its own, of any kind
        return f"a {type(given).__name__}"


def path_of(given: object, name: str = "path") -> str:
    """Return the text of a path or URL; DataError where it is none that a file can have.

    Examples
    --------
    >>> import pathlib
    >>> path_of(pathlib.PurePosixPath("runs/a.zarr"))
    'runs/a.zarr'
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        found = told(given) if isinstance(given, int | float | bytes | None) else f"a {type(given).__name__}"
        raise DataError(f"{name} is {found}, expected a path or URL: pass it as text, or as a pathlib.Path")
    if not text or "\0" in text or not _encodes(text):
        raise DataError(f"{name} is {told(text)}, which no file can be called: pass the path of a file or folder")
    return text


def _encodes(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def local_path(given: object, name: str = "path") -> str:
    """Return the text of a path on a disk; DataError where it is a URL."""
    text = path_of(given, name)
    if "://" in text:
        raise DataError(f"{shown(text, 300)} is a URL, expected a path on a disk: copy it from there, or to there")
    return text


def choices(given: object, known: Iterable[str], said: Callable[[str], str] = repr, most: int = 100) -> str:
    """Return names to choose from, of many the first, and which of all is nearest to what was given, if any is near.

    Examples
    --------
    >>> choices("ful", ["both", "full"])
    "'both', 'full'; nearest is 'full'"
    """
    names = list(known)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(said, names[:most])) + more + nearest(given, names, said)


def nearest(given: object, known: Iterable[str], said: Callable[[str], str] = repr) -> str:
    """Return the end of a sentence that says which name is nearest to what was given; nothing where none is near."""
    lower = {name.lower(): name for name in known}
    near = get_close_matches(given.lower(), lower, 1, _NEAR) if isinstance(given, str) else []
    return "".join(f"; nearest is {said(lower[name])}" for name in near)


def one_of(option: str, value: object, known: Sequence[str]) -> None:
    """Raise DataError where an option is none of the words that it may be."""
    if not isinstance(value, str) or value not in known:
        raise DataError(f"{option}={told(value)} is unknown: pass one of {choices(value, known)}")


def flag(option: str, given: object) -> bool:
    """Return whether an option is on; DataError where it is neither True nor False, as are "no" and arrays."""
    if isinstance(given, bool) or (isinstance(given, np.ndarray | np.generic) and _is_truth(given)):
        return bool(given)
    raise DataError(f"{option}={told(given)} is neither on nor off: pass True or False")


def _is_truth(given: np.ndarray | np.generic) -> bool:
    return given.ndim == 0 and given.dtype.kind == "b"


def whole(option: str, given: object, least: int = 1, most: int = 2**63 - 1) -> int:
    """Return a whole number; DataError where an option is none, or too small or large."""
    try:
        found = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        found = least - 1
    if isinstance(given, bool) or not least <= found <= most:
        to = f" to {most}" if most < 2**63 - 1 else ""
        raise DataError(f"{option} must be a whole number from {least}{to}, found {told(given)}.")
    return found


def text(option: str, given: object) -> str:
    """Return a name; DataError where it is no text."""
    if not isinstance(given, str):
        raise DataError(f"{option}={told(given)} is no name: pass it as text")
    return given


def dim_name(option: str, given: Hashable) -> Hashable:
    """Return the name of a dim or coordinate; DataError where it can be none, as an array."""
    try:
        hash(given)
    except TypeError as error:
        raise DataError(f"{option} is a {type(given).__name__}, expected the name of a dim: pass it as text") from error
    return given


def is_one(label: object) -> bool:
    """Return whether a label is one, and not several."""
    try:
        return np.ndim(label) == 0  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a Dataset, lists of several lengths
        return False


def names(option: str, given: object) -> tuple[str, ...]:
    """Return one name, or several; DataError where they are no text."""
    if isinstance(given, str):
        return (given,)
    try:
        found: tuple[str, ...] | None = tuple(cast("Iterable[str]", given))
    except (TypeError, ValueError):
        found = None
    if found is None or not all(isinstance(each, str) for each in found):
        raise DataError(f"{option}={told(given)} are no names: pass text, or a list of texts")
    return found

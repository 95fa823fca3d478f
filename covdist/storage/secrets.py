"""Removes credentials from what is written to a job directory, and from what stores say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from covdist.errors import HIDDEN, without_credentials

_KEYS = re.compile(
    r"secret|passw|token|credential|access|connection|(^|_)(api|account|private|client|sas|auth)?_?key$|^auth", re.I
)
_OPTIONS = "storage_options"


def known_secrets(options: object) -> tuple[str, ...]:
    """Return all texts within storage options that may be credentials, the longest first."""
    return tuple(sorted({text for text in _texts(options) if len(text) >= 6}, key=len, reverse=True))


def _texts(value: object, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, secret or bool(_KEYS.search(str(key))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, secret)
    elif secret and isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode(errors="replace")


def clean(value: object, secrets: tuple[str, ...] = ()) -> Any:
    """Return JSON-like content without storage options, credentials, by their keys, and the given secrets."""
    return clean_texts(_without_options(value), secrets)


def _without_options(value: object) -> object:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _KEYS.search(str(key)) and inner is not None else _without_options(inner)
            for key, inner in value.items()
            if key != _OPTIONS
        }
    return [_without_options(inner) for inner in value] if isinstance(value, list | tuple) else value


def clean_texts(value: object, secrets: tuple[str, ...] = ()) -> Any:
    """Return JSON-like content without the given secrets, and without those in URLs."""
    if isinstance(value, Mapping):
        return {clean_texts(key, secrets): clean_texts(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean_texts(inner, secrets) for inner in value]
    return clean_text(value, secrets) if isinstance(value, str) else value


def clean_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the given secrets, and without those in URLs."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return without_credentials(text)

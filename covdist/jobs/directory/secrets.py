"""Keeps credentials out of what is written for others to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_HIDDEN = "***"
_KEYS = re.compile(
    r"secret|passw|token|credential|access|connection|(^|_)(api|account|private|client|sas|auth)?_?key$|^auth", re.I
)
_OPTIONS = "storage_options"
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(
    r"([?&](?:X-Amz-[A-Za-z-]*|sig|signature|token|key|[a-z_]*access[a-z_]*|[a-z_]*secret[a-z_]*)=)[^&\s\"']+", re.I
)


def known_secrets(options: Any) -> tuple[str, ...]:
    """Return every text within storage options that might be a credential, the longest first."""
    return tuple(sorted({text for text in _texts(options) if len(text) >= 6}, key=len, reverse=True))


def _texts(value: Any, named: bool = False) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, named or bool(_KEYS.search(str(key))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, named)
    elif named and isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode(errors="replace")


def clean(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return JSON-like content without storage options and credentials.

    Parameters
    ----------
    value : dict, list, tuple, str, number or None
    secrets : strings
        Hidden wherever they stand.
    """
    secrets = tuple(secrets)
    if isinstance(value, Mapping):
        return {
            clean(key, secrets): _HIDDEN if _KEYS.search(str(key)) and inner is not None else clean(inner, secrets)
            for key, inner in value.items()
            if key != _OPTIONS
        }
    if isinstance(value, list | tuple):
        return [clean(inner, secrets) for inner in value]
    return _clean_text(value, secrets) if isinstance(value, str) else value


def _clean_text(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\g<1>{_HIDDEN}", _USER.sub(_HIDDEN, text))

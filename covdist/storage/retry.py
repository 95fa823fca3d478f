"""Tries again where a store is flaky, and not where it has said no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_BUSY = {408, 425, 429, 500, 502, 503, 504}
_WAITS = (0.2, 0.8, 3.2)


def patiently(call: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Return ``call()``, tried four times over about four seconds where the failure may pass.

    Timeouts, broken connections and the statuses 429, 500, 502, 503 and 504 may pass; a file that is missing or
    forbidden will stay so.
    """
    for wait in _WAITS:
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
        sleep(wait)
    return call()


def may_pass(error: BaseException) -> bool:
    """Say whether the same call may succeed a moment later."""
    found = statuses(error)
    if found:
        return not found.isdisjoint(_BUSY)
    return any(isinstance(one, TimeoutError | ConnectionError) for one in _chain(error))


def statuses(error: BaseException) -> set[int]:
    """Return the HTTP statuses that an error and its causes carry."""
    return {status for one in _chain(error) for status in _statuses(one)}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _statuses(error: BaseException) -> Iterator[int]:
    """Yield HTTP statuses by the names that aiohttp, requests and botocore give them."""
    response: Any = getattr(error, "response", None)
    found = [getattr(error, name, None) for name in ("status", "status_code", "code")]
    if isinstance(response, dict):
        found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    else:
        found.append(getattr(response, "status_code", None))
    for status in found:
        if isinstance(status, int | str) and str(status).isdigit() and 100 <= int(status) < 600:
            yield int(status)

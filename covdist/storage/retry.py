"""Repeats calls to a store after failures that may be temporary, and only after those."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_WAITS = (0.2, 0.8, 3.2)


def patiently(call: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Return ``call()``, tried up to four times within about four seconds.

    Timeouts, broken connections and the statuses 408, 425, 429, 500, 502, 503 and 504 are tried again; all other
    errors, such as a missing or forbidden file, are raised at once.
    """
    for wait in _WAITS:
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
            _log.debug("trying again in %s s after %s", wait, type(error).__name__)  # its text may hold credentials
        sleep(wait)
    return call()


def may_pass(error: BaseException) -> bool:
    """Return whether the same call may succeed a moment later."""
    if codes := statuses(error):
        return not codes.isdisjoint(_BUSY)
    return any(isinstance(cause, TimeoutError | ConnectionError) for cause in _chain(error))


def statuses(error: BaseException) -> set[int]:
    """Return the HTTP statuses of an error and its causes, as aiohttp, requests and botocore name them."""
    found: list[object] = []
    for cause in _chain(error):
        response = getattr(cause, "response", None)
        told = (getattr(cause, name, None) for name in ("status", "status_code", "code"))
        found.append(next((one for one in told if one is not None), None))  # aiohttp warns of its last
        found.append(getattr(response, "status_code", None))
        if isinstance(response, dict):
            found.append(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    numbers = {int(one) for one in found if isinstance(one, int | str) and str(one).isdigit()}
    return {number for number in numbers if 100 <= number < 600}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

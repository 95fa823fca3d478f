"""What a forked child must not keep."""

from __future__ import annotations

import os
from collections.abc import Callable


def after_fork(forget: Callable[[], None]) -> Callable[[], None]:
    """Let each forked child call a function first: it has copies of locks that nobody releases there."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=forget)
    return forget

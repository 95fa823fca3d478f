"""Packages that some formats lean on, which the core install does without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covdist.errors import LogError


@contextmanager
def needed(path: str) -> Iterator[None]:
    """Around an import: LogError names the extra that reads the file, where the package is not there."""
    try:
        yield
    except ImportError as error:
        raise LogError(
            f"{path} is read by a package that is not there ({error}): pip install 'covdist[formats]'."
        ) from error

"""Looks for files of a log, in local folders and behind URLs."""

from __future__ import annotations

import os

import fsspec  # type: ignore[import-untyped]

from covdist.errors import LogError


def is_url(path: str) -> bool:
    """Return whether a path is an address for fsspec; ``open_log`` has made ``file://`` a local path."""
    return "://" in path


def exists(path: str) -> bool:
    """Return whether a file or folder is there; LogError if its store cannot be asked."""
    if not is_url(path):
        return os.path.exists(path)
    try:
        system, place = fsspec.core.url_to_fs(path)
        return bool(system.exists(place))
    except Exception as error:  # each store raises errors of its own
        raise LogError(
            f"{path} cannot be looked up ({type(error).__name__}: {error}): check the address, the network and your "
            "permissions, and that the package for its protocol is installed."
        ) from error

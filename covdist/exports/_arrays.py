"""NumPy files of other tools: nothing is unpickled, and headers are held against the size of the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from covdist.errors import DataError, ResultError, shown
from covdist.logs.folder import read
from covdist.logs.source import Source, Unreadable

KINDS = "biuf"  # dtypes of numbers


def sources(path: str | Path, format: str) -> dict[str, Source]:
    """Return the arrays of a ``.npy`` or ``.npz`` file, or of a folder of ``.npy`` files, of which headers are read."""
    if not os.path.exists(path):  # a Path raises OSError where a name is too long
        raise ResultError(f"{path} does not exist: pass a {format} file")
    found: dict[str, Source] = {}
    for name, entry in read(str(path), "raise", False).get("", {}).items():
        if isinstance(entry, Unreadable):
            raise entry.error
        found[name] = entry.source
    return found


def needed(found: dict[str, Source], names: Sequence[str], path: str | Path, format: str) -> list[np.ndarray]:
    """Return arrays by their names; DataError where one is not there, or holds no numbers."""
    for name in names:
        if name not in found:
            there = shown(", ".join(found) or "nothing")
            raise DataError(f"{path} holds {there}, where a {format} file has {', '.join(names)}: pass such a file")
        if (dtype := found[name].dtype).kind not in KINDS:
            raise DataError(f"{name} in {path} has the dtype {dtype}, where numbers are expected: pass a {format} file")
    return [array(found[name]) for name in names]


def array(source: Source) -> np.ndarray:
    """Read a whole array, in the byte order of this machine."""
    values = np.asarray(source[tuple(slice(0, size) for size in source.shape)]).reshape(source.shape)
    return values.astype(values.dtype.newbyteorder("="), copy=False)

"""Rectangles of arrays of any strides, read by ranges of bytes instead of mapped into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from covdist.logs.chunk_bytes import read_into
from covdist.logs.remote.files import RemoteFile

_GAP = 1 << 20  # bytes that are rather read and thrown away than passed over by another request
_DENSE = 4  # one range is read where it has so many times the bytes that are wanted


def strided(file: RemoteFile, dtype: np.dtype, offset: int, shape: Sequence[int], steps: Sequence[int]) -> np.ndarray:
    """Return an array whose numbers lie ``steps`` numbers apart, in as many requests as its gaps are worth."""
    if 0 in shape:
        return np.empty(shape, dtype)
    reach = 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    if reach * dtype.itemsize <= max(_GAP, _DENSE * math.prod(shape) * dtype.itemsize):
        data = np.empty(reach * dtype.itemsize, np.uint8)
        file.seek(offset)
        read_into(file, data)
        return as_strided(data.view(dtype), shape, [step * dtype.itemsize for step in steps])
    axis = int(np.argmax([(size - 1) * step for size, step in zip(shape, steps, strict=True)]))
    half, row = shape[axis] // 2, steps[axis] * dtype.itemsize
    first = strided(file, dtype, offset, [*shape[:axis], half, *shape[axis + 1 :]], steps)
    rest = [*shape[:axis], shape[axis] - half, *shape[axis + 1 :]]
    return np.concatenate([first, strided(file, dtype, offset + half * row, rest, steps)], axis)

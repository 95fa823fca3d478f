"""Masked arrays as plain ones, with NaN for masked entries; also those in lists, whose masks NumPy drops."""

from __future__ import annotations

from typing import Any

import numpy as np


def unmasked(values: Any) -> np.ndarray:
    """Return an array whose masked entries are NaN; integers become float64 in all chunks, masked or not."""
    values = gathered(values)
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    return np.asarray(values.filled(np.nan) if values.dtype.kind in "fc" else values.filled())


def gathered(values: Any) -> Any:
    """Return lists that hold masked arrays, at whatever depth, as one masked array; all else as it is."""
    if not _holds_masked(values) or isinstance(values, np.ma.MaskedArray):
        return values
    return np.ma.stack([np.ma.asanyarray(gathered(each)) for each in values])


def _holds_masked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(map(_holds_masked, values))
    return isinstance(values, np.ma.MaskedArray)

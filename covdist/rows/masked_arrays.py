"""Masked arrays as plain ones, with NaN for masked entries."""

from __future__ import annotations

from typing import Any

import numpy as np


def unmasked(values: Any) -> np.ndarray:
    """Return an array whose masked entries are NaN; integers become float64 in all chunks, masked or not."""
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    return np.asarray(values.filled(np.nan) if values.dtype.kind in "fc" else values.filled())

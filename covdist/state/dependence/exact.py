"""States that keep rows as float64 refuse integers that this rounds."""

from __future__ import annotations

import numpy as np

from covdist.errors import DataError

_WHOLE = np.uint64(2**53)  # float64 has all integers up to here


def check_exact(rows: np.ndarray, state: str, instead: str) -> None:
    """Raise DataError where integers have more digits than the float64 that a state takes them as."""
    if rows.dtype.kind not in "iu" or rows.dtype.itemsize < 8:
        return
    sizes = np.abs(rows).view(np.uint64)
    rounded = (sizes > _WHOLE) & (sizes // np.maximum(sizes & (~sizes + np.uint64(1)), 1) > _WHOLE)
    if rounded.any():
        raise DataError(
            f"the state {state!r} keeps rows as float64, which rounds the integer {rows[rounded][0]}: subtract what "
            f"the values of such columns share, or {instead}"
        )

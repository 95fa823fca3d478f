"""Random projections of rows, which whoever reads a log can make again.

The matrix P (width, columns) is a sparse sign embedding: each of its rows holds 8 values ±1/√8, one in each of 8 equal
ranges of columns (Nelson and Nguyên, OSNAP, 2013). So E[P Pᵀ] = I: squared norms, inner products and traces of
covariances are kept in expectation, within about √(2/columns) of themselves, and the covariance of the projected rows
is Pᵀ C P exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from covdist.errors import DataError

PROJECTION = "covdist_projection"  # attribute of an array: {"width": ..., "columns": ..., "seed": ...}
_ENTRIES = 8  # in each row of the matrix


def matrix(attributes: Mapping[str, Any]) -> Any:
    """Return the matrix by which the rows of a recorded array were projected.

    Parameters
    ----------
    attributes : mapping
        Those of the array, ``log["fc1/gradient"].attrs``.

    Returns
    -------
    scipy.sparse.csr_array
        P, float32 (width, columns): rows ``x`` were recorded as ``x @ P``, feature dims flattened in C order.

    Raises
    ------
    DataError
        The array was recorded without ``project=``.

    Examples
    --------
    >>> P = matrix({"covdist_projection": {"width": 1000, "columns": 16, "seed": 0}})
    >>> P.shape, P.nnz
    ((1000, 16), 8000)
    """
    told = attributes.get(PROJECTION)
    if told is None:
        raise DataError(f"no attribute {PROJECTION}: give those of an array that was recorded with project=.")
    return signs(told["width"], told["columns"], told["seed"])


@lru_cache(maxsize=32)
def signs(width: int, columns: int, seed: int) -> Any:
    """Return the matrix of a seed: the same for all arrays as wide."""
    from scipy.sparse import csr_array

    entries = min(_ENTRIES, columns)
    # Raw numbers of Philox stay the same in all versions of NumPy, unlike what is drawn from them.
    raw = np.random.Philox(key=[seed, width]).random_raw((width, entries))
    starts = np.arange(entries + 1) * columns // entries
    found = starts[:-1] + ((raw >> np.uint64(1)) % np.diff(starts).astype(np.uint64)).astype(np.int64)
    values = np.where(raw & np.uint64(1), 1, -1).astype(np.float32) / np.float32(np.sqrt(entries))
    lines = np.arange(width + 1) * entries
    return csr_array((values.reshape(-1), found.reshape(-1), lines), shape=(width, columns))


def matrix_bytes(width: int) -> int:
    """Return the bytes of a matrix for rows of this width."""
    return width * (_ENTRIES * (4 + 8) + 8)


def drawn(width: int, count: int, seed: int) -> np.ndarray:
    """Return ``count`` of the numbers below ``width``, ascending: the same for all arrays as wide."""
    raw = np.random.Philox(key=[seed, width]).random_raw(width)
    return np.sort(np.argsort(raw, kind="stable")[:count])

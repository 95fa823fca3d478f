"""Arrays that count how often each of their chunks is made."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import dask.array as da
import numpy as np


class Counted:
    """A dask array whose chunks are counted when they are made; fit for schedulers of this process."""

    def __init__(self, values: np.ndarray, *chunks: int):
        self.made: Counter[tuple[int, ...]] = Counter()
        self._values = values
        chunked = da.core.normalize_chunks(chunks, values.shape)
        self.array = da.map_blocks(
            self._make, chunks=chunked, dtype=values.dtype, meta=np.empty((0,) * values.ndim, values.dtype)
        )
        self.every = Counter(product(*(range(len(axis)) for axis in chunked)))

    def _make(self, block_info: Any = None) -> np.ndarray:
        where = block_info[None]
        self.made[tuple(where["chunk-location"])] += 1
        return self._values[tuple(slice(*ends) for ends in where["array-location"])]

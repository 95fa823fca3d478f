"""A log in memory: cheap to read, and strict about what a reader may assume."""

from __future__ import annotations

from typing import Any

import numpy as np


class FakeSource:
    """Rows that drift, made from their numbers; ``read_chunk`` hands out the buffer it was given."""

    name = "fake/activation"

    def __init__(self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str = "f4"):
        self.shape, self.chunks, self.dtype = shape, chunks, np.dtype(dtype)
        self.token = f"fake-{shape}-{chunks}-{dtype}".replace(" ", "")
        self.buffer_size = int(np.prod(chunks)) * self.dtype.itemsize

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        return self._values([range(*each.indices(n)) for each, n in zip(index, self.shape, strict=True)])

    def read_chunk(self, index: tuple[int, ...], buffer: np.ndarray | None = None) -> np.ndarray:
        starts = [i * c for i, c in zip(index, self.chunks, strict=True)]
        stops = [min(s + c, n) for s, c, n in zip(starts, self.chunks, self.shape, strict=True)]
        values = self._values([range(*ends) for ends in zip(starts, stops, strict=True)])
        if buffer is None:
            return values
        held = buffer[: values.nbytes].view(self.dtype).reshape(values.shape)
        held[...] = values
        return held

    def _values(self, ranges: list[Any]) -> np.ndarray:
        total = np.zeros(())
        for each in ranges:
            total = np.add.outer(total * 1.7, np.asarray(each, np.float64))
        return (np.sin(total) + 1e-4 * total).astype(self.dtype)

    def values(self) -> np.ndarray:
        return self._values([range(n) for n in self.shape])

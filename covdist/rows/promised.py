"""What a dask array says of its chunks, which a function that it maps over them need not keep to."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from covdist.errors import DataError
from covdist.logs.dask_arrays import from_dask


def check_chunk(found: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise DataError where a chunk is not what was promised, over which kernels would run."""
    if found.shape != shape or (found.dtype.kind not in "biuf" and found.dtype != dtype):
        raise DataError(
            f"a chunk of a dask array came out as {found.dtype} of shape {found.shape}, expected {dtype} of "
            f"shape {shape}, as the array says: tell what makes it, such as map_blocks, the chunks and the dtype of "
            "what it returns"
        )


def checked(array: Any) -> Any:
    """Return a dask array whose chunks are checked as they are made; others, and those of a log, are as they say."""
    if not isinstance(array, da.Array) or from_dask(array) is not None:
        return array
    return da.map_blocks(_checked, array, chunks_=array.chunks, dtype_=array.dtype, dtype=array.dtype, meta=array._meta)


def _checked(block: Any, chunks_: Any, dtype_: np.dtype, block_id: tuple[int, ...]) -> Any:
    check_chunk(block, tuple(own[number] for own, number in zip(chunks_, block_id, strict=True)), dtype_)
    return block

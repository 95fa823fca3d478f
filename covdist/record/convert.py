"""A log of any format, written as Zarr with checksums."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import xarray as xr
import zarr
from dask.system import CPU_COUNT
from zarr.codecs import Crc32cCodec, ZstdCodec

from covdist.errors import DataError
from covdist.results.store import free_path, whole


def convert(log: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write all arrays of an opened log to a Zarr folder, whole or not at all.

    Values are decoded, so that fill values are NaN; chunks are those of the log, compressed by zstd and with a crc32c
    each, also where all values are zero.

    Parameters
    ----------
    log : xarray.DataTree
        As ``covdist.open_log`` returns it.
    path : str or path-like
        Local folder, which must not exist.

    Raises
    ------
    DataError
        The path is a URL.
    ResultError
        The path exists, or cannot be written.
    LogError
        A chunk cannot be read.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> from covdist.record.convert import convert
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/x.npy", np.ones((4, 2)))
    >>> convert(covdist.open_log(f"{folder}/x.npy"), f"{folder}/x.zarr")
    >>> covdist.open_log(f"{folder}/x.zarr")["x"].shape
    (4, 2)
    """
    place = os.fspath(path)
    if "://" in place:
        raise DataError(f"{place} is a URL, expected a local folder: convert to one, and copy that.")
    with (
        whole(free_path(place)) as partial,
        ThreadPoolExecutor(CPU_COUNT) as pool,  # ends with its last thread, before what was begun is removed
        dask.config.set(pool=pool),
        zarr.config.set({"array.write_empty_chunks": True}),
    ):
        _plain(log).to_zarr(partial, mode="w-", consolidated=False, encoding=_encoding(log))


def _plain(log: xr.DataTree) -> xr.DataTree:
    """Return the tree without what says how its values were encoded where they came from."""
    return log.map_over_datasets(xr.Dataset.drop_encoding)


def _encoding(log: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    return {node.path: _of_node(node.to_dataset(inherit=False)) for node in log.subtree}


def _of_node(node: xr.Dataset) -> dict[str, dict[str, Any]]:
    compressors = (ZstdCodec(level=1), Crc32cCodec())
    numbers = {str(name): each for name, each in node.variables.items() if each.dtype.kind in "biufc"}
    return {
        name: {"_FillValue": None, **({"compressors": compressors} if each.ndim else {})}
        for name, each in numbers.items()
    }

"""A log of any format, written as Zarr with checksums."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import numpy as np
import xarray as xr
import zarr
from dask.system import CPU_COUNT
from zarr.codecs import Crc32cCodec, ZstdCodec

from covdist.errors import DataError
from covdist.given import path_of
from covdist.results.store import free_path, whole

_UNITS = ("D", "h", "m", "s", "ms", "us", "ns")
_OF_TIMES = {"M": ("units", "calendar"), "m": ("units", "dtype")}  # attributes in which xarray says how it stores them
_TEXT = np.dtypes.StringDType()


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
        The path is a URL, or Zarr does not hold the dtype of an array.
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
    place = path_of(path)
    if "://" in place:
        raise DataError(f"{place} is a URL, expected a local folder: convert to one, and copy that.")
    if not isinstance(log, xr.DataTree):
        raise DataError(f"log is a {type(log).__name__}, expected an opened log: pass what covdist.open_log returns.")
    _check(log)
    with (
        whole(free_path(place)) as partial,
        ThreadPoolExecutor(CPU_COUNT) as pool,  # ends with its last thread, before what was begun is removed
        dask.config.set(pool=pool),
        zarr.config.set({"array.write_empty_chunks": True}),
    ):
        _plain(log).to_zarr(partial, mode="w-", consolidated=False, encoding=_encoding(log))


def _check(log: xr.DataTree) -> None:
    """Raise DataError for a name, dtype or attribute that Zarr does not hold, before anything is written."""
    for node in log.subtree:
        for name, each in node.to_dataset(inherit=False).variables.items():
            path = f"{node.path}/{name}".lstrip("/")
            _check_name(path)
            if (each.dtype.kind in "fV" and not _held(each.dtype)) or not _written(each.dtype):
                raise DataError(
                    f"{path} has dtype {each.dtype}, which Zarr does not hold: save it as numbers of 64 bits or fewer "
                    "first."
                )
            if taken := each.attrs.keys() & _OF_TIMES.get(each.dtype.kind, ()):
                raise DataError(
                    f"{path} has the attribute {min(taken)!r}, in which Zarr would say how {each.dtype} is stored: "
                    "rename the attribute first."
                )


def _check_name(path: str) -> None:
    if "\\" in path:
        raise DataError(f"{path} has a backslash in its name, which zarr takes for a slash: rename it first.")
    if "zarr.json" in path.split("/"):
        raise DataError(f"{path} has the name of the file in which Zarr keeps metadata: rename it first.")


def _written(dtype: np.dtype) -> bool:
    """Return whether xarray writes dates of this unit, where they are dates."""
    return dtype.kind not in "mM" or np.datetime_data(dtype) in {(unit, 1) for unit in _UNITS}


def _held(dtype: np.dtype) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dtypes that other libraries may not read
        try:
            zarr.create_array({}, shape=(1,), dtype=dtype)
        except (TypeError, ValueError):
            return False
    return True


def _plain(log: xr.DataTree) -> xr.DataTree:
    """Return the tree without what says how its values were encoded where they came from.

    Arrays and coordinates of no rows are loaded: of their dask chunks zarr would make chunks of size 0, which are not
    valid. Texts of NumPy, all of one length, become those of any length: Zarr's specification has no others.
    """
    return log.map_over_datasets(_as_zarr_holds_it)


def _as_zarr_holds_it(node: xr.Dataset) -> xr.Dataset:
    plain = node.drop_encoding()
    texts = {name: each for name, each in plain.variables.items() if _is_text(each)}
    plain = plain.assign({name: (each.dims, each.data.astype(_TEXT), each.attrs) for name, each in texts.items()})
    return plain.assign({name: each.load() for name, each in plain.variables.items() if not each.size})


def _is_text(variable: xr.Variable) -> bool:
    """Return whether an array is text of NumPy, or of pandas without rows, which xarray would write as float64."""
    return variable.dtype.kind == "U" or (variable.dtype.kind == "O" and not variable.size)


def _encoding(log: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    return {node.path: _of_node(node.to_dataset(inherit=False)) for node in log.subtree}


def _of_node(node: xr.Dataset) -> dict[str, dict[str, Any]]:
    compressors = (ZstdCodec(level=1), Crc32cCodec())
    numbers = {str(name): each for name, each in node.variables.items() if each.dtype.kind in "biufc"}
    return {
        name: {"_FillValue": None, **({"compressors": compressors} if each.ndim else {})}
        for name, each in numbers.items()
    }

"""Arrays that dask or xarray made of Zarr: read without zarr where that is possible, and the same in any case."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.logs.dask_arrays import from_dask
from covdist.logs.zarr.files import ZarrFileSource
from covdist.rows.stream import stream

VALUES = np.random.default_rng(0).normal(size=(50, 4)).astype("f4")


@pytest.fixture(params=[2, 3])
def path(request, tmp_path) -> str:
    dataset = xr.Dataset({"x": (("sample", "unit"), VALUES), "scaled": (("sample", "unit"), VALUES)})
    encoding: dict[str, Any] = {name: {"chunks": (7, 4)} for name in dataset}
    encoding["scaled"] |= {"dtype": "i4", "scale_factor": 1e-6, "_FillValue": -1}
    dataset.to_zarr(tmp_path / "log.zarr", encoding=encoding, zarr_format=request.param, consolidated=False)
    return str(tmp_path / "log.zarr")


def xarrays(path: str, **options: Any) -> da.Array:
    return xr.open_zarr(path, consolidated=False, **options)["x"].data


def indexed(path: str) -> da.Array:
    return xr.open_zarr(path, consolidated=False, chunks=None)["x"][::2].chunk(sample=7).data


OPENED = {
    "from_zarr": lambda path: da.from_zarr(path, component="x"),
    "from_zarr of an array": lambda path: da.from_zarr(zarr.open_array(path, path="x")),
    "from_array": lambda path: da.from_array(zarr.open_array(path, path="x"), chunks=(7, 4)),
    "open_zarr": xarrays,
}
OTHERWISE = {
    "larger chunks": lambda path: da.from_array(zarr.open_array(path, path="x"), chunks=(14, 4)),
    "chunks across": lambda path: da.from_array(zarr.open_array(path, path="x"), chunks=(9, 3)),
    "xarray's larger chunks": lambda path: xarrays(path, chunks={"sample": 14}),
    "indexed before it is chunked": lambda path: indexed(path),
    "in memory": lambda path: da.from_array(zarr.array(VALUES, chunks=(7, 4)), chunks=(7, 4)),
    "scaled": lambda path: xr.open_zarr(path, consolidated=False)["scaled"].data,
    "chosen": lambda path: da.from_zarr(path, component="x")[[5, 3, 3, 20]][:, 2],
    "sliced": lambda path: da.from_zarr(path, component="x")[3:40:2],
    "a slice of xarray's": lambda path: xarrays(path)[::-1, 1:],
    "computed": lambda path: da.from_zarr(path, component="x") * 2,
}  # fmt: skip


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_what_others_opened_is_read_without_zarr(path, opened):
    assert isinstance(from_dask(opened(path)), ZarrFileSource)


@pytest.mark.parametrize("opened", OTHERWISE.values(), ids=OTHERWISE)
def test_what_is_not_whole_chunks_of_a_local_array_is_left_to_dask(path, opened):
    assert from_dask(opened(path)) is None


@pytest.mark.parametrize("opened", {**OPENED, **OTHERWISE}.values(), ids={**OPENED, **OTHERWISE})
def test_however_it_was_opened_the_values_are_the_same(path, opened):
    array = opened(path)
    rows = stream(array, 1)
    pieces = [piece.copy() for piece in rows.part(0, len(array)).pieces()]
    np.testing.assert_array_equal(np.concatenate(pieces), array.compute())
    np.testing.assert_allclose(
        covdist.cov(array).compute(), np.cov(array.compute().T.astype("f8"), bias=True), rtol=1e-12
    )


def test_a_chunk_that_is_not_there_reads_as_the_fill_value(path):
    whole = zarr.open_array(path, path="x")
    whole[7:14] = 0
    array = da.from_zarr(path, component="x")
    expected = array.compute()
    assert (expected[7:14] == 0).all()
    np.testing.assert_allclose(covdist.moments(array).compute().mean(), expected.mean(axis=0, dtype="f8"), rtol=1e-14)
    assert covdist.moments(array).compute().dataset["zeros"].values.tolist() == [7, 7, 7, 7]

"""NetCDF-3 files, held to what each format is, and to what xarray and netCDF4 read of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

import covdist
from covdist.limits import changed
from covdist.logs.opening import open_log
from tests.logs.conformance import FormatTests

X = np.random.default_rng(0).normal(size=(60, 5))


class TestNetcdf3(FormatTests):
    """Of one array a file, else a file for each layer."""

    dtypes = ("int8", "int16", "int32", "float32", "float64")
    shapes = ((11, 5), (11, 1), (1, 5), (7,), (), (4, 3, 2))
    names = ("fc1/activation", "block 3/attn.q/gradient", "1/x y")
    records = False

    def write(self, folder, arrays):
        layers = {}
        for name, data in arrays.items():
            layers.setdefault(name.rpartition("/")[0], {})[name.rpartition("/")[2]] = data
        for layer, inside in layers.items():
            path = folder / f"{layer or 'log'}.nc"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._save(path, inside)
        return folder if "" not in layers else folder / "log.nc"

    def _save(self, path, arrays):
        with netcdf_file(path, "w", version=2) as file:
            if self.records:
                file.createDimension("sample", None)
            for name, data in arrays.items():
                dims = [f"{name}_{axis}" if len(arrays) > 1 else f"dim{axis}" for axis in range(data.ndim)]
                dims[:1] = ["sample"] if data.ndim and (len(arrays) == 1 or self.records) else dims[:1]
                for dim, size in zip(dims, data.shape, strict=False):
                    if dim not in file.dimensions:
                        file.createDimension(dim, size)
                variable = file.createVariable(name, data.dtype, dims)
                variable[(slice(None) if data.ndim else ...)] = data


@pytest.mark.slow
class TestRecords(TestNetcdf3):
    """Rows are records, each of which holds a row of all arrays of a file."""

    alike = True
    records = True
    shapes = ((11, 5), (11, 1), (1, 5), (7,), (4, 3, 2))


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_as_xarray_reads_it(tmp_path, form):
    data = xr.Dataset(
        {
            "activation": (("time", "unit"), X), "small": (("time", "unit"), X.astype("f4")),
            "byte": ("time", np.arange(60, dtype="i1")), "word": ("time", np.array(["a", "bcd", "ä"] * 20)),
            "packed": (("time", "unit"), np.where(X > 1, np.nan, X)), "fixed": ("unit", np.arange(5, dtype="i2")),
        },
        {"time": np.datetime64("2026-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D"), "unit": list("abcde")},
        {"title": "a run"},
    )  # fmt: skip
    packed = {"packed": {"dtype": "i2", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -9999}}
    data.to_netcdf(tmp_path / "x.nc", engine="scipy", format=form, unlimited_dims=["time"], encoding=packed)
    with xr.open_dataset(tmp_path / "x.nc", engine="scipy") as read, changed(npy_chunk_bytes=200):
        log = open_log(tmp_path / "x.nc")
        for name, each in read.variables.items():
            found = log.variables[name]
            assert found.dims == each.dims
            if each.dtype.kind in "OU":
                assert found.values.tolist() == each.values.tolist()
            else:
                assert found.dtype.newbyteorder("=") == each.dtype.newbyteorder("=")
                np.testing.assert_array_equal(found.values, each.values)
        x = log["activation"]
        assert len(x.chunks[0]) > 1
        np.testing.assert_array_equal(x[7:19, 1:3], X[7:19, 1:3])
        np.testing.assert_allclose(covdist.cov(x, dim="time").values, np.cov(X.T, ddof=0), rtol=1e-12)


def test_records_of_a_file_that_was_not_finished(tmp_path):
    with netcdf_file(tmp_path / "x.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("unit", 5)
        file.createVariable("x", "f4", ("time", "unit"))[:] = X.astype("f4")
    data = bytearray((tmp_path / "x.nc").read_bytes())
    data[4:8] = b"\xff" * 4
    (tmp_path / "x.nc").write_bytes(data)
    np.testing.assert_array_equal(open_log(tmp_path / "x.nc")["x"], X.astype("f4"))


def test_counts_of_64_bits(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "x.nc", "w", format="NETCDF3_64BIT_DATA") as file:
        file.createDimension("time", None)
        file.createDimension("unit", 5)
        for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
            file.createVariable(kind, kind, ("time", "unit"))[:] = np.abs(X * 9).astype(kind)
    found = open_log(tmp_path / "x.nc")
    for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        np.testing.assert_array_equal(found[kind], np.abs(X * 9).astype(kind))


def test_labels_are_looked_up(tmp_path):
    """pandas looks up no values of another byte order, which is that of all values of these files."""
    coords = {"unit": [3, 1, 7, 4, 2], "step": ("sample", np.repeat(np.arange(6), 10)), "depth": ("unit", np.ones(5))}
    xr.Dataset({"x": (("sample", "unit"), X)}, coords).to_netcdf(tmp_path / "log.nc", engine="scipy")
    x = open_log(tmp_path / "log.nc")["x"]
    np.testing.assert_array_equal(x.sel(unit=7), X[:, 2])
    by_step = covdist.var(x, dim="sample", by="step")
    np.testing.assert_allclose(by_step.sel(step=3, unit=7), X[30:40, 2].var(), rtol=1e-12)
    assert by_step.depth.dtype.isnative

"""``covdist inspect`` and ``covdist convert``."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.record import convert as converting

from .calling import output, sentence

RNG = np.random.default_rng(0)


@pytest.fixture
def files(tmp_path) -> Path:
    """Batches of activations, gradients with their steps, and a label, in NumPy's formats."""
    folder = tmp_path / "log"
    (folder / "fc1").mkdir(parents=True)
    for number in range(3):
        np.save(folder / "fc1" / f"activation_{number:03d}.npy", RNG.normal(size=(10 + number, 4)).astype("f4"))
    np.savez_compressed(
        folder / "fc2.npz", gradient=RNG.normal(size=(5, 6)), step=np.arange(5) * 10, split=["train"] * 5
    )
    return folder


def content(path: Path) -> dict:
    return json.loads(output("inspect", path, "--json"))["arrays"]


def test_inspect(files):
    found = content(files)
    one = found["fc1/activation"]
    assert (one["dims"], one["shape"], one["dtype"]) == (["sample", "unit"], [33, 4], "float32")
    assert (one["bytes"], one["stored_bytes"], one["missing_chunks"], one["checksum"]) == (528, 528, 0, None)
    assert found["fc2/gradient"]["codecs"] == ["deflate"]
    assert found["fc2/gradient"]["checksum"] == "crc32"
    assert found["fc2/step"]["coordinate"]
    assert found["fc2/split"]["dtype"] == "text"
    page = output("inspect", files)
    assert "sample 33 × unit 4" in page
    assert all(len(line) <= 80 for line in page.splitlines())


def test_inspect_counts_holes_and_names_what_cannot_be_read(tmp_path):
    root = zarr.open_group(tmp_path / "log", mode="w")
    x = root.create_array("fc1/x", shape=(10, 4), chunks=(5, 2), dtype="f8", shards=None, fill_value=0)
    x[:5] = 1
    root.create_array("fc1/y", shape=(4, 4), chunks=(2, 2), shards=(4, 2), dtype="f8")[:, :2] = 1
    (tmp_path / "log" / "fc2").mkdir()
    (tmp_path / "log" / "fc2" / "zarr.json").write_text("{")
    found = content(tmp_path / "log")
    assert found["fc1/x"]["missing_chunks"] == 2
    assert found["fc1/y"]["missing_chunks"] == 1
    assert "crc32c" not in found["fc1/x"]["codecs"]
    assert "unreadable" in found["fc2"]
    page = output("inspect", tmp_path / "log")
    assert "fc1/x 2, fc1/y 1" in " ".join(page.split())
    assert "fc2 cannot be read" in page


def test_attributes_are_json(tmp_path):
    data = xr.Dataset({"x": (("sample", "unit"), np.ones((2, 2)), {"_FillValue": np.nan, "n": np.float32(2)})})
    data.to_zarr(tmp_path / "log", consolidated=False)
    assert content(tmp_path / "log")["x"]["attributes"] == {"_FillValue": "nan", "n": 2.0}


def test_convert_keeps_values_names_and_coordinates(files, tmp_path):
    output("convert", files, tmp_path / "out.zarr")
    before, after = covdist.open_log(files), covdist.open_log(tmp_path / "out.zarr")
    xr.testing.assert_equal(before.load(), after.load())
    assert content(tmp_path / "out.zarr")["fc1/activation"]["checksum"] == "crc32c"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out.zarr"]


def test_zeros_are_written_and_fill_values_become_nan(tmp_path):
    data = xr.Dataset({"x": (("sample", "unit"), np.zeros((4, 2), "i2"), {"_FillValue": np.int16(-1)})})
    data["x"][1, 1] = -1
    data.to_zarr(tmp_path / "log", consolidated=False)
    output("convert", "--missing-chunks", "fill", tmp_path / "log", tmp_path / "out")
    found = covdist.open_log(tmp_path / "out")["x"]  # chunks of zeros are there
    assert np.isnan(found.values[1, 1])
    assert np.nansum(found.values) == 0
    assert content(tmp_path / "out")["x"]["missing_chunks"] == 0


def test_convert_loses_nothing_and_leaves_nothing_half_written(files, tmp_path, monkeypatch):
    (files / "fc3.npy").write_bytes(b"\x93NUMPY")
    assert "fc3 cannot be read, and would be lost" in sentence("convert", files, tmp_path / "out")
    (files / "fc3.npy").unlink()
    (tmp_path / "taken").mkdir()
    assert "taken exists already" in sentence("convert", files, tmp_path / "taken")
    assert "is a URL" in sentence("convert", files, "memory://out")
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda old, new: 1 / 0 if new == tmp_path / "out" else rename(old, new))
    with pytest.raises(ZeroDivisionError):
        converting.convert(covdist.open_log(files), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "taken"]


def test_convert_that_is_interrupted_leaves_nothing_that_its_threads_still_write(tmp_path):
    interrupted = threading.Event()

    def block(block_info: dict) -> np.ndarray:
        if block_info[None]["chunk-location"][0] == 0:
            interrupted.set()
            raise KeyboardInterrupt
        interrupted.wait(10)
        time.sleep(0.1)
        return np.ones((2, 3))

    x = da.map_blocks(block, chunks=((2, 2), (3,)), dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(KeyboardInterrupt), dask.config.set(num_workers=2):
        converting.convert(xr.DataTree(xr.Dataset({"x": (("sample", "unit"), x)})), tmp_path / "out")
    time.sleep(0.2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_convert_to_a_full_disk(number, files, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(xr.DataTree, "to_zarr", full)
    assert "cannot be written" in sentence("convert", files, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("dtype", [np.longdouble, [("a", "f8"), ("b", "f4", (4,))]])
def test_convert_what_zarr_does_not_hold(dtype, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(5, dtype))
    assert "has dtype" in sentence("convert", tmp_path / "x.npy", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("dtype", ["M8[Y]", "m8[W]", "M8[ps]", "M8[10us]"])
def test_convert_dates_of_units_that_xarray_does_not_write(dtype, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((6, 2)), date=np.arange(6).astype(dtype))
    said = sentence("convert", tmp_path / "x.npz", tmp_path / "out")
    assert f"date has dtype {np.dtype(dtype)}, which Zarr does not hold" in said
    assert not (tmp_path / "out").exists()


def test_convert_names_that_zarr_would_change(tmp_path):
    (tmp_path / "log" / "a\\b").mkdir(parents=True)
    np.save(tmp_path / "log" / "a\\b" / "x.npy", np.ones((3, 2)))
    said = sentence("convert", tmp_path / "log", tmp_path / "out")
    assert "a\\b/x has a backslash in its name, which zarr takes for a slash: rename it" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["zarr.json/x", "fc1/zarr.json"])
def test_convert_the_name_of_zarrs_own_file(path, tmp_path):
    np.savez(tmp_path / "log.npz", **{path: np.ones((3, 2))})
    said = sentence("convert", tmp_path / "log.npz", tmp_path / "out")
    assert f"{path} has the name of the file in which Zarr keeps metadata: rename it" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("dtype", "key"), [("M8[s]", "units"), ("M8[ns]", "calendar"), ("m8[s]", "units")])
def test_convert_times_with_an_attribute_that_says_how_times_are_stored(dtype, key, tmp_path):
    log = zarr.create_group(tmp_path / "log")
    times = log.create_array("date", shape=(2,), dtype=dtype, fill_value="NaT")
    times[:] = np.arange(1, 3).astype(dtype)
    times.attrs[key] = "days"
    said = sentence("convert", tmp_path / "log", tmp_path / "out")
    assert f"date has the attribute {key!r}, in which Zarr would say how" in said
    assert not (tmp_path / "out").exists()


def test_convert_coordinates_without_rows_beside_layers(tmp_path):
    log = zarr.create_group(tmp_path / "log")
    log.create_array("sample", shape=(0,), dtype="i8", dimension_names=["sample"])
    log.create_array("fc1/x", shape=(1, 2), chunks=(1, 1), dtype="f4", dimension_names=["row", "unit"])[:] = 1
    output("convert", tmp_path / "log", tmp_path / "out")
    assert covdist.open_log(tmp_path / "out").coords["sample"].shape == (0,)


def test_convert_labels_without_rows(tmp_path):
    log = zarr.create_group(tmp_path / "log")
    log.create_array("sample", shape=(0,), dtype=np.dtypes.StringDType(), dimension_names=["sample"])
    log.create_array("x", shape=(0, 2), dtype="f4", dimension_names=["sample", "unit"])
    output("convert", tmp_path / "log", tmp_path / "out")
    assert zarr.open_array(tmp_path / "out" / "sample", mode="r").dtype == np.dtypes.StringDType()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_convert_what_is_empty(shape, tmp_path):
    np.savez(tmp_path / "log.npz", **{"fc1/x": np.zeros(shape), "fc1/step": np.arange(shape[0])})
    output("convert", tmp_path / "log.npz", tmp_path / "out")
    before, after = covdist.open_log(tmp_path / "log.npz"), covdist.open_log(tmp_path / "out")
    xr.testing.assert_equal(before.load(), after.load())
    assert after["fc1/x"].shape == shape


def test_convert_to_no_folder(files, tmp_path):
    assert "does not exist: make it first" in sentence("convert", files, tmp_path / "none" / "out")


def test_results_say_what_verified_their_rows(files, tmp_path):
    log = covdist.open_log(files)
    plain, packed = log["fc1/activation"], log["fc2/gradient"]
    assert covdist.moments(plain, dim="sample").layout.provenance["checksum"] == "unverified"
    assert covdist.moments(packed, dim="step").layout.provenance["checksum"] == "crc32"
    assert "checksum" not in covdist.moments(plain.load(), dim="sample").layout.provenance
    converting.convert(log, tmp_path / "out")
    x = covdist.open_log(tmp_path / "out")["fc1/activation"]
    found = covdist.moments(x, dim="sample")
    assert found.layout.provenance["checksum"] == "crc32c"
    other = covdist.moments(covdist.open_log(files)["fc1/activation"], dim="sample")
    assert (found + other).layout.provenance["checksum"] == "crc32c; unverified"

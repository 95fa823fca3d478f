"""A Zarr array that changed since it was opened is refused; one that only grew is read as it was."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import LogError
from covdist.logs.dask_arrays import from_dask
from covdist.logs.zarr import reading
from covdist.record.recorder import Recorder

A = np.random.default_rng(0).normal(size=(40, 3))
CHANGED = r"^.* has changed since it was opened, .*: open the log again\.$"
FORMS: dict[str, dict[str, Any]] = {
    "v3": {},
    "v2": {"zarr_format": 2},
    "plain": {"compressors": None},
    "sharded": {"shards": (10, 3), "chunks": (5, 3)},
}


def long_ago(path: str | Path) -> None:
    """Have files written before: what changes them now may do so in the same tick of the clock."""
    for file in Path(path).rglob("*"):
        os.utime(file, ns=(1, 1))


def later(path: str | Path) -> None:
    """Have what was not written long ago written a moment later: it may have in the tick in which it was opened."""
    for file in Path(path).rglob("*"):
        if file.stat().st_mtime_ns > 1:
            os.utime(file, (time.time() + 1, time.time() + 1))


def save(path: str | Path, data: np.ndarray = A, **options: Any) -> None:
    zarr.create_array(str(path), data=data, overwrite=True, **{"chunks": (8, 3), **options})


def x_of(path: str | Path, **options: Any) -> xr.DataArray:
    return next(iter(covdist.open_log(path, **options).data_vars.values()))


def refused(x: xr.DataArray, *lazies: Any, parts: slice = slice(3, 5)) -> None:
    sent = pickle.dumps(from_dask(x.data))
    for read in (
        lambda: covdist.var(x, dim="sample").compute(), lambda: pickle.loads(sent)[parts, :], x[parts].compute,
        *(lazy.compute for lazy in lazies),
    ):  # fmt: skip
        with pytest.raises(LogError, match=CHANGED):
            read()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("data", [100 * A, 100 * np.concatenate([A, A]), A[:20]], ids=["same", "longer", "shorter"])
def test_written_anew(tmp_path, form, place, data):
    path = str(tmp_path / "x.zarr") if place == "folder" else f"memory:/{tmp_path}/x.zarr"
    save(path, **FORMS[form])
    long_ago(path)
    x = x_of(path)
    lazy = covdist.var(x, dim="sample")
    np.testing.assert_allclose(lazy.compute(), A.var(axis=0))
    save(path, data, **FORMS[form])
    refused(x, lazy)
    again = x_of(path)
    np.testing.assert_array_equal(again, data)
    assert from_dask(again.data).token != from_dask(x.data).token


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["folder", "memory"])
def test_a_chunk_written_in_place(tmp_path, form, place):
    path = str(tmp_path / "x.zarr") if place == "folder" else f"memory:/{tmp_path}/x.zarr"
    save(path, **FORMS[form])
    long_ago(path)
    x = x_of(path)
    lazy = covdist.var(x, dim="sample")
    zarr.open_array(path, mode="r+")[:6] = 7.0
    later(path)
    refused(x, lazy)
    np.testing.assert_array_equal(x[30:38], A[30:38])  # of chunks that nobody touched
    assert place == "memory" or from_dask(x_of(path).data).token != from_dask(x.data).token


def moved(path: Path) -> None:
    shutil.rmtree(path)
    path.with_name("other").rename(path)


def removed(path: Path) -> None:
    shutil.rmtree(path)


def as_another_type(path: Path) -> None:
    save(path, A.astype("f4"))


@pytest.mark.parametrize("change", [moved, removed, as_another_type])
@pytest.mark.parametrize("missing", ["raise", "fill"])
def test_a_folder_replaced(tmp_path, change, missing):
    save(tmp_path / "other", 100 * A)
    save(tmp_path / "x.zarr")
    long_ago(tmp_path / "x.zarr")
    x = x_of(tmp_path / "x.zarr", missing_chunks=missing)
    change(tmp_path / "x.zarr")
    refused(x)


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_zip_files(tmp_path, scheme):
    def pack(data: np.ndarray) -> None:
        save(tmp_path / "x", data)
        name = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "x")
        if scheme:
            fsspec.filesystem("memory").pipe(f"{tmp_path}/x.zip", Path(name).read_bytes())

    pack(A)
    x = x_of(f"memory:/{tmp_path}/x.zip" if scheme else tmp_path / "x.zip")
    np.testing.assert_array_equal(x, A)
    pack(100 * A)
    refused(x)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["folder", "memory"])
def test_an_array_may_grow(tmp_path, form, place):
    path = str(tmp_path / "x.zarr") if place == "folder" else f"memory:/{tmp_path}/x.zarr"
    save(path, A[:13], **FORMS[form])
    long_ago(path)
    x = x_of(path)
    source = from_dask(x.data)
    for start in (13, 17, 30):
        zarr.open_array(path, mode="r+").append(A[start : {13: 17, 17: 30, 30: 40}[start]])
        np.testing.assert_array_equal(x, A[:13])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3:13, :], A[3:13])
    np.testing.assert_array_equal(x_of(path), A)


def test_rows_that_xarray_appends(tmp_path):
    first = xr.Dataset({"x": (("sample", "unit"), A[:13])}, {"sample": np.arange(13)})
    first.chunk(sample=8).to_zarr(tmp_path / "x.zarr", consolidated=False)
    log = covdist.open_log(tmp_path / "x.zarr")
    more = xr.Dataset({"x": (("sample", "unit"), A[13:20])}, {"sample": np.arange(13, 20)})
    more.to_zarr(tmp_path / "x.zarr", append_dim="sample", consolidated=False)
    np.testing.assert_array_equal(log["x"], A[:13])


def record(path: Path | str, data: np.ndarray, **options: Any) -> Recorder:
    recorder = Recorder(path, chunk_bytes=200, **options)
    for step, row in enumerate(data):
        recorder.log(step, {"fc1/gradient": row, "fc1/activation": np.stack([row, row])}, epoch=step // 5)
    recorder.flush()
    return recorder


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("rank", [None, 0])
def test_a_log_that_is_being_recorded(tmp_path, place, rank):
    path = str(tmp_path / "run.zarr") if place == "folder" else f"memory:/{tmp_path}/run.zarr"
    with record(path, A[:7], rank=rank) as recorder:
        fc1 = covdist.open_log(path)["fc1"]
        lazy = covdist.var(fc1["gradient"], dim="step", by="epoch")
        for step in range(7, 40):
            recorder.log(step, {"fc1/gradient": A[step], "fc1/activation": A[step : step + 1]}, epoch=step // 5)
            recorder.flush()
            if step % 8 == 7:
                np.testing.assert_array_equal(fc1["gradient"], A[:7])
                np.testing.assert_array_equal(fc1["sample_epoch"], np.repeat([0, 0, 0, 0, 0, 1, 1], 2))
                np.testing.assert_allclose(lazy.compute()[0], A[:5].var(axis=0))
    assert "covdist_begun" not in fc1["gradient"].attrs


def test_between_the_writing_of_a_chunk_and_of_its_length(tmp_path):
    with record(tmp_path / "run.zarr", A[:7]) as recorder:
        gradient = covdist.open_log(tmp_path / "run.zarr")["fc1/gradient"]
        recorder.log(7, {"fc1/gradient": A[7]}, epoch=1)
        for track in recorder._tracks.by_dim.values():
            for column in track.columns:
                column.take().write()
        np.testing.assert_array_equal(gradient, A[:7])


def test_recorded_anew_or_from_an_earlier_step(tmp_path):
    path = tmp_path / "run.zarr"
    record(path, A[:7]).close()
    gradient = covdist.open_log(path)["fc1/gradient"].drop_vars(("step", "epoch"))
    with Recorder(path, mode="a", from_step=3, chunk_bytes=200) as recorder:
        for step in range(3, 9):
            recorder.log(step, {"fc1/gradient": -A[step], "fc1/activation": A[:2]}, epoch=0)
    refused(gradient.rename(step="sample"))
    gradient = covdist.open_log(path)["fc1/gradient"].drop_vars(("step", "epoch"))
    shutil.rmtree(path)
    record(path, -A[:20]).close()
    refused(gradient.rename(step="sample"))


OPENED: dict[str, Callable[[str], da.Array]] = {
    "dask": lambda path: da.from_zarr(path),
    "zarr": lambda path: da.from_array(zarr.open_array(path, mode="r"), chunks=(8, 3)),
    "sliced": lambda path: da.from_zarr(path)[1:],
}


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_what_others_opened(tmp_path, opened):
    path = str(tmp_path / "x.zarr")
    save(path)
    lazy = covdist.var(opened(path))
    save(path, 100 * A)
    with pytest.raises(LogError, match=CHANGED):
        lazy.compute()
    x = opened(path)
    save(path, A.astype("f4"))
    with pytest.raises(LogError, match=CHANGED):
        covdist.var(x).compute()


def test_what_xarray_opened(tmp_path):
    xr.Dataset({"x": (("sample", "unit"), A)}).to_zarr(tmp_path / "x.zarr", consolidated=False)
    x = xr.open_zarr(tmp_path / "x.zarr", consolidated=False)["x"]
    lazy = covdist.var(x, dim="sample")
    xr.Dataset({"x": (("sample", "unit"), 100 * A)}).to_zarr(tmp_path / "x.zarr", consolidated=False, mode="w")
    with pytest.raises(LogError, match=CHANGED):
        lazy.compute()


def test_two_openings_share_their_keys_and_a_changed_array_has_others(tmp_path):
    save(tmp_path / "x.zarr")
    first, second = (covdist.var(x_of(tmp_path / "x.zarr"), dim="sample") for _ in range(2))
    assert first.data.name == second.data.name
    zarr.open_array(str(tmp_path / "x.zarr"), mode="r+")[...] = A * 100
    with pytest.raises(LogError, match=CHANGED):
        dask.compute(first, covdist.var(x_of(tmp_path / "x.zarr"), dim="sample"))
    os.utime(tmp_path / "x.zarr" / "zarr.json", ns=(1, 1))
    assert covdist.var(x_of(tmp_path / "x.zarr"), dim="sample").data.name != first.data.name


def test_a_file_that_never_rests(monkeypatch):
    xr.Dataset({"a": (("sample", "unit"), np.ones((4, 2)))}).to_zarr(
        "memory://restless.zarr", mode="w", consolidated=False
    )
    log, told = covdist.open_log("memory://restless.zarr"), iter(range(1000))
    monkeypatch.setattr("covdist.logs.zarr.arrays.tag", lambda found: (next(told),))
    with pytest.raises(LogError, match=r"a: .* has changed since it was opened, it is written to again and again"):
        covdist.var(log["a"], dim="sample").compute()


def test_a_shard_that_does_not_fit_while_it_is_written_to_is_read_again(tmp_path, monkeypatch):
    save(tmp_path / "x.zarr", **FORMS["sharded"])
    source = from_dask(x_of(tmp_path / "x.zarr").data)
    stamps = iter([((1,), 0), ((2,), 0)])
    whole, torn = type(source)._encoded, iter([True])

    def encoded(self, *given):
        if next(torn, False):
            raise ValueError("its crc32c does not fit its bytes")
        return whole(self, *given)

    monkeypatch.setattr(type(source), "_encoded", encoded)
    monkeypatch.setattr(type(source), "_stamp", lambda self, key: next(stamps, ((2,), 0)))
    np.testing.assert_array_equal(source[0:5, 0:3], A[:5])


def test_a_chunk_that_does_not_fit_while_it_is_written_to_is_read_again(tmp_path, monkeypatch):
    with Recorder(tmp_path / "log") as rec:
        for step in range(4):
            rec.log(step, {"loss": step})
            rec.flush()
        loss = covdist.open_log(tmp_path / "log")["loss"]
        source = from_dask(loss.data)
        whole, torn = type(source)._encoded, iter([True, True])

        def encoded(self, file):
            data = whole(self, file)
            return data[:-5] if next(torn, False) else data

        monkeypatch.setattr(type(source), "_encoded", encoded)
        np.testing.assert_array_equal(loss.values, range(4))
        torn = iter([True] * 3)
        with pytest.raises(LogError, match="damaged"):
            loss.compute()


@pytest.mark.parametrize("options", [{"chunk": 4}, {"chunk": 4, "shard": 3}], ids=["chunks", "shards"])
@pytest.mark.parametrize("place", ["folder", "memory"])
def test_rows_that_are_recorded_while_it_is_opened(tmp_path, monkeypatch, place, options):
    path = str(tmp_path / "log") if place == "folder" else f"memory:/{tmp_path}/log"
    real = reading.opening
    with Recorder(path, **options) as rec:
        rec.log(0, {"a": A[:5]})
        rec.flush()

        @contextmanager
        def meanwhile():
            with real() as now:
                time.sleep(0.02)
                rec.log(1, {"a": A[5:]})
                rec.flush()
                yield now

        monkeypatch.setattr(reading, "opening", meanwhile)
        x = covdist.open_log(path)["a"]
        rec.log(2, {"a": A})
        np.testing.assert_array_equal(x.values, A)

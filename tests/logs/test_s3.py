"""Logs on S3, as far as a server in this process is like it: each format is read, and so is what a Recorder writes."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import LogError
from tests.object_store import s3fs, serving

pytestmark = pytest.mark.filterwarnings("default")  # of the server's own packages
X = np.random.default_rng(0).normal(size=(40, 5)).astype("f4")


@pytest.fixture(scope="module")
def options():
    with serving("logs") as found:
        yield found


@pytest.fixture
def store(options):
    return s3fs.S3FileSystem(**options, use_listings_cache=False)


@pytest.fixture
def environment(options, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["client_kwargs"]["endpoint_url"])
    s3fs.S3FileSystem.clear_instance_cache()


def npz(path):
    with path.open("wb") as file:
        np.savez(file, x=X)


def npy(path):
    with path.open("wb") as file:
        np.save(file, X)


def safetensors(path):
    pytest.importorskip("safetensors.numpy").save_file({"x": X}, path)


def hdf5(path):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_dataset("x", data=X, chunks=(8, 5), compression="gzip")


def parquet(path):
    pa, library = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    column = pa.FixedSizeListArray.from_arrays(X.ravel(), 5)
    library.write_table(pa.table({"x": column}), path, row_group_size=8)


def arrow(path):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(X.ravel(), 5)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, 8)


@pytest.mark.parametrize("write", [npy, npz, safetensors, hdf5, parquet, arrow], ids=lambda each: each.__name__)
def test_formats(tmp_path, options, store, write):
    write(tmp_path / "x")
    url = f"s3://logs/formats/{write.__name__}"
    store.put_file(str(tmp_path / "x"), f"{url}/x")
    for place in (f"{url}/x", url):
        log = covdist.open_log(place, storage_options=options)
        x = next(node[name] for node in log.subtree for name in node.data_vars)
        np.testing.assert_array_equal(x, X)
        assert options["secret"] not in f"{x!r}{x.data.dask!r}"
    store.pipe_file(f"{url}/x", b"other" * 100)
    with pytest.raises(LogError, match="has changed since it was opened"):
        x.compute()
    store.rm_file(f"{url}/x")
    with pytest.raises(LogError, match="it is no longer there"):
        x.compute()


def test_numbered_files(tmp_path, options, store):
    for step in range(12):
        np.save(tmp_path / "x.npy", X + step)
        store.put_file(str(tmp_path / "x.npy"), f"s3://logs/numbered/act_step_{step:03}.npy")
    x = covdist.open_log("s3://logs/numbered", storage_options=options)["act"]
    np.testing.assert_array_equal(x, np.concatenate([X + step for step in range(12)]))


def test_zarr_takes_options(options, store):
    root = zarr.open_group(zarr.storage.FsspecStore.from_url("s3://logs/a.zarr", storage_options=options), mode="w")
    root.create_array("fc1/x", data=X, chunks=(8, 5))
    np.testing.assert_array_equal(covdist.open_log("s3://logs/a.zarr", storage_options=options)["fc1/x"], X)


@pytest.mark.usefixtures("environment")
def test_a_recorder_writes_and_goes_on(store):
    url = "s3://logs/run.zarr"
    for mode, first in (("x", 0), ("a", 20)):
        with covdist.Recorder(url, mode=mode, chunk=8) as rec:
            for row in range(first, first + 20):
                rec.log(row, {"fc1/activation": X[row : row + 1]})
    x = covdist.open_log(url)["fc1/activation"]
    np.testing.assert_array_equal(x, X)
    store.rm_file("logs/run.zarr/fc1/activation/c.2.0")
    with pytest.raises(LogError, match=r"chunk c\.2\.0 is not in the store"):
        x.compute()


def test_one_request_in_twenty_fails(tmp_path, options, store, monkeypatch):
    npz(tmp_path / "x.npz")
    store.put_file(str(tmp_path / "x.npz"), "s3://logs/patchy.npz")
    luck, failed = np.random.default_rng(0), []

    def patchy(call):
        async def made(self, method, *args, **kwargs):
            if luck.random() < 0.05:
                failed.append(method)
                raise ConnectionError("by chance")
            return await call(self, method, *args, **kwargs)

        return made

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", patchy(s3fs.S3FileSystem._call_s3))
    monkeypatch.setattr("covdist.storage.retry._WAITS", (0.001,) * 4)
    for _ in range(30):
        np.testing.assert_array_equal(covdist.open_log("s3://logs/patchy.npz", storage_options=options)["x"], X)
    assert failed

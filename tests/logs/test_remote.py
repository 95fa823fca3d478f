"""Logs behind URLs: what is asked of their stores, what is refused, and that credentials stay out of every text."""

from __future__ import annotations

import pickle
import warnings

import fsspec
import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import LogError
from covdist.limits import changed
from covdist.logs.dask_arrays import from_dask
from covdist.logs.paths import below
from covdist.logs.remote.files import RemoteFile
from covdist.logs.remote.urls import Url
from tests.cli.calling import call
from tests.logs.serving import in_memory
from tests.logs.test_bergson import written

X = np.random.default_rng(0).normal(size=(40, 5)).astype("f4")
SECRET = "abcd1234secret"


@pytest.mark.parametrize("scheme", ["memory", "http"])
def test_folders_are_read_as_local_ones(tmp_path, scheme, request):
    log = tmp_path / "log"
    (log / "fc 1%").mkdir(parents=True)
    for step in range(3):
        np.save(log / "fc 1%" / f"activation_step_{step:04}.npy", X + step)
    np.savez(log / "rest.npz", **{"a": X, "b/c": X[:, 0]})
    url = in_memory(log) if scheme == "memory" else request.getfixturevalue("server").url(log)
    for path in (url, f"{url}/"):
        here, there = covdist.open_log(log), covdist.open_log(path)
        assert there.identical(here.compute())
    assert covdist.open_log(url, concat=False)["fc 1%/activation_step_0002"].shape == X.shape


def test_shards_of_bergson(tmp_path):
    parts = [written(tmp_path / "log" / f"shard-{number:05d}", rows) for number, rows in enumerate((300, 5))]
    x = covdist.open_log(in_memory(tmp_path / "log"))["layers/0/mlp/gradient"]
    np.testing.assert_array_equal(x, np.concatenate([part["layers.0.mlp"] for part in parts]))


@pytest.mark.parametrize("order", ["C", "F"])
def test_parts_of_large_arrays(tmp_path, order, server):
    data = np.asarray(np.random.default_rng(0).normal(size=(3000, 700)), "f8", order=order)
    np.save(tmp_path / "x.npy", data)
    for url in (in_memory(tmp_path / "x.npy"), server.url(tmp_path / "x.npy")):
        source = from_dask(covdist.open_log(url)["x"].data)
        for rows, columns in ((slice(5, 9), slice(0, 700)), (slice(0, 3000), slice(3, 4)), (slice(7, 7), slice(0, 1))):
            np.testing.assert_array_equal(source[rows, columns], data[rows, columns])
    server.sent = 0
    assert source[slice(0, 3000), slice(3, 4)].shape == (3000, 1)
    assert server.sent < (data.nbytes if order == "C" else 3000 * 8 + 1000) + (1 << 17)


def test_headers_take_few_requests(tmp_path, server):
    np.savez(tmp_path / "x.npz", **{f"fc{number}/x": X for number in range(50)})
    log = covdist.open_log(server.url(tmp_path / "x.npz"))
    assert len(log.children) == 50
    assert len(server.asked) < 30
    assert server.sent < 1 << 18


def test_a_server_without_ranges(tmp_path, server):
    server.ranges = False
    wide = np.random.default_rng(0).normal(size=(40, 5000))
    np.savez(tmp_path / "x.npz", a=wide, b=X)
    url = server.url(tmp_path / "x.npz")
    log = covdist.open_log(url)
    np.testing.assert_array_equal(log["a"], wide)
    np.testing.assert_array_equal(log["b"], X)
    said = r"has 1,60\d,\d\d\d bytes, .* up to 1,000 bytes: "
    with changed(whole_file_bytes=1000), pytest.raises(LogError, match=said):
        covdist.open_log(url)


def test_a_server_that_tells_no_size(tmp_path, server):
    server.sized = False
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(LogError, match="does not tell how large it is"):
        covdist.open_log(server.url(tmp_path / "x.npy"))


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # zarr warns of it in version 3
def test_zarr_behind_a_server_that_lists_nothing(tmp_path, server):
    data = np.arange(12.0).reshape(4, 3)
    zarr.open_group(tmp_path / "log", mode="w").create_array("fc1/x", data=data, chunks=(2, 3))
    server.lists = False
    with pytest.raises(LogError, match="a store that lists nothing"):
        covdist.open_log(server.url(tmp_path / "log"))
    zarr.consolidate_metadata(tmp_path / "log")
    np.testing.assert_array_equal(covdist.open_log(server.url(tmp_path / "log"))["fc1/x"], data)


def test_pages_lead_nowhere_else(tmp_path, server):
    for name in ("log", "other"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", X)
    links = ("x.npy", "../other/x.npy", "/other/x.npy", "http://127.0.0.2:1/x.npy", "?C=N", "x.npy?v=2", "..%2fother/",
             "", ".", "/", "mailto:x", "%00.npy", "%2e%2e/")  # fmt: skip
    server.pages["log"] = "".join(f'<a href="{each}">x</a>' for each in links)
    assert list(covdist.open_log(server.url(tmp_path / "log"))) == ["x"]
    assert not [asked for asked in server.asked if "other" in asked]


def test_failures_that_pass(tmp_path, server, monkeypatch):
    monkeypatch.setattr("covdist.storage.retry._WAITS", (0.001,) * 4)
    np.savez(tmp_path / "x.npz", **{f"fc{number}/x": X + number for number in range(20)})
    server.failing = 0.05
    with changed(npy_chunk_bytes=100):
        log = covdist.open_log(server.url(tmp_path / "x.npz"))
    for number in range(20):
        np.testing.assert_array_equal(log[f"fc{number}/x"], X + number)
    assert len(server.asked) > 300
    server.failing = 1.0
    with pytest.raises(LogError, match=r"cannot be looked up .*503"):
        log["fc3/x"].compute()


def test_a_file_that_is_not_there(tmp_path, server):
    for url in (server.url(tmp_path / "x.npy"), "memory://nowhere/x.npy"):
        with pytest.raises(LogError, match=r"x\.npy does not exist, or holds no log"):
            covdist.open_log(url)


# ---- credentials


def test_credentials_stay_out_of_texts(tmp_path, server):
    np.save(tmp_path / "x.npy", X)
    plain = server.url(tmp_path / "x.npy")
    for url in (f"{plain}?X-Amz-Signature={SECRET}", plain.replace("://", f"://me:{SECRET}@")):
        x = covdist.open_log(url, storage_options={"headers": {"x-token": SECRET}})["x"]
        source = pickle.loads(pickle.dumps(from_dask(x.data)))
        np.testing.assert_array_equal(source[:, :], X)
        result = covdist.cov(x, dim="sample").compute()
        assert SECRET not in f"{source!r} {source} {x!r} {result!r} {result.attrs} {x.__dask_graph__()!r}"
    call("run", url, "-o", tmp_path / "result.zarr")
    kept = [each.read_bytes() for each in (tmp_path / "result.zarr").rglob("*") if each.is_file()]
    assert kept
    assert not [each for each in kept if SECRET.encode() in each]
    assert any(f"X-Amz-Signature={SECRET}" in asked for asked in server.asked)


def test_credentials_stay_out_of_errors(tmp_path, server, monkeypatch):
    monkeypatch.setattr("covdist.storage.retry._WAITS", ())
    (tmp_path / "log").mkdir()
    np.save(tmp_path / "log" / "x.npy", X)
    (tmp_path / "log" / "y.npy").write_bytes(b"\x93NUMPY\x01\x00")
    plain = server.url(tmp_path / "log")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        log = covdist.open_log(plain.replace("://", f"://me:{SECRET}@"))
    assert said
    server.failing, texts = 1.0, [str(each.message) for each in said]
    for read in (log["x"].compute, lambda: covdist.open_log(f"{plain}/x.npy?sig={SECRET}")):
        with pytest.raises(LogError) as caught:
            read()
        texts.append(f"{caught.value} {caught.value!r}")
    assert SECRET not in " ".join(texts)


@pytest.mark.parametrize(
    ("url", "names", "expected"),
    [
        ("s3://b/a/", ("x", "", "y"), "s3://b/a/x/y"),
        ("zip::s3://b/a.zip", ("x",), "zip://x::s3://b/a.zip"),
        ("zip://in::s3://b/a.zip", ("x",), "zip://in/x::s3://b/a.zip"),
        ("http://h/a?sig=1", ("x y",), "http://h/a/x%20y?sig=1"),
        ("memory://", ("x",), "memory://x"),
    ],
)
def test_what_lies_below(url, names, expected):
    found = below(Url(url, {"anon": True}), *names)
    assert isinstance(found, Url)
    assert (found.full, found.options) == (expected, {"anon": True})


def test_an_open_file_reads_like_a_local_one(tmp_path):
    data = np.random.default_rng(0).bytes(300_000)
    (tmp_path / "x").write_bytes(data)
    with RemoteFile(Url(in_memory(tmp_path / "x"))) as file, (tmp_path / "x").open("rb") as own:
        for place, whence, size in (
            (0, 0, 10),
            (70_000, 0, 3),
            (-5, 2, 9),
            (0, 2, 4),
            (65_530, 0, 200_000),
            (-7, 1, 20),
        ):
            assert file.seek(place, whence) == own.seek(place, whence)
            assert file.read(size) == own.read(size)
            assert file.tell() == own.tell()


def test_options_reach_the_store(tmp_path):
    class Asked(fsspec.implementations.memory.MemoryFileSystem):
        protocol = "asked"

        def __init__(self, word=None, **options):
            super().__init__(**options)
            assert word == SECRET

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("asked://"))

    fsspec.register_implementation("asked", Asked, clobber=True)
    np.save(tmp_path / "x.npy", X)
    url = in_memory(tmp_path / "x.npy").replace("memory://", "asked://")
    log = covdist.open_log(url, storage_options={"word": SECRET})
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(log["x"])), X)

"""Stores of zarr as objects: read as the same log on disk is, and never mixed."""

from __future__ import annotations

import pickle
import threading

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.memory import MemoryFileSystem
from zarr.storage import FsspecStore, LocalStore, MemoryStore, WrapperStore, ZipStore

import covdist
from covdist.errors import DataError, LogError

X = np.random.default_rng(0).normal(size=(40, 5)).astype("f4")
SECRET = "abcd1234secret"


def written(store, x=X, version=3):
    group = zarr.open_group(store, mode="a", zarr_format=version)
    group.create_array("fc1/activation", data=x, chunks=(7, 5))
    shards = {"shards": (14, 5)} if version == 3 else {}
    group.create_array("fc2/gradient", data=2 * x, chunks=(7, 5), **shards)
    return store


class Counting(WrapperStore):
    """Counts reads of chunks."""

    def __init__(self, store):
        super().__init__(store)
        self.reads = []

    async def get(self, key, prototype, byte_range=None):
        if "zarr.json" not in key and not key.rpartition("/")[2].startswith(".z"):
            self.reads.append(key)
        return await super().get(key, prototype, byte_range)


class Failing(Counting):
    """Fails for one chunk, and says more than it should."""

    async def get(self, key, prototype, byte_range=None):
        if key == "fc1/activation/c/2/0":
            raise KeyError(f"https://me:{SECRET}@host/bucket")
        return await super().get(key, prototype, byte_range)


class Locked(Counting):
    """Cannot be pickled."""

    def __init__(self, store):
        super().__init__(store)
        self.lock = threading.Lock()


class Reading(MemoryStore):
    """Makes no copy of itself that only reads."""

    def with_read_only(self, read_only=False):
        raise NotImplementedError


def zipped(path):
    with ZipStore(path, mode="w") as store:
        written(store)
    return ZipStore(path)


STORES = {
    "memory": lambda path: written(MemoryStore()),
    "local": lambda path: written(LocalStore(path / "x")),
    "zip": lambda path: zipped(path / "x.zip"),
    "fsspec": lambda path: written(FsspecStore.from_url(f"memory://{path}")),
    "wrapped": lambda path: Counting(written(MemoryStore())),
    "no copy": lambda path: written(Reading()),
}


@pytest.mark.parametrize("name", STORES)
def test_bits_are_those_of_the_log_on_disk(tmp_path, name):
    written(tmp_path / "log.zarr")
    there = covdist.open_log(STORES[name](tmp_path))
    assert there.compute().identical(covdist.open_log(tmp_path / "log.zarr").compute())
    cov = covdist.cov(covdist.open_log(tmp_path / "log.zarr")["fc2/gradient"], dim="step").compute()
    assert covdist.cov(there["fc2/gradient"], dim="step").compute().identical(cov)


def test_version_2_and_an_array_alone():
    log = covdist.open_log(written(MemoryStore(), version=2))
    np.testing.assert_array_equal(log["fc1/activation"], X)
    alone = MemoryStore()
    zarr.create_array(alone, data=X, chunks=(7, 5))
    np.testing.assert_array_equal(covdist.open_log(alone)["log"], X)


def test_processes_read_what_they_are_sent(processes):
    store = written(MemoryStore())
    source = covdist.open_log(store)["fc1/activation"]
    cov = covdist.cov(source, dim="sample").compute()
    assert covdist.cov(source, dim="sample").compute(scheduler="processes", pool=processes).identical(cov)


def test_two_stores_with_the_same_names_do_not_mix():
    one, other = (covdist.open_log(written(MemoryStore(), x)) for x in (X, X + 1))
    for name, factor in (("fc1/activation", 1), ("fc2/gradient", 2)):
        assert one[name].data.name != other[name].data.name
        np.testing.assert_array_equal(one[name], factor * X)
        np.testing.assert_array_equal(other[name], factor * (X + 1))
    copies = [pickle.loads(pickle.dumps(each["fc2/gradient"])) for each in (one, other)]
    np.testing.assert_array_equal(copies[1] - copies[0], 2 * (X + 1) - 2 * X)


def test_a_store_that_is_filled_anew_is_opened_anew():
    store = written(MemoryStore())
    before = covdist.open_log(store)["fc2/gradient"].compute()
    zarr.open_group(store)["fc2/gradient"][:] = 7
    assert not before.equals(covdist.open_log(store)["fc2/gradient"].compute())


def test_chunks_are_read_once_and_when_they_are_needed():
    store = Counting(written(MemoryStore()))
    lazy = covdist.cov(covdist.open_log(store)["fc1/activation"], dim="sample")
    assert not store.reads
    lazy.compute()
    assert sorted(store.reads) == [f"fc1/activation/c/{chunk}/0" for chunk in range(6)]


@pytest.mark.parametrize("missing", ["raise", "fill"])
def test_a_chunk_that_the_store_fails_for(missing):
    log = covdist.open_log(Failing(written(MemoryStore())), missing_chunks=missing)
    log["fc2/gradient"].compute()
    said = r"^fc1/activation: chunk c/2/0 cannot be read from the Failing \(KeyError: .*\): check the store.*\.$"
    with pytest.raises(LogError, match=said) as failed:
        log["fc1/activation"].compute()
    assert SECRET not in str(failed.value)


def test_a_chunk_that_the_store_lacks():
    store = written(MemoryStore())
    del store._store_dict["fc1/activation/c/2/0"]
    with pytest.raises(LogError, match=r"^fc1/activation: chunk c/2/0 is not in the store"):
        covdist.open_log(store)["fc1/activation"].compute()
    filled = covdist.open_log(store, missing_chunks="fill")["fc1/activation"]
    assert not filled[14:21].any()


def test_a_store_that_cannot_be_pickled():
    array = covdist.open_log(Locked(written(MemoryStore())))["fc1/activation"]
    np.testing.assert_array_equal(array, X)
    said = (
        r"^fc1/activation: chunk c/0/0 cannot be read, since a Locked cannot be sent .* \(TypeError: .*\): compute with"
    )
    with pytest.raises(LogError, match=said):
        pickle.loads(pickle.dumps(array))[:7].compute()


def test_closed_and_empty_stores(tmp_path):
    store = written(MemoryStore())
    store.close()
    np.testing.assert_array_equal(covdist.open_log(store)["fc1/activation"], X)
    archive = zipped(tmp_path / "x.zip")
    assert covdist.open_log(archive).identical(covdist.open_log(tmp_path / "x.zip"))
    empty = MemoryStore()
    with pytest.raises(LogError, match=r"^MemoryStore holds no Zarr array or group\.$"):
        covdist.open_log(empty)
    assert not empty._store_dict
    zarr.open_group(empty)
    with pytest.raises(LogError, match=r"^MemoryStore holds no arrays: "):
        covdist.open_log(empty)
    with pytest.raises(LogError, match="does not exist"):
        covdist.open_log(LocalStore(tmp_path / "nowhere"))


def test_a_zip_file_that_is_written_is_refused_and_kept(tmp_path):
    with ZipStore(tmp_path / "x.zip", mode="w") as store:
        written(store)
        for each in (store, Counting(store)):
            with pytest.raises(DataError, match=f"^path is a {type(each).__name__} that is open for writing: close it"):
                covdist.open_log(each)
    np.testing.assert_array_equal(covdist.open_log(ZipStore(tmp_path / "x.zip"))["fc1/activation"], X)


def test_storage_options_are_for_urls():
    with pytest.raises(DataError, match=r"^storage_options are for URLs, and path is a MemoryStore: leave them out"):
        covdist.open_log(MemoryStore(), storage_options={"anon": True})


def test_an_object_rewritten_after_the_opening_is_refused():
    store = written(FsspecStore.from_url("memory://rewritten/log"))
    lazy = covdist.open_log(store)["fc1/activation"]
    np.testing.assert_array_equal(lazy, X)
    cov = covdist.cov(lazy, dim="sample").compute()
    memory = fsspec.filesystem("memory")
    place = "/rewritten/log/fc1/activation/c/2/0"
    memory.pipe_file(place, memory.cat_file(place))
    with pytest.raises(LogError, match=r"fc1/activation: memory://.* has changed since it was opened"):
        lazy.compute()
    assert covdist.cov(covdist.open_log(store)["fc1/activation"], dim="sample").compute().equals(cov)


@pytest.mark.parametrize("file_system", ["of no stamps", "of a class of its own"])
def test_objects_that_no_url_leads_to_are_taken_along(file_system):
    memory = fsspec.filesystem("memory")
    path = f"/carried {file_system}/log"
    written(FsspecStore.from_url(f"memory:/{path}"))
    own = {"of no stamps": Untold, "of a class of its own": Own}[file_system]
    store = FsspecStore(AsyncFileSystemWrapper(own(), asynchronous=True), path=path)
    log = covdist.open_log(store)
    np.testing.assert_array_equal(log["fc1/activation"], X)
    del memory.store[f"{path}/fc1/activation/c/2/0"]
    with pytest.raises(LogError, match=r"^fc1/activation: chunk c/2/0 is not in the store"):
        log["fc1/activation"].compute()


class Own(MemoryFileSystem):
    pass


class Untold(MemoryFileSystem):
    protocol = "untold"

    def info(self, path, **options):
        return {key: value for key, value in super().info(path, **options).items() if key != "created"}

    def unstrip_protocol(self, name):
        return f"untold:/{name}"


fsspec.register_implementation("untold", Untold, clobber=True)

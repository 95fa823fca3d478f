"""Thousands of files behind a URL: read at a time, once, and from an index that is right or is not used."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import fsspec
import numpy as np
import pytest

import covdist
from covdist.engine.progress import showing
from covdist.errors import LogError
from covdist.limits import changed
from covdist.logs.remote.index import index_folder
from tests.logs.delayed import OLD, DelayedFileSystem, delayed, put

FILES = 120


def npy(value, shape=(2, 3)):
    file = io.BytesIO()
    np.save(file, np.full(shape, value, "f4"))
    return file.getvalue()


@pytest.fixture(autouse=True)
def indexes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(DelayedFileSystem, "objects", {})
    return tmp_path / "cache" / "covdist" / "index"


def recorded(name="bucket/log", files=FILES, delay=0.0):
    arrays = {f"fc1/activation_{number:05d}.npy": npy(number, (number % 5, 3)) for number in range(files)}
    return delayed(name, arrays, delay)


def first_column(url, **options):
    DelayedFileSystem.asked.clear()
    return covdist.open_log(url, **options)["fc1/activation"][:, 0].values.tolist()


def opened(url):
    DelayedFileSystem.asked.clear()
    covdist.open_log(url)
    return dict(DelayedFileSystem.asked)


EXPECTED = [float(number) for number in range(FILES) for _ in range(number % 5)]


def test_a_request_a_file_many_at_a_time():
    url = recorded(delay=0.005)
    asked = opened(url)
    assert asked["cat"] == FILES
    assert asked["ls"] == 2
    assert asked["info"] < 20
    assert 8 <= DelayedFileSystem.most_at_once <= 32
    assert first_column(url) == EXPECTED


def test_the_next_opening_asks_for_no_content(indexes):
    url = recorded()
    first = covdist.open_log(url)
    asked = opened(url)
    assert "cat" not in asked
    assert asked["ls"] == 2
    assert asked["info"] < 20
    assert covdist.open_log(url).identical(first)
    assert len(list(indexes.iterdir())) == 1


def test_files_that_changed_came_or_went(indexes):
    url = recorded()
    opened(url)
    put("bucket/log/fc1/activation_00007.npy", npy(-1), OLD)  # of the same size
    put("bucket/log/fc1/activation_00008.npy", npy(-2, (4, 3)), OLD)
    put("bucket/log/fc1/activation_00500.npy", npy(500), OLD)
    del DelayedFileSystem.objects["bucket/log/fc1/activation_00003.npy"]
    expected = [value for value in EXPECTED if value not in (3, 7, 8)]
    expected[8:8] = [-1, -1, -2, -2, -2, -2]  # behind 1, 2, 4, 5 and 6
    expected += [500, 500]
    assert opened(url)["cat"] == 3
    assert first_column(url) == expected
    assert "cat" not in opened(url)


def test_a_file_written_a_moment_ago_is_not_kept(indexes):
    url = recorded()
    put("bucket/log/fc1/activation_00007.npy", npy(-1), timedelta(seconds=1))
    opened(url)
    assert opened(url)["cat"] == 1


@pytest.mark.parametrize("damage", ["empty", "foreign", "cut", "flip", "folder"])
def test_a_damaged_index_is_written_anew(indexes, damage):
    url = recorded()
    opened(url)
    (index,) = indexes.iterdir()
    data = index.read_bytes()
    if damage == "folder":
        index.unlink()
        (index / "inside").mkdir(parents=True)
    else:
        flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        index.write_bytes({"empty": b"", "foreign": b"{}", "cut": data[:-1], "flip": flipped}[damage])
    assert opened(url)["cat"] >= FILES
    assert first_column(url) == EXPECTED
    assert "cat" not in opened(url)


def test_the_index_of_another_log_is_none_of_this_one(indexes):
    opened(recorded())
    (index,) = indexes.iterdir()
    data = index.read_bytes()
    other = recorded("bucket/other")
    opened(other)
    (own,) = set(indexes.iterdir()) - {index}
    own.write_bytes(data)
    assert opened(other)["cat"] >= FILES


def test_no_index(monkeypatch, indexes):
    url = recorded()
    monkeypatch.setenv("COVDIST_INDEX", "off")
    assert first_column(url) == EXPECTED
    assert not indexes.exists()
    monkeypatch.delenv("COVDIST_INDEX")
    indexes.parent.mkdir(parents=True)
    indexes.write_text("in the way")
    assert first_column(url) == EXPECTED
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard says to ignore
    assert os.path.isabs(index_folder())
    indexes.unlink()
    monkeypatch.undo()


def test_few_files_have_no_index(indexes):
    opened(recorded(files=20))
    assert not indexes.exists()


def test_indexes_take_bounded_room(indexes):
    for number in range(4):
        opened(recorded(f"bucket/log{number}"))
    sizes = {each.name: each.stat().st_size for each in indexes.iterdir()}
    first, *_, last = sorted(indexes.iterdir(), key=lambda each: each.stat().st_mtime_ns)
    with changed(index_bytes=max(sizes.values()) * 2.5):
        opened(recorded("bucket/log9"))
        left = {each.name for each in indexes.iterdir()}
        assert len(left) == 2
        assert first.name not in left
        assert last.name in left
    with changed(index_bytes=100):
        assert opened("delayed://bucket/log9")["cat"] >= FILES


def test_options_tell_stores_apart_and_credentials_do_not(indexes):
    url = recorded()
    covdist.open_log(url, storage_options={"secret": "abcd1234secret", "endpoint_url": "one"})
    covdist.open_log(url, storage_options={"secret": "abcd1234other", "endpoint_url": "one"})
    assert len(list(indexes.iterdir())) == 1
    covdist.open_log(url, storage_options={"secret": "abcd1234other", "endpoint_url": "two"})
    assert len(list(indexes.iterdir())) == 2
    assert not any(b"abcd1234" in each.read_bytes() for each in indexes.iterdir())


def test_a_listing_that_tells_other_stamps_is_not_believed(monkeypatch, indexes):
    monkeypatch.setattr(DelayedFileSystem, "listed", {"ETag": '"of a list"'})
    assert first_column(recorded()) == EXPECTED
    assert DelayedFileSystem.asked["info"] > FILES
    assert not indexes.exists()


def test_a_file_that_goes_while_the_log_is_opened(monkeypatch):
    url = recorded()
    monkeypatch.setattr(DelayedFileSystem, "before_cat", staticmethod(lose_the_fifth))
    with pytest.raises(LogError, match=r"activation_00005\.npy was removed while it was opened"):
        covdist.open_log(url)


def lose_the_fifth(path):
    if path.endswith("00005.npy"):
        raise FileNotFoundError(path)


def test_a_file_rewritten_after_its_folder_was_listed_is_refused(monkeypatch):
    url = recorded()
    rewrite = staticmethod(lambda path: put("bucket/log/fc1/activation_00006.npy", npy(-6, (1, 3))))
    monkeypatch.setattr(DelayedFileSystem, "before_cat", rewrite)
    log = covdist.open_log(url)
    with pytest.raises(LogError, match="has changed since it was opened"):
        log["fc1/activation"].compute()


def test_several_openings_at_once(indexes):
    url = recorded()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(first_column, [url] * 8))
    assert found == [EXPECTED] * 8
    assert len(list(indexes.iterdir())) == 1
    assert "cat" not in opened(url)


def test_odd_names():
    names = [
        "x?token=one",
        "x?token=two",
        "a b%20#c",
        "ü",
    ]  # of which some look like credentials, and are hidden
    url = delayed("bucket/odd", {f"{name}/v.npy": npy(number) for number, name in enumerate(names)})
    log = covdist.open_log(url)
    assert [float(log[name]["v"][0, 0]) for name in names] == [0, 1, 2, 3]


def test_files_without_a_folder():
    memory = fsspec.filesystem("memory")
    before = dict(memory.store)
    memory.store.clear()
    try:
        for number in range(3):
            memory.pipe_file(f"/step_{number}.npy", npy(number))
        (found,) = covdist.open_log("memory://").data_vars.values()
        assert found[:, 0].values.tolist() == [0, 0, 1, 1, 2, 2]
    finally:
        memory.store.clear()
        memory.store.update(before)


def test_progress():
    url, told = recorded(), []
    with showing(lambda done, total: told.append((done, total))):
        covdist.open_log(url)
    assert told == [(done, FILES) for done in range(FILES + 1)]

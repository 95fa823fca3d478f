"""Arrow files and streams, held to what each format is, and to what pyarrow and Hugging Face's datasets write."""

from __future__ import annotations

import contextlib
import json
import warnings

import numpy as np
import pytest

import covdist
from covdist.errors import LogError
from covdist.logs.contents import contents
from covdist.logs.dask_arrays import from_dask
from covdist.logs.files import arrow
from covdist.logs.opening import log_nodes, open_log
from covdist.terminal.contents import contents_table
from tests.logs.conformance import NUMPY, FormatTests

pa = pytest.importorskip("pyarrow")
ipc = pytest.importorskip("pyarrow.ipc")

X = np.random.default_rng(0).normal(size=(60, 5)).astype("f4")


def lists(data):
    """Return an array as a column of fixed-size lists."""
    array = pa.array(np.ascontiguousarray(data).ravel())
    for length in reversed(data.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


def saved(path, columns, rows=4, new=ipc.new_stream, **options):
    table = pa.table(columns)
    with new(str(path), table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


class TestStreams(FormatTests):
    dtypes = NUMPY
    shapes = ((11, 5), (11, 1), (1, 5), (0, 5), (7,), (0,), (4, 3, 2))
    new = staticmethod(ipc.new_stream)

    def write(self, folder, arrays):
        tables = {}
        for name, data in arrays.items():
            tables.setdefault(len(data), {})[name] = lists(data)
        if len(tables) == 1:
            return saved(folder / "x.arrow", tables.popitem()[1], new=self.new)
        for name, data in arrays.items():
            node, _, last = name.rpartition("/")
            saved(folder / f"{node}.arrow", {last: lists(data)}, new=self.new)
        return folder


class TestFiles(TestStreams):
    new = staticmethod(ipc.new_file)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_column_for_each_unit(tmp_path, compression):
    options = ipc.IpcWriteOptions(compression=compression)
    columns = {f"u{number}": X[:, number] for number in range(5)} | {"step": np.arange(60), "label": list("ab" * 30)}
    x = open_log(saved(tmp_path / "activation.feather", columns, 25, ipc.new_file, options=options))["activation"]
    assert x.unit.values.tolist() == ["u0", "u1", "u2", "u3", "u4"]
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(x[20:51, 1:3], X[20:51, 1:3])
    assert covdist.moments(x, dim="sample", by="label").count.values.tolist() == [30, 30]


def test_values_are_read_where_they_go(tmp_path):
    source = from_dask(open_log(saved(tmp_path / "x.arrow", {"a": list("abc" * 20), "x": lists(X)}, 7))["x"].data)
    buffer = np.empty(source.buffer_size, np.uint8)
    read = source.read_chunk((0, 0), buffer)
    assert np.shares_memory(read, buffer)
    np.testing.assert_array_equal(read, X[:56])  # whole batches
    np.testing.assert_array_equal(source[13:30, 1:4], X[13:30, 1:4])


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_values_that_lie_otherwise_are_moved(tmp_path, compression):
    gaps = [None if number in (17, 203) else value for number, value in enumerate(X.ravel().tolist())]
    expected = np.array(gaps, "f4").reshape(X.shape)
    columns = {
        "gaps": pa.FixedSizeListArray.from_arrays(pa.array(gaps, "f4"), 5), "free": pa.array(X.tolist()),
        "day": pa.array(np.arange(60).astype("M8[D]")),
        "flag": pa.array(np.arange(60) % 3 == 0), "half": lists(X.astype("f2")),
    }  # fmt: skip
    options = ipc.IpcWriteOptions(compression=compression)
    log = open_log(saved(tmp_path / "x.arrow", columns, 7, options=options))
    np.testing.assert_array_equal(log["gaps"], expected)
    np.testing.assert_array_equal(log["free"], X)
    np.testing.assert_array_equal(log["half"], X.astype("f2"))
    np.testing.assert_array_equal(log["day"], np.arange(60).astype("M8[D]"))
    np.testing.assert_array_equal(log["flag"], np.arange(60) % 3 == 0)


def test_a_stream_that_was_not_closed_and_one_that_was_cut(tmp_path):
    path = saved(tmp_path / "x.arrow", {"x": lists(X)}, 20)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])  # less the mark of the end
    np.testing.assert_array_equal(open_log(path)["x"], X)
    path.write_bytes(whole[:-40])
    with pytest.raises(LogError, match=r"x\.arrow is not a readable Arrow file .* bytes that are there"):
        open_log(path)


@pytest.mark.parametrize("new", [ipc.new_stream, ipc.new_file])
@pytest.mark.parametrize("compression", [None, "lz4"])
def test_words_that_are_told_by_their_numbers(tmp_path, new, compression):
    """As pandas writes categories, where later batches add words."""
    labels = np.array(["a", "é", "a", "longer", "b"] * 12)
    options = ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    path, schema = tmp_path / "x.arrow", pa.schema([("x", lists(X).type), ("label", pa.dictionary("i4", pa.string()))])
    with new(str(path), schema, options=options) as writer:
        words: list[str] = []
        for start in range(0, 60, 7):
            words += [word for word in dict.fromkeys(labels[start : start + 7]) if word not in words]
            numbers = pa.array([words.index(word) for word in labels[start : start + 7]], "i4")
            label = pa.DictionaryArray.from_arrays(numbers, words)
            writer.write_batch(pa.record_batch([lists(X[start : start + 7]), label], schema=schema))
    log = open_log(path)
    assert np.array_equal(log["x"], X)
    assert log["label"].values.tolist() == labels.tolist()
    assert log["label"][13:23].values.tolist() == labels[13:23].tolist()


def test_words_that_take_the_place_of_others(tmp_path):
    path, found = tmp_path / "x.arrow", []
    schema = pa.schema([("label", pa.dictionary("i1", pa.string())), ("x", lists(X[:3]).type)])
    with ipc.new_stream(str(path), schema) as writer:
        for words in (["x", "y", "z"], ["z", "x", "q"], ["y", "", "x"]):
            label = pa.DictionaryArray.from_arrays(pa.array([2, 0, 1], "i1"), words)
            writer.write_batch(pa.record_batch([label, lists(X[:3])], schema=schema))
            found += [words[2], words[0], words[1]]
    assert open_log(path)["label"].values.tolist() == found


def test_words_that_are_damaged_are_told_or_others(tmp_path):
    """They have no checksums; whatever stands there, nothing but an error of ours comes of it."""
    label = pa.array(["train", "test"] * 30).dictionary_encode()
    path = saved(tmp_path / "x.arrow", {"x": lists(X), "label": label}, rows=30)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, len(data), 60):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :])
        with contextlib.suppress(LogError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in open_log(path).variables.values():
                assert len(each.values) in (60, 5)  # rows, or units


def test_too_many_words_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "_MOST_WORDS", 10)
    path = saved(tmp_path / "x.arrow", {"x": lists(X), "label": pa.array(list("ab" * 30)).dictionary_encode()})
    with pytest.raises(LogError, match=r"bytes of dictionaries, of which 10 are read"):
        open_log(path)


def test_nothing_tells_how_batches_are_packed(tmp_path):
    path = saved(tmp_path / "x.arrow", {"u": np.ones(5)}, options=ipc.IpcWriteOptions(compression="zstd"))
    assert [each["codecs"] for each in contents(log_nodes(path)).values()] == [None]
    assert "none" not in contents_table(contents(log_nodes(path)))


def test_the_first_version_of_feather_is_named(tmp_path):
    (tmp_path / "x.feather").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(LogError, match="Feather's first version"):
        open_log(tmp_path / "x.feather")


def as_datasets_save(folder, shards):
    """Write what ``datasets.Dataset.save_to_disk`` does."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        saved(folder / name, {"activation": rows.tolist(), "label": np.arange(len(rows))}, 7)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")


@pytest.mark.parametrize("cuts", [[], [23], [10, 10, 41]])
def test_a_saved_dataset_is_one_array(tmp_path, cuts):
    as_datasets_save(tmp_path / "log", [part for part in np.split(X, cuts) if len(part)])
    log = open_log(tmp_path / "log")
    np.testing.assert_array_equal(log["activation"], X)
    assert "label" in log["activation"].coords
    for split in ("train", "test"):
        as_datasets_save(tmp_path / "splits" / split, [X[:30], X[30:]])
    assert sorted(open_log(tmp_path / "splits").children) == ["test", "train"]


def test_a_shard_that_is_not_there(tmp_path):
    as_datasets_save(tmp_path / "log", [X[:20], X[20:40], X[40:]])
    (tmp_path / "log" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(LogError, match="one of 3 files by its name, of which 2 are there, and number 1 is not"):
        open_log(tmp_path / "log")


def test_what_datasets_itself_writes(tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    features = datasets.Features({
        "activation": datasets.Sequence(datasets.Value("float32"), length=5),
        "grid": datasets.Array2D((3, 4), "float16"),
        "label": datasets.ClassLabel(names=["a", "b"]), "any": datasets.Sequence(datasets.Value("float64")),
    })  # fmt: skip
    grid = np.random.default_rng(1).normal(size=(60, 3, 4)).astype("f2")
    labels = np.arange(60) % 2
    rows = {"activation": X.tolist(), "grid": list(grid), "label": labels.tolist(), "any": X.tolist()}
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features).save_to_disk(tmp_path / "log", num_shards=2)
    log = open_log(tmp_path / "log")
    np.testing.assert_array_equal(log["activation"], X)
    np.testing.assert_array_equal(log["grid"], grid)
    np.testing.assert_array_equal(log["any"], X.astype("f8"))
    np.testing.assert_array_equal(log["activation"].label, labels)


def test_a_stream_of_any_name(tmp_path):
    np.testing.assert_array_equal(open_log(saved(tmp_path / "log.bin", {"x": lists(X)}))["x"], X)


def test_other_files_are_told_apart():
    assert not arrow.begins(b"")
    assert not arrow.begins(b"\xff\xff\xff\xff" + b"\xff" * 12)
    assert not arrow.begins(b"ARROW1")

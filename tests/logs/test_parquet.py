"""Parquet files, held to what each format is, and to what pyarrow and pandas write."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import covdist
from covdist.errors import LogError
from covdist.logs.dask_arrays import from_dask
from covdist.logs.files import parquet as parquet_files
from covdist.logs.opening import log_nodes, open_log
from covdist.rows.stream import stream
from tests.logs.conformance import NUMPY, FormatTests, check_sentence

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

X = np.random.default_rng(0).normal(size=(60, 5)).astype("f4")


def lists(data):
    """Return an array as a column of fixed-size lists."""
    array = pa.array(np.ascontiguousarray(data).ravel())
    for length in reversed(data.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, length)
    return array


class TestLists(FormatTests):
    dtypes = tuple(each for each in NUMPY if each != "float16")
    shapes = ((11, 5), (11, 1), (1, 5), (0, 5), (7,), (0,), (4, 3, 2))

    def write(self, folder, arrays):
        tables = {}
        for name, data in arrays.items():
            tables.setdefault(len(data), {})[name] = lists(data)
        if len(tables) == 1:
            return self._save(pa.table(tables.popitem()[1]), folder / "x.parquet")
        for name, data in arrays.items():
            self._save(pa.table({name.rpartition("/")[2]: lists(data)}), folder / f"{name.rpartition('/')[0]}.parquet")
        return folder

    def _save(self, table, path):
        parquet.write_table(table, path, row_group_size=4, write_page_checksum=True)
        return path


def saved(path, columns, **options):
    parquet.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize(("compression", "codecs"), [("none", ()), ("snappy", ("snappy",)), ("zstd", ("zstd",))])
def test_what_chunks_are_packed_by(compression, codecs, tmp_path):
    path = saved(tmp_path / "x.parquet", units(X), compression=compression, row_group_size=20)
    storage = log_nodes(str(path))[""].entries["x"].source.storage
    groups = map(parquet.ParquetFile(path).metadata.row_group, range(3))
    stored = sum(group.column(number).total_compressed_size for group in groups for number in range(5))
    assert storage == (codecs, stored, 0)


def units(data):
    return {f"u{number}": data[:, number] for number in range(data.shape[1])}


def test_a_column_for_each_unit(tmp_path):
    marks = {"step": np.arange(60), "label": list("ab" * 30), "flag": np.arange(60) % 2 == 0}
    path = saved(tmp_path / "activation.parquet", {**units(X), **marks}, row_group_size=20)
    x = open_log(path)["activation"]
    assert x.dims == ("sample", "unit")
    assert x.unit.values.tolist() == ["u0", "u1", "u2", "u3", "u4"]
    assert x.step.values.tolist() == list(range(60))
    assert x.data.chunksize == (20, 5)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(x[15:45, 1:3], X[15:45, 1:3])
    grouped = covdist.moments(x, dim="sample", by="label")
    assert grouped.count.values.tolist() == [30, 30]
    source = from_dask(x.data)
    np.testing.assert_array_equal(source[18:22, 2:3], X[18:22, 2:3])


def test_pandas_and_mixed_dtypes(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde")).assign(
        loss=np.arange(60.0), when=pd.date_range("2026-01-01", periods=60)
    )
    frame.index = pd.Index(np.arange(60) * 0.5, name="hours")
    frame.to_parquet(tmp_path / "gradient.parquet")
    found = open_log(tmp_path / "gradient.parquet")
    assert found["gradient"].dims == ("step", "param")
    for name in ("loss", "when", "hours"):
        assert found[name].dims == ("step",)
        np.testing.assert_array_equal(found[name], frame.reset_index()[name])


def test_integers_alone_are_units(tmp_path):
    data = (X * 10).astype("i4")
    found = open_log(saved(tmp_path / "x.parquet", {"step": np.arange(60), **units(data)}))
    np.testing.assert_array_equal(found["x"], data)
    assert found["step"].values.tolist() == list(range(60))


def test_lists_of_any_type(tmp_path):
    path = saved(tmp_path / "x.parquet", {"fc1/activation": X.tolist(), "step": np.arange(60)}, row_group_size=25)
    x = open_log(path)["fc1/activation"]
    assert x.dtype == "f8"
    np.testing.assert_array_equal(x, X.astype("f8"))
    assert x.step.values.tolist() == list(range(60))


def test_lists_that_differ_are_refused(tmp_path):
    rows = X.tolist()
    rows[30] = rows[30][:4]
    rows[31] = [*rows[31], 1.0]
    x = open_log(saved(tmp_path / "x.parquet", {"x": rows}))["x"]
    with pytest.raises(LogError, match="do not all have the 5 entries") as caught:
        x.compute()
    check_sentence(str(caught.value))


def test_what_is_not_there(tmp_path):
    floats = pa.array([1.0, None, 3.0])
    columns = {
        "a": floats, "b": floats, "n": pa.array([1, None, 2**53]), "t": pa.array(["x", None, "z"]),
        "flag": pa.array([True, None, False]), "byte": pa.array([None, 255, 0], "u1"), "whole": pa.array([1, 2, 3]),
        "lists": pa.array([[1, None], [3, 4], [5, 6]]),
    }  # fmt: skip
    for number, saving in enumerate((saved, as_arrow)):
        (tmp_path / str(number)).mkdir()
        found = open_log(saving(tmp_path / str(number) / "x.parquet", columns))
        np.testing.assert_array_equal(found["x"], [[1, 1], [np.nan, np.nan], [3, 3]])
        assert found["t"].values.tolist() == ["x", "", "z"]
        np.testing.assert_array_equal(found["n"], [1, np.nan, 2**53])
        np.testing.assert_array_equal(found["flag"], [1, np.nan, 0])
        np.testing.assert_array_equal(found["byte"], [np.nan, 255, 0])
        np.testing.assert_array_equal(found["lists"], [[1, np.nan], [3, 4], [5, 6]])
        assert {found[name].dtype for name in ("n", "flag", "byte", "lists")} == {np.dtype("f8")}
        assert found["whole"].dtype == "i8"


def as_arrow(path, columns):
    table = pa.table(columns)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def test_units_of_whole_numbers_that_are_not_all_there(tmp_path):
    columns = {"a": pa.array([1, None, 3]), "b": pa.array([4, 5, 6]), "c": pa.array([7, 8, None])}
    for number, saving in enumerate((saved, as_arrow)):
        (tmp_path / str(number)).mkdir()
        x = open_log(saving(tmp_path / str(number) / "x.parquet", columns))["x"]
        np.testing.assert_array_equal(x, [[1, 4, 7], [np.nan, 5, 8], [3, 6, np.nan]])


def test_parts_of_which_some_have_gaps(tmp_path):
    for number, labels in enumerate(([1, 2, 3], [4, None, 6], [7, 8, 9])):
        saved(
            tmp_path / f"part.{number}.parquet", {"x": lists(X[3 * number : 3 * number + 3]), "label": pa.array(labels)}
        )
    x = open_log(tmp_path)["x"]
    np.testing.assert_array_equal(x, X[:9])
    np.testing.assert_array_equal(x.label, [1, 2, 3, 4, np.nan, 6, 7, 8, 9])
    saved(tmp_path / "part.0.parquet", {"x": lists(X[:3]), "label": pa.array([1, 2, 2**53 + 1])})
    with pytest.raises(LogError, match=r"whole numbers beyond 2\^53"):
        open_log(tmp_path)["x"].label.compute()


def _saved_parts(folder, *tables, arrow=False):
    folder.mkdir()
    for number, table in enumerate(tables):
        if arrow:
            with pa.ipc.new_file(folder / f"part-{number}.arrow", table.schema) as writer:
                writer.write_table(table)
        else:
            parquet.write_table(table, folder / f"part-{number}.parquet", row_group_size=3)
    return folder


def _parts(numbers=np.float32, whole=np.int64, cut=slice(None)):
    columns = {name: column.astype(numbers)[cut] for name, column in units(X[:8, :3]).items()}
    return pa.table(
        {
            **columns,
            "x": pa.array(list(X[:8].astype(numbers)[cut]), pa.list_(pa.from_numpy_dtype(numbers))),
            "step": np.arange(8, dtype=whole)[cut],
        }
    )


OTHERS = {
    "in another order": _parts().select(["step", "u2", "x", "u0", "u1"]),
    "wider": _parts(np.float64),
    "narrower": _parts(np.float16),
    "narrower labels": _parts(whole=np.int32),
    "without rows": _parts(cut=slice(0)),
}  # fmt: skip


@pytest.mark.parametrize("arrow", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("other", OTHERS)
def test_parts_whose_columns_differ_are_read_by_name(tmp_path, other, turned, arrow):
    dataset = pytest.importorskip("pyarrow.dataset")
    parts = [_parts(), OTHERS[other]][:: -1 if turned else 1]
    folder = _saved_parts(tmp_path / "table", *parts, arrow=arrow)
    fields = [(name, pa.list_(pa.float64()) if name == "x" else pa.float64()) for name in _parts().column_names]
    files = sorted(map(str, folder.iterdir()))
    expected = dataset.dataset(files, pa.schema(fields), format="arrow" if arrow else "parquet").to_table()
    log = open_log(folder)
    names = log["unit"].values.tolist()
    assert sorted(names) == ["u0", "u1", "u2"]
    np.testing.assert_array_equal(log["table"], np.transpose([expected[name].to_numpy() for name in names]))
    np.testing.assert_array_equal(log["x"], expected["x"].to_pylist())
    for array in (log["table"], log["x"]):
        np.testing.assert_array_equal(array["step"], expected["step"])
    mean = covdist.moments(log["table"], dim="sample").mean()
    np.testing.assert_allclose(mean, np.mean([expected[name] for name in names], 1), rtol=1e-6)
    assert mean.unit.values.tolist() == names


def test_parts_that_lack_columns_or_have_others_are_refused(tmp_path):
    text = _parts().set_column(1, "u1", pa.array(list("abcdefgh")))
    others = {
        "u1 is in one alone": _parts().drop_columns("u1"),
        "u1 is in one alone, and is text in part-1": text,
        "u1 is in one alone, and is float64 in part-1": _parts().set_column(1, "u1", _parts(np.float64)["u1"]),
        r"x cannot be joined .* part-0 .* and part-1": _parts().set_column(3, "x", lists(X[:8, :4])),
        "step cannot be joined .* part-0 .* and part-1": _parts().set_column(4, "step", text["u1"]),
    }
    for number, (said, table) in enumerate(others.items()):
        folder = _saved_parts(tmp_path / str(number), _parts(), table)
        with pytest.raises(LogError, match=said) as caught:
            open_log(folder)
        check_sentence(str(caught.value))


def test_whole_numbers_that_floats_do_not_have(tmp_path):
    columns = {"n": pa.array([1, None, 2**53 + 1]), "x": lists(X[:3])}
    with pytest.raises(LogError, match=r"whole numbers beyond 2\^53 in a column where others are not there") as caught:
        open_log(saved(tmp_path / "x.parquet", columns))["n"].compute()
    check_sentence(str(caught.value))
    columns["n"] = pa.array([1, None, 3])
    path = saved(tmp_path / "y.parquet", columns, write_statistics=False)
    with pytest.raises(LogError, match="values are not there, which int64 cannot say"):
        open_log(path)["n"].compute()


def test_row_groups_of_several_sizes(tmp_path):
    with parquet.ParquetWriter(tmp_path / "x.parquet", pa.table(units(X)).schema) as writer:
        for start, stop in ((0, 7), (7, 7), (7, 31), (31, 34), (34, 60)):
            writer.write_table(pa.table(units(X[start:stop])))
    x = open_log(tmp_path / "x.parquet")["x"]
    np.testing.assert_array_equal(x, X)
    for start in range(0, 60, 5):
        np.testing.assert_array_equal(from_dask(x.data)[start : start + 9, 1:4], X[start : start + 9, 1:4])


@pytest.mark.parametrize("write", [units, lambda data: {"x": lists(data)}, lambda data: {"x": data.tolist()}])
def test_a_row_group_is_folded_in_parts(tmp_path, monkeypatch, write):
    data = np.random.default_rng(0).normal(size=(300, 40))
    x = open_log(saved(tmp_path / "x.parquet", write(data), row_group_size=200, data_page_size=400))["x"]
    source = from_dask(x.data)
    assert source.chunks == (200, 40)
    monkeypatch.setattr(parquet_files, "_SLAB", 40 * 8 * 30)
    pieces = list(source.read_slabs((0, 0), np.empty(0, np.uint8)))
    assert [len(each) for each in pieces] == [30] * 6 + [20]
    np.testing.assert_array_equal(np.concatenate(pieces), data[:200])
    monkeypatch.setattr(parquet_files, "_PAGES", 1 << 10)
    assert stream(x.data, 1).piece_bytes == source.slab_size >= 4 * 40 * 8 * 30
    monkeypatch.undo()
    whole = covdist.cov(x, dim="sample").values
    monkeypatch.setattr(parquet_files, "_SLAB", 40 * 8 * 30)
    assert covdist.cov(x, dim="sample").values.tobytes() == whole.tobytes()
    np.testing.assert_array_equal(source[150:260, 3:5], data[150:260, 3:5])


def test_what_is_read_of_a_large_row_group_is_planned(tmp_path):
    data = np.random.default_rng(0).normal(size=(40_000, 64))
    source = from_dask(open_log(saved(tmp_path / "x.parquet", {"x": lists(data)}, row_group_size=40_000))["x"].data)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in source.read_slabs((0, 0), np.empty(0, np.uint8))]
    assert 1 << 20 < max(held) < source.slab_size
    assert source.slab_size < 2.5 * data.nbytes


SPARK = "part-{:05}-1f0c7c41-3b0b-4a7e-9d3e-0123456789ab-c000.snappy.parquet"


@pytest.mark.parametrize("name", [SPARK, "part.{}.parquet", "{:04}.parquet"])
def test_a_folder_of_parts(tmp_path, name):
    """As Spark and dask write it."""
    (tmp_path / "fc1" / "activation.parquet").mkdir(parents=True)
    for number in range(12):
        rows = slice(number * 5, number * 5 + 5)
        columns = {**units(X[rows]), "step": np.arange(60)[rows]}
        saved(tmp_path / "fc1" / "activation.parquet" / name.format(number), columns)
    for path in ("fc1/activation.parquet", "."):
        nodes = log_nodes(tmp_path / path)
        (found,) = (node.array(each, each) for node in nodes.values() for each, rank in node.data.items() if rank == 2)
        assert found.name == "activation"
        np.testing.assert_array_equal(found, X)
        assert found.unit.values.tolist() == ["u0", "u1", "u2", "u3", "u4"]
        assert found.step.values.tolist() == list(range(60))


def test_flipped_bits_of_pages_are_found(tmp_path):
    path = saved(
        tmp_path / "x.parquet", {"x": lists(X)}, write_page_checksum=True, compression=None, use_dictionary=False
    )
    data, rng = path.read_bytes(), np.random.default_rng(0)
    start = data.index(X[:1].tobytes())
    for _ in range(100):
        place = start + int(rng.integers(0, X.nbytes))
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(flipped)
        with pytest.raises(LogError, match="cannot be read"):
            open_log(path)["x"].compute()


def test_thousands_of_columns(tmp_path):
    data = np.random.default_rng(0).normal(size=(10, 3000)).astype("f4")
    x = open_log(saved(tmp_path / "x.parquet", units(data)))["x"]
    np.testing.assert_array_equal(x, data)


def test_what_is_refused(tmp_path):
    saved(tmp_path / "x.parquet", {"s": pa.array([{"a": 1}, {"a": 2}]), "x": lists(X[:2])})
    with pytest.warns(UserWarning, match="no numbers or texts"):
        np.testing.assert_array_equal(open_log(tmp_path / "x.parquet")["x"], X[:2])
    (tmp_path / "e.parquet").write_bytes(b"PARE" + bytes(50))
    (tmp_path / "f.parquet").write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    for name, said in {"e.parquet": "encrypted", "f.parquet": "not a readable Parquet"}.items():
        with pytest.raises(LogError, match=said) as caught:
            log_nodes(tmp_path / name)
        check_sentence(str(caught.value))


def test_without_the_library(tmp_path, monkeypatch):
    saved(tmp_path / "x.parquet", {"x": lists(X)})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(LogError, match=r"pip install 'covdist\[formats\]'"):
        log_nodes(tmp_path / "x.parquet")

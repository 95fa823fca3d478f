"""Tables that programs cut into folders ``key=value`` and parts, held to what pyarrow reads of them."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import LogError
from covdist.limits import changed
from covdist.logs.dask_arrays import from_dask
from covdist.logs.files import parquet as parquet_files
from covdist.logs.joining.numbering import numbered
from covdist.logs.opening import open_log
from tests.logs.conformance import check_sentence

pa = pytest.importorskip("pyarrow")
dataset = pytest.importorskip("pyarrow.dataset")
parquet = pytest.importorskip("pyarrow.parquet")

X = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
UNITS = {f"u{number}": X[:, number] for number in range(4)}
STEPS = np.arange(60) // 5
WORDS = ["train", "a/b c", "q=1", "7", None] * 12


def cut(folder, columns, **keys):
    """Write a table as pyarrow does, cut by the keys, which are columns of these types."""
    schema = pa.schema([(key, kind) for key, kind in keys.items()])
    dataset.write_dataset(
        pa.table(columns), folder, format="parquet", partitioning=dataset.partitioning(schema, flavor="hive"),
        max_rows_per_group=7, max_rows_per_file=7,
    )  # fmt: skip


def as_pyarrow(folder, *marks):
    """Return rows with their marks as pyarrow reads them, in some order of their own."""
    table = dataset.dataset(folder, partitioning="hive").to_table()
    columns = [table[name].to_pylist() for name in (*UNITS, *marks)]
    return sorted(zip(*columns, strict=True), key=str)


def as_rows(x, *marks):
    columns = [*np.asarray(x).T.tolist(), *(x[mark].values.tolist() for mark in marks)]
    return sorted(zip(*columns, strict=True), key=str)


def test_whole_numbers(tmp_path):
    cut(tmp_path / "run", {**UNITS, "step": STEPS, "label": np.arange(60) % 3}, step=pa.int64())
    (tmp_path / "run" / "_SUCCESS").touch()
    x = open_log(tmp_path / "run")["run"]
    assert x.dims == ("sample", "unit")
    assert x.step.dtype == "i8"
    np.testing.assert_array_equal(x.step, STEPS)  # 2 before 10
    np.testing.assert_array_equal(x, X)
    assert as_rows(x, "step", "label") == as_pyarrow(tmp_path / "run", "step", "label")
    by_step = covdist.moments(x, dim="sample", by="step").compute()
    np.testing.assert_allclose(by_step.mean().sel(step=3), X[15:20].astype("f8").mean(axis=0), rtol=1e-12)
    assert dict(open_log(tmp_path / "run", concat=False).children).keys() == {f"step={each}" for each in range(12)}


def test_texts_that_are_quoted_or_not_there(tmp_path):
    cut(tmp_path, {**UNITS, "in word": pa.array(WORDS), "step": STEPS}, **{"in word": pa.string(), "step": pa.int64()})
    (x,) = open_log(tmp_path).data_vars.values()
    found = [(*row[:4], row[4] or None, row[5]) for row in as_rows(x, "in word", "step")]
    assert sorted(found, key=str) == as_pyarrow(tmp_path, "in word", "step")


def test_numbers_of_which_some_are_not_there(tmp_path):
    cut(tmp_path, {**UNITS, "epoch": pa.array([1, None, -3] * 20)}, epoch=pa.int64())
    (x,) = open_log(tmp_path).data_vars.values()
    np.testing.assert_array_equal(x.epoch, np.repeat([-3, 1, np.nan], 20))
    np.testing.assert_array_equal(x, np.concatenate([X[2::3], X[::3], X[1::3]]))


def test_arrays_of_any_format(tmp_path):
    for step, rate in ((10, 0.1), (2, 1e-3)):
        folder = tmp_path / "fc1" / f"step={step}" / f"rate={rate}"
        folder.mkdir(parents=True)
        np.save(folder / "activation.npy", np.full((3, 2), step))
        np.savez(folder / "losses.npz", loss=step / 2)
    log = open_log(tmp_path)
    x = log["fc1/activation"]
    np.testing.assert_array_equal(x[:, 0], [2, 2, 2, 10, 10, 10])
    np.testing.assert_array_equal(x.step, x[:, 0])
    np.testing.assert_array_equal(x.rate, [1e-3] * 3 + [0.1] * 3)
    np.testing.assert_array_equal(log["fc1/losses/loss"], [1, 5])


def test_parts_that_were_added_to_others(tmp_path):
    mark = "-{}f0c7c41-3b0b-4a7e-9d3e-0123456789ab"
    for number, (call, part) in enumerate(((1, 0), (1, 1), (2, 0), (2, 1))):
        rows = {name: column[15 * number : 15 * number + 15] for name, column in UNITS.items()}
        parquet.write_table(pa.table(rows), tmp_path / f"part-0000{part}{mark.format(call)}-c000.snappy.parquet")
    (x,) = open_log(tmp_path).data_vars.values()
    np.testing.assert_array_equal(x, X)
    assert numbered("352b9dbcc2274c5d99500589794ac054-3")[:3] == ("", "part", 3)


def test_notes_beside_the_parts(tmp_path):
    found = []
    for number in range(3):
        rows = pa.table({name: column[20 * number : 20 * number + 20] for name, column in UNITS.items()})
        parquet.write_table(rows, tmp_path / f"part-{number}.parquet", metadata_collector=found)
        found[-1].set_file_path(f"part-{number}.parquet")
    parquet.write_metadata(rows.schema, tmp_path / "_common_metadata")
    parquet.write_metadata(rows.schema, tmp_path / "_metadata", metadata_collector=found)
    (x,) = open_log(tmp_path).data_vars.values()
    np.testing.assert_array_equal(x, X)


def test_parts_that_do_not_fit(tmp_path):
    lists, texts = (pa.FixedSizeListArray.from_arrays(pa.array(each), 4) for each in (X.ravel(), X.ravel().astype(str)))
    kinds = {
        "column": ({**UNITS}, {n: c for n, c in UNITS.items() if n != "u2"}, "part-1 .*u2 is in one alone"),
        "dtype": (UNITS, {**UNITS, "u3": X[:, 3].astype("f8")}, "u3 is in one alone, and is float64 in part-1"),
        "lists": ({"x": lists}, {"x": texts}, r"float32\) and .*part-1 .*String"),
        "label": ({"x": lists, "step": STEPS}, {"x": lists}, "step is in 1 of 2 files .* not in label/part-1"),
    }
    for name, (one, other, said) in kinds.items():
        (tmp_path / name).mkdir()
        for number, columns in enumerate((one, other)):
            parquet.write_table(pa.table(columns), tmp_path / name / f"part-{number}.parquet")
        if name != "label":
            with pytest.raises(LogError, match=said) as caught:
                open_log(tmp_path / name)
            check_sentence(str(caught.value))
            assert len(open_log(tmp_path / name, concat=False).children) == 2
    with pytest.warns(UserWarning, match=kinds["label"][2]):
        log = open_log(tmp_path)
    assert log["label/x"].shape == (120, 4)


def test_row_groups_of_parts_are_unpacked_once_and_in_parts(tmp_path, monkeypatch):
    data = np.random.default_rng(1).normal(size=(900, 40))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(data.ravel()), 40)
    for number in range(3):
        table = pa.table({"x": lists[300 * number : 300 * number + 300]})
        parquet.write_table(table, tmp_path / f"part-{number}.parquet", row_group_size=150)
    unpacked, usual = [], parquet_files.ParquetSource._batches
    monkeypatch.setattr(parquet_files, "_SLAB", 40 * 8 * 60)
    monkeypatch.setattr(parquet_files.ParquetSource, "_batches", lambda *told: unpacked.append(told[2]) or usual(*told))
    with changed(npy_chunk_bytes=40 * 8 * 100):
        x = open_log(tmp_path)["x"]
        source = from_dask(x.data)
        assert source.chunks == (150, 40)
        found = covdist.moments(x, dim="sample").compute()
        assert sorted(unpacked) == [0, 0, 0, 1, 1, 1]
        slabs = [each.copy() for each in source.read_slabs((1, 0), np.empty(0, np.uint8))]
    assert [len(each) for each in slabs] == [60, 60, 30]
    np.testing.assert_array_equal(np.concatenate(slabs), data[150:300])
    np.testing.assert_allclose(found.cov(), np.cov(data.T, ddof=0), rtol=1e-10, atol=1e-14)
    assert source.slab_size >= 4 * 60 * 40 * 8


def test_small_parts_are_folded_together(tmp_path):
    for number in range(12):
        rows = slice(5 * number, 5 * number + 5)
        parquet.write_table(
            pa.table({name: column[rows] for name, column in UNITS.items()}), tmp_path / f"part-{number}.parquet"
        )
    (x,) = open_log(tmp_path).data_vars.values()
    (slab,) = from_dask(x.data).read_slabs((0, 0), np.empty(0, np.uint8))
    np.testing.assert_array_equal(slab, X)

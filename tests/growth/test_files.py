"""Logs of files that grow: more files, more rows in the last one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import ResultError
from covdist.growth import made_from

from .logs import VALUES, assert_same, fold

ROWS = VALUES.reshape(-1, 4)  # 180


def npy(place, rows):
    np.save(place, rows)


def npz(place, rows):
    np.savez(place, activation=rows, gradient=rows**2)


def safetensors(place, rows):
    pytest.importorskip("safetensors.numpy").save_file({"activation": rows}, place)


def hdf5(place, rows):
    with pytest.importorskip("h5py").File(place, "a") as file:
        if "activation" not in file:
            file.create_dataset("activation", data=rows, chunks=(16, 4), maxshape=(None, 4), compression="gzip")
        file["activation"].resize(len(rows), 0)
        file["activation"][:] = rows


def parquet(place, rows):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({f"u{n}": rows[:, n] for n in range(4)}), place, row_group_size=16)


def arrow(place, rows):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"activation": pa.FixedSizeListArray.from_arrays(rows.ravel(), 4)})
    with pa.ipc.new_file(str(place), table.schema) as file:
        file.write_table(table, max_chunksize=16)


FORMATS = {
    "npy": npy, "npz": npz, "safetensors": safetensors, "h5": hdf5, "parquet": parquet, "arrow": arrow,
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def log(request, tmp_path):
    """A folder, and what writes the file of a number into it."""
    folder, write = tmp_path / "log", FORMATS[request.param]
    folder.mkdir()
    return folder, lambda number, rows: write(folder / f"x_{number:04}.{request.param}", rows)


def refused(log, result, match):
    before = covdist.load(result)
    with pytest.raises(ResultError, match=match) as caught:
        covdist.update(log, result)
    assert "\n" not in str(caught.value)
    assert_same(covdist.load(result), before)


def test_more_files_and_more_rows(log, tmp_path):
    folder, write = log
    write(1, ROWS[:40])
    write(3, ROWS[60:100])
    fold(folder, tmp_path / "r.zarr")
    write(4, ROWS[100:130])
    write(2, ROWS[40:60])  # between others
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "1.zarr"))
    write(4, ROWS[100:151])
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "2.zarr"))
    write(4, ROWS[100:160])
    write(5, ROWS[160:])
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "3.zarr"))
    assert_same(covdist.load(tmp_path / "r.zarr"), fold(folder, tmp_path / "4.zarr"))


def test_old_files_that_changed(log, tmp_path):
    folder, write = log
    for number in range(3):
        write(number, ROWS[20 * number : 20 * number + 20])
    fold(folder, tmp_path / "r.zarr")
    write(3, ROWS[60:80])
    write(1, ROWS[40:60])
    refused(folder, tmp_path / "r.zarr", "the file that holds .*x_0001.* was written anew, and it does not tell which")


def test_old_rows_of_the_last_file_that_changed(log, tmp_path):
    folder, write = log
    write(0, ROWS[:20])
    write(1, ROWS[20:40])
    fold(folder, tmp_path / "r.zarr")
    write(1, np.vstack([ROWS[20:39], ROWS[:5]]))
    refused(folder, tmp_path / "r.zarr", "the file that holds .*x_0001.* was written anew, and old ones have other")
    write(1, ROWS[20:30])
    refused(folder, tmp_path / "r.zarr", "their number of rows was 40 and is 30")


def test_a_file_that_is_gone(log, tmp_path):
    folder, write = log
    for number in range(3):
        write(number, ROWS[20 * number : 20 * number + 20])
    fold(folder, tmp_path / "r.zarr")
    write(3, ROWS[60:100])
    next(folder.glob("x_0001.*")).unlink()
    refused(folder, tmp_path / "r.zarr", r"their number of rows was 60 and is 40 \(.*x_0001.* is not there\)")


def test_a_file_for_each_step(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    for number in range(20):
        np.save(folder / f"step_{number:04}.npy", ROWS[number])
    fold(folder, tmp_path / "r.zarr", by="bins(step, width=7)")
    for number in range(20, 31):
        np.save(folder / f"step_{number:04}.npy", ROWS[number])
    expected = fold(folder, tmp_path / "all.zarr", by="bins(step, width=7)")
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_a_single_file(tmp_path, name):
    log = tmp_path / f"log.{name}"
    FORMATS[name](log, ROWS[:100])
    fold(log, tmp_path / "r.zarr")
    FORMATS[name](log, ROWS[:135])
    assert_same(covdist.update(log, tmp_path / "r.zarr"), fold(log, tmp_path / "all.zarr"))
    FORMATS[name](log, ROWS[1:160])
    refused(log, tmp_path / "r.zarr", "was written anew, and old ones have other values")


def test_large_files_are_not_read_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(made_from, "_READ_AGAIN", 1000)
    (tmp_path / "log").mkdir()
    np.save(tmp_path / "log/a.npy", ROWS[:40])
    fold(tmp_path / "log", tmp_path / "r.zarr")
    np.save(tmp_path / "log/b.npy", ROWS[:50])  # another layer
    assert_same(covdist.update(tmp_path / "log", tmp_path / "r.zarr"), fold(tmp_path / "log", tmp_path / "all.zarr"))
    np.save(tmp_path / "log/a.npy", ROWS[:50])
    refused(tmp_path / "log", tmp_path / "r.zarr", "was written anew, and it does not tell which")


@pytest.mark.parametrize("missing", ["raise", "drop", "pairwise"])
def test_rows_between_others_of_which_a_half_life_counts_the_numbers(tmp_path, missing):
    """Rows that are left out hid that all old ones before the new ones are older than they were."""
    folder, rows = tmp_path / "log", ROWS.copy()
    folder.mkdir()
    if missing != "raise":
        rows[3, 1] = np.nan
    for number, start in {1: 0, 3: 40}.items():
        npy(folder / f"x_{number}.npy", rows[start : start + 20])
    options = {"halflife": 10.0, "missing": missing}
    fold(folder, tmp_path / "r.zarr", **options)
    npy(folder / "x_4.npy", rows[60:80])
    found, whole = covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "w.zarr", **options)
    np.testing.assert_allclose(found.cov(), whole.cov(), rtol=1e-10)
    npy(folder / "x_2.npy", rows[20:40])
    refused(folder, tmp_path / "r.zarr", "new rows between others, whose weights no longer fit")

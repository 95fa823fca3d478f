"""What was opened is what is read: a file that changed since then is refused in one sentence."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pytest

import covdist
from covdist.errors import LogError
from covdist.logs.dask_arrays import from_dask

A = np.random.default_rng(0).normal(size=(40, 3))
CHANGED = r"^{name}: .*{file} has changed since it was opened, .*: open the log again\.$"
SAVED: dict[str, Callable[..., None]] = {
    "x.npy": lambda path, a, b: np.save(path, a),
    "columns-first.npy": lambda path, a, b: np.save(path, np.asfortranarray(a)),
    "stored.npz": lambda path, a, b: np.savez(path, a=a, b=b),
    "columns-first.npz": lambda path, a, b: np.savez(path, a=np.asfortranarray(a), b=b),
    "packed.npz": lambda path, a, b: np.savez_compressed(path, a=a, b=b),
}  # fmt: skip


def later(path: Path) -> None:
    """Give a file that has changed another time: it may have in the same tick of the clock."""
    os.utime(path, ns=(1, 1))


def other_order(path: Path, save: Callable[..., None]) -> None:
    save(path, 100 * A, A)
    later(path)


def renamed_over(path: Path, save: Callable[..., None]) -> None:
    other_order(path.with_name(f"other{path.suffix}"), save)
    path.with_name(f"other{path.suffix}").rename(path)


def cut_off(path: Path, save: Callable[..., None]) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def removed(path: Path, save: Callable[..., None]) -> None:
    path.unlink()


def one_byte(path: Path, save: Callable[..., None]) -> None:
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    later(path)


@pytest.mark.parametrize("change", [other_order, renamed_over, cut_off, removed, one_byte])
@pytest.mark.parametrize("file", SAVED)
def test_numpy_files(tmp_path, file, change):
    SAVED[file](tmp_path / file, A, 100 * A)
    x = next(iter(covdist.open_log(tmp_path / file).data_vars.values()))
    lazy, sent = covdist.var(x, dim="sample"), pickle.dumps(from_dask(x.data))
    np.testing.assert_allclose(lazy.compute(), A.var(axis=0))
    change(tmp_path / file, SAVED[file])
    said = CHANGED.format(name=x.name, file=file)
    for read in (
        lazy.compute, x.compute, x[3:5].compute, lambda: covdist.var(x, dim="sample").compute(),
        lambda: covdist.cov(x[::2], dim="sample").compute(), lambda: pickle.loads(sent)[3:5, :],
    ):  # fmt: skip
        with pytest.raises(LogError, match=said):
            read()


@pytest.mark.parametrize("file", SAVED)
def test_opened_again_it_is_read(tmp_path, file):
    save = SAVED[file]
    save(tmp_path / file, A, 100 * A)
    before = next(iter(covdist.open_log(tmp_path / file).data_vars.values()))
    other_order(tmp_path / file, save)
    after = next(iter(covdist.open_log(tmp_path / file).data_vars.values()))
    assert from_dask(before.data).token != from_dask(after.data).token
    np.testing.assert_array_equal(after, 100 * A)
    with pytest.raises(LogError, match="changed since it was opened"):
        dask.compute(covdist.var(before, dim="sample"), covdist.var(after, dim="sample"))


def test_a_folder_whose_other_files_change(tmp_path):
    (tmp_path / "fc1").mkdir()
    for name in ("activation", "gradient", "step"):
        np.save(tmp_path / "fc1" / f"{name}.npy", A)
    log = covdist.open_log(tmp_path)["fc1"]
    np.save(tmp_path / "fc1/gradient.npy", 100 * A)
    later(tmp_path / "fc1/gradient.npy")
    np.testing.assert_array_equal(log["activation"], A)
    with pytest.raises(LogError, match=CHANGED.format(name="fc1/gradient", file="fc1/gradient.npy")):
        log["gradient"].compute()


def test_coordinates_on_disk(tmp_path):
    for name, data in {"x": A, "epoch": np.arange(40) // 8}.items():
        np.save(tmp_path / f"{name}.npy", data)
    log = covdist.open_log(tmp_path)
    np.save(tmp_path / "epoch.npy", np.arange(40) // 20)
    later(tmp_path / "epoch.npy")
    with pytest.raises(LogError, match=CHANGED.format(name="epoch", file="epoch.npy")):
        covdist.var(log["x"], dim="sample", by="epoch").compute()

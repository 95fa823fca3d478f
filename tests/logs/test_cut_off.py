"""Files of every format that end too early: one sentence names the file and says that it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.io import netcdf_file

from covdist.errors import LogError
from covdist.logs.opening import open_log
from tests.logs.conformance import check_sentence

X = np.random.default_rng(0).normal(size=(400, 8)).astype("f4")


def _npz(path: Path) -> None:
    np.savez(path, activation=X, gradient=X)


def _safetensors(path: Path) -> None:
    pytest.importorskip("safetensors.numpy").save_file({"activation": X, "gradient": X}, path)


def _hdf5(path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_dataset("activation", data=X, chunks=(100, 8))


def _netcdf3(path: Path) -> None:
    with netcdf_file(path, "w") as file:
        file.createDimension("sample", len(X))
        file.createDimension("unit", X.shape[1])
        file.createVariable("activation", "f4", ("sample", "unit"))[:] = X


def _zarr(path: Path) -> None:
    with zarr.storage.ZipStore(path, mode="w") as store:
        zarr.open_group(store, mode="w").create_array("activation", data=X, chunks=(100, 8))


def _torch(path: Path) -> None:
    path.write_bytes((Path(__file__).parent / "data" / "nested.pt").read_bytes())


def _table() -> Any:
    return pytest.importorskip("pyarrow").table({f"u{number}": X[:, number] for number in range(8)})


def _parquet(path: Path) -> None:
    pytest.importorskip("pyarrow.parquet").write_table(_table(), path, row_group_size=100)


def _feather(path: Path) -> None:
    pytest.importorskip("pyarrow.feather").write_feather(_table(), path)


def _stream(path: Path) -> None:
    with pytest.importorskip("pyarrow").ipc.new_stream(path, (table := _table()).schema) as stream:
        stream.write_table(table, 100)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.npy": lambda path: np.save(path, X), "a.npz": _npz, "a.safetensors": _safetensors, "a.h5": _hdf5,
    "a.nc": _netcdf3, "a.zarr.zip": _zarr, "a.pt": _torch, "a.parquet": _parquet, "a.feather": _feather,
    "a.arrows": _stream,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_was_cut_off(name, tmp_path):
    file = tmp_path / name
    WRITERS[name](file)
    whole = file.read_bytes()
    parts = [len(whole) * part // 13 for part in range(1, 13)]
    for size in (0, 1, 2, 3, 7, 8, 11, 20, 100, *parts, *(len(whole) - less for less in (22, 9, 7, 1))):
        file.write_bytes(whole[:size])
        with pytest.raises(LogError, match=r"cut off") as caught:
            open_log(file)
        said = str(caught.value)
        check_sentence(said)
        assert said.count(name) == 1, said
        assert not said.startswith(f"{name} is not a log"), said

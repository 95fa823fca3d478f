"""Files and options for ``covdist.load(path, format)`` that are something else: one sentence, and no wrong answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import covdist
from covdist.errors import DataError, ResultError

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("files")
    m = covdist.moments(X)
    m.export(place / "fid.npz", "fid")
    np.savez(place / "mom2.npz", **{"mom2.mom2": X.T @ X, "mom2.count": 40})
    (place / "mean.npy").mkdir()
    return place


@pytest.mark.parametrize("dim", [None, [], 5])
def test_a_dim_that_is_no_name(dim: Any, files: Path) -> None:
    with pytest.raises(DataError, match=r"dim=.* is no name: pass it as text"):
        covdist.load(files / "fid.npz", "fid", dim=dim)


def test_a_mean_that_is_no_vector(files: Path) -> None:
    with pytest.raises(DataError, match=r"mean=.* is not a vector of numbers"):
        covdist.load(files / "mom2.npz", "mom2", mean=[[1, [2]]])


def test_a_mean_in_a_file_of_too_long_a_name(files: Path) -> None:
    with pytest.raises(ResultError, match=r"does not exist: pass a \.npy file"):
        covdist.load(files / "mom2.npz", "mom2", mean="y" * 3000)


def test_a_mean_in_a_folder_called_like_a_file(files: Path) -> None:
    with pytest.raises(DataError, match="holds the sum of x xᵀ and no mean"):
        covdist.load(files / "mom2.npz", "mom2", mean=files / "mean.npy")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mean", [1e200, 1e308])
def test_a_mean_whose_square_overflows(mean: float, files: Path) -> None:
    with pytest.raises(DataError, match="the mean is not that of these rows"):
        covdist.load(files / "mom2.npz", "mom2", mean=np.full(3, mean))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bias", [(), "*"])
def test_imaginary_parts_are_not_dropped(bias: Any, tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    for factor in ("activation", "gradient"):
        numpy_files.save_file({"fc": np.eye(3, dtype=np.complex64)}, tmp_path / f"{factor}_covariance.safetensors")
        count = {"fc": np.array([40])}
        numpy_files.save_file(count, tmp_path / f"num_{factor}_covariance_processed.safetensors")
    with pytest.raises(DataError, match="holds fc as complex64, expected real numbers"):
        covdist.load(tmp_path, "kronfluence", mean=0, bias=bias)

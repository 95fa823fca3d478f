"""What the tools do with the files: their own steps from the path to the arrays that they compute with."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np


def pytorch_fid(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """``compute_statistics_of_path`` of pytorch-fid, and what clean-fid does too."""
    assert str(path).endswith(".npz")
    with np.load(path) as f:
        return f["mu"][:], f["sigma"][:]


def fadtk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return np.load(path / "mu.npy"), np.load(path / "cov.npy")


def _unboxed(value: Any) -> Any:
    null = np.ndim(value) == 0 and value.dtype == np.float64
    return None if null and struct.pack(">d", value) == struct.pack(">Q", 0xFFF8000000000002) else value


def rome(path: Path, sample_size: int) -> dict[str, dict[str, Any]]:
    """``load_cached_state`` and ``CombinedStat.load_state_dict`` of ROME's runningstats."""
    data = {key: _unboxed(value) for key, value in np.load(path).items()}
    assert "sample_size" in data
    assert data["sample_size"] == sample_size
    found: dict[str, dict[str, Any]] = {}
    for kind in ("mom2", "mean"):
        found[kind] = {key[len(kind) + 1 :]: value for key, value in data.items() if key.startswith(f"{kind}.")}
    return found


def kronfluence(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """``load_covariance_matrices``, with NumPy's arrays in place of torch's."""
    from safetensors.numpy import load_file

    names = [
        "activation_covariance", "gradient_covariance", "num_activation_covariance_processed",
        "num_gradient_covariance_processed",
    ]  # fmt: skip
    return {name: load_file(folder / f"{name}.safetensors") for name in names}


def llama_cpp(path: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, Any]]:
    """``common_imatrix_load``: tensors by what their names end with, all float32, of sizes that agree."""
    from gguf import GGMLQuantizationType, GGUFReader

    reader = GGUFReader(path)
    found: dict[str, dict[str, np.ndarray]] = {}
    for tensor in reader.tensors:
        assert tensor.tensor_type == GGMLQuantizationType.F32
        assert len(tensor.name.encode()) < 64
        name, _, what = tensor.name.rpartition(".")
        found.setdefault(name, {})[what] = tensor.data.reshape(tensor.shape[::-1])
    for each in found.values():
        assert each.keys() == {"in_sum", "in_sum2", "counts"}
        assert each["in_sum"].size == each["in_sum2"].size
        assert each["in_sum2"].size % each["counts"].size == 0
    keys = ["general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"]
    return found, {key: reader.fields[key].contents() for key in keys}


def quip(path: Path) -> np.ndarray:
    """``flat_to_sym`` and the sum with mu muᵀ: what QuIP# takes for the Hessian."""
    import torch

    data = torch.load(path, map_location="cpu", weights_only=True)
    n = data["n"]
    matrix = torch.zeros(n, n, dtype=data["flatH"].dtype)
    places = torch.tril_indices(n, n)
    matrix[places.unbind()] = data["flatH"]
    matrix[places[1, :], places[0, :]] = data["flatH"]
    assert isinstance(data["ct"], int)
    return (matrix + data["mu"][None, :] * data["mu"][:, None]).numpy()

"""Small logs whose every number is known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

STEPS, CHUNK = 200, 20
WIDTHS = {"fc1": 6, "block1/attn": 4}
PARAMS = 3
BAD_ROW, BAD_COLUMN = 57, 1


class Log(NamedTuple):
    path: Path
    arrays: dict[str, np.ndarray]  # "layer/variable" -> values


def healthy(path: Path) -> Log:
    """Two layers of activations and gradients (with a constant column, some zeros), in two epochs."""
    rng = np.random.default_rng(0)
    root = zarr.open_group(path, mode="w")
    arrays = {}
    for layer, width in WIDTHS.items():
        gradient = rng.normal(1e-8, 1e-9, (STEPS, PARAMS)) * [1, 1, 0]
        arrays |= {f"{layer}/activation": rng.normal(3, 1, (STEPS, width)), f"{layer}/gradient": gradient}
        write(root, f"{layer}/activation", arrays[f"{layer}/activation"], ("step", "unit"))
        write(root, f"{layer}/gradient", gradient, ("step", "param"))
        write(root, f"{layer}/epoch", epochs(), ("step",))
    return Log(path, arrays)


def one(path: Path, values: np.ndarray, **options: object) -> Log:
    """A single layer with a single gradient."""
    write(zarr.open_group(path, mode="w"), "fc1/gradient", values, ("step", "param"), **options)
    return Log(path, {"fc1/gradient": values})


def with_nan(path: Path) -> Log:
    values = np.random.default_rng(1).normal(size=(STEPS, PARAMS))
    values[BAD_ROW, BAD_COLUMN] = np.nan
    return one(path, values)


def ragged(path: Path) -> Log:
    """A layer whose two variables hold different samples."""
    root = zarr.open_group(path, mode="w")
    arrays = {"fc1/activation": np.ones((8, 2)), "fc1/gradient": np.ones((6, 2))}
    for name, values in arrays.items():
        write(root, name, values, ("sample", None))
    return Log(path, arrays)


def without_arrays(path: Path) -> Log:
    zarr.open_group(path, mode="w").require_group("fc1")
    return Log(path, {})


def endless(path: Path) -> Log:
    """A log that takes minutes to fold and no space: all of its chunks are left out."""
    group = zarr.open_group(path, mode="w")
    group.create_array("gradient", shape=(4_000_000, 2000), chunks=(1000, 2000), dtype="f4")
    return Log(path, {})


def epochs() -> np.ndarray:
    return np.repeat([0, 1], STEPS // 2)  # zarr does not store chunks of zeros


def write(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str | None, ...], **options: object) -> None:
    chunks = tuple(min(CHUNK, size) or 1 if axis == 0 else size for axis, size in enumerate(values.shape))
    group.create_array(name, data=values, chunks=chunks, dimension_names=dims, **options)


def chunk_file(log: Log, number: int) -> Path:
    return log.path / "fc1" / "gradient" / "c" / str(number) / "0"

"""Scratch logs: correlated float32 columns far from zero, written chunk by chunk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

NODE, VARIABLE, OTHER = "layer", "activation", "gradient"
_FACTORS = 8


class NoRoom(Exception):
    """The scratch directory cannot hold the log."""


@dataclass(frozen=True)
class Log:
    rows: int
    columns: int
    chunk_bytes: int = 16 * 2**20
    step_rows: int | None = None  # one chunk per training step of so many rows, instead of chunk_bytes
    zstd: bool = False
    halves: bool = False  # the columns behind the first half are an array of their own, OTHER

    @property
    def bytes(self) -> int:
        return 4 * self.rows * self.columns

    @property
    def chunk_rows(self) -> int:
        wanted = self.step_rows or self.chunk_bytes // (4 * self.columns)
        return max(1, min(self.rows, wanted))

    @property
    def name(self) -> str:
        kind = ("-zstd" if self.zstd else "") + ("-halves" if self.halves else "")
        return f"{self.rows}x{self.columns}-by-{self.chunk_rows}{kind}.zarr"


def array_path(log: Path, variable: str = VARIABLE) -> Path:
    return log / NODE / variable


def make(log: Log, scratch: Path) -> Path:
    """Return the log's path; what an earlier run left complete is used again."""
    path = scratch / log.name
    if path.exists():
        return path
    free = shutil.disk_usage(scratch).free
    if log.bytes > 0.95 * free:
        raise NoRoom(f"the log takes {log.bytes / 1e9:.1f} GB, {scratch} has {free / 1e9:.1f} GB left")
    unfinished = scratch / f"unfinished-{log.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    _write(log, unfinished)
    return unfinished.rename(path)


def _write(log: Log, path: Path) -> None:
    node = zarr.create_group(path).create_group(NODE)
    half = log.columns // 2
    parts = {VARIABLE: slice(half), OTHER: slice(half, None)} if log.halves else {VARIABLE: slice(None)}
    arrays = {
        name: node.create_array(
            name,
            shape=(log.rows, width := len(range(log.columns)[part])),
            chunks=(log.chunk_rows, width),
            dtype="float32",
            compressors=ZstdCodec(level=3) if log.zstd else None,
            dimension_names=("sample", "unit" if name == VARIABLE else "weight"),
        )
        for name, part in parts.items()
    }
    for start in range(0, log.rows, log.chunk_rows):
        stop = min(start + log.chunk_rows, log.rows)
        block = _block(log.columns, start, stop)
        for name, part in parts.items():
            arrays[name][start:stop] = block[:, part]


def _block(columns: int, start: int, stop: int) -> np.ndarray:
    spread, mean, loadings = _columns(columns)
    rng = np.random.default_rng([1, columns, start])
    block = rng.standard_normal((stop - start, columns), dtype="float32")
    block += rng.standard_normal((stop - start, _FACTORS), dtype="float32") @ loadings
    block *= spread
    block += mean
    return block


def deviations(columns: int) -> np.ndarray:
    """Return the standard deviations that a log's columns are drawn with."""
    spread, _, loadings = _columns(columns)
    return spread * np.sqrt(1 + (loadings**2).sum(axis=0))


def _columns(columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([0, columns])
    spread = 10.0 ** rng.uniform(-2, 2, columns)
    mean = spread * rng.uniform(1, 10, columns)
    loadings = rng.normal(0, 0.5, (_FACTORS, columns))
    return spread.astype("f4"), mean.astype("f4"), loadings.astype("f4")

"""Headers that promise more than there is, or what no array has."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.case import VALUES, Case, coded, grid, v2, v3

PROMISES = {  # shape and chunks
    "rows-1e18": ([10**18, 4], [10**6, 4]),
    "rows-1e18-in-1e3-chunks": ([10**18, 4], [10**15, 4]),
    "rows-1e30": ([10**30, 4], [10**6, 4]),
    "rows-2e63": ([2**63, 4], [2**40, 4]),
    "columns-1e9-one-a-chunk": ([100, 10**9], [100, 1]),
    "columns-1e15-in-a-chunk": ([10, 10**15], [10, 10**15]),
    "rows-1e9-one-a-chunk": ([10**9, 4], [1, 4]),
    "rows-5e6-one-a-chunk": ([5 * 10**6, 4], [1, 4]),
    "both-1e5": ([10**5, 10**5], [1, 1]),
    "dims-40": ([2] * 40, [1] * 40),
    "dims-40-one-chunk": ([2] * 40, [2] * 40),
    "dims-65": ([1] * 65, [1] * 65),
    "rows-1e18-no-columns": ([10**18, 0], [10**6, 1]),
    "no-rows-1e18-columns": ([0, 10**18], [1, 10**6]),
}
WRONG: dict[str, Any] = {
    "negative": [-200, 4], "fractional": [200.5, 4], "whole-fraction": [200.0, 4], "text": ["200", 4], "null": None,
    "number": 800, "word": "200,4", "nested": [[200], 4], "none-inside": [None, 4], "true": [True, 4],
    "mapping": {"0": 200}, "infinite": [float("inf"), 4], "nan": [float("nan"), 4],
}  # fmt: skip
GRIDS: dict[str, Any] = {
    "zero": [0, 4], "negative": [-1, 4], "too-few": [200], "too-many": [200, 4, 1], "fraction": [1.5, 4],
    "text": ["200", 4], "null": None, "none": [], "nested": [[200], 4], "huge": [2**64, 4], "true": [True, 4],
}  # fmt: skip


def cases() -> Iterator[Case]:
    fast = {"rows-1e18", "rows-1e30", "columns-1e9-one-a-chunk", "rows-1e9-one-a-chunk", "dims-40"}
    for name, (shape, chunks) in PROMISES.items():
        either = "either" if name in ("dims-40-one-chunk", "rows-5e6-one-a-chunk") else "refused"
        yield Case(f"v3-{name}", partial(v3, shape=shape, chunk_grid=grid(*chunks)), either, fast=name in fast)
        yield Case(f"v2-{name}", partial(v2, shape=shape, chunks=chunks), either)
        fill = {"missing_chunks": "fill"}
        yield Case(f"v3-fill-{name}", partial(v3, shape=shape, chunk_grid=grid(*chunks)), either, options=fill)
        zstd = coded({"name": "zstd", "configuration": {"level": 0, "checksum": False}})
        yield Case(f"v3-zstd-{name}", partial(v3, shape=shape, chunk_grid=grid(*chunks), codecs=zstd), either)
        yield Case(f"npy-{name}", partial(_npy, shape=tuple(shape)), fast=name == "rows-1e18")
        yield Case(f"npz-{name}", partial(_npz, shape=tuple(shape)))
        yield Case(f"coordinate-{name}", partial(_beside, shape=shape[:1], chunk_grid=grid(*chunks[:1])), "either")
    for name, shape in WRONG.items():
        either = "either" if name in ("whole-fraction", "true") else "refused"
        yield Case(f"v3-shape-{name}", partial(v3, shape=shape), either, fast=name in ("negative", "text"))
        yield Case(f"v2-shape-{name}", partial(v2, shape=shape), either)
        yield Case(f"npy-shape-{name}", partial(_npy, shape=tuple(shape) if isinstance(shape, list) else shape))
    for name, chunks in GRIDS.items():
        either = "either" if name in ("true", "huge") else "refused"
        broken = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        yield Case(f"v3-chunks-{name}", partial(v3, chunk_grid=broken), either)
        yield Case(f"v2-chunks-{name}", partial(v2, chunks=chunks), either)
    for dtype in ("|S0", "<U0", "|V0", "|O", "<M8[s]", "nonsense", "<f4, <i4"):
        rows = 10**18 if dtype[-1] == "0" else 3
        yield Case(f"npy-dtype-{dtype}", partial(_npy, shape=(rows,), dtype=dtype), "either")
    yield Case("deep-folders", _deep_folders, "either")
    yield Case("chunk-of-a-tebibyte", partial(v3, shape=[2**38, 1], chunk_grid=grid(2**38, 1)))
    gzip = coded({"name": "gzip", "configuration": {"level": 1}})
    yield Case("chunk-of-a-tebibyte-gzip", partial(v3, shape=[2**38, 1], chunk_grid=grid(2**38, 1), codecs=gzip))
    headers: dict[str, Callable[[Path], Path]] = {"long": _long_header, "deep": _deep_header, "call": _calling_header}
    yield from (Case(f"npy-header-{name}", make) for name, make in headers.items())
    yield from (Case(f"shard-{count}", partial(_shard, count=count), "either") for count in (10**4, 10**6, 10**9))


def _npy(folder: Path, shape: Any, dtype: str = "<f4") -> Path:
    return _header(folder, f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode())


def _header(folder: Path, text: bytes, data: bytes = VALUES.tobytes()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text) + 1) + text + b"\n" + data)
    return folder / "x.npy"


def _npz(folder: Path, shape: Any) -> Path:
    file = _npy(folder, shape)
    with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, "x.npy")
    return folder / "x.npz"


def _deep_folders(folder: Path) -> Path:
    folder.mkdir(parents=True)
    here = os.getcwd()
    os.chdir(folder)
    try:
        for _ in range(30):  # a path of 6,000 characters
            os.mkdir("a" * 200)
            os.chdir("a" * 200)
        np.save("x.npy", VALUES)
    finally:
        os.chdir(here)
    return folder


def _long_header(folder: Path) -> Path:
    file = _header(folder, b"{" + b" " * 100)
    with file.open("r+b") as stream:  # a header of 4 GB, in a file with a hole
        stream.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1))
        stream.truncate(5 << 30)
    return file


def _deep_header(folder: Path) -> Path:
    return _header(folder, b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"(" * 4000 + b")" * 4000 + b"}")


def _calling_header(folder: Path) -> Path:
    return _header(folder, b"{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os').getcwd()}")


def _beside(folder: Path, **head: Any) -> Path:
    """A good array with a coordinate that lies."""
    v3(folder / "a", dimension_names=["step", "unit"])
    v3(folder / "step", {}, dimension_names=["step"] * len(head["shape"]), **head)
    return folder


def _shard(folder: Path, count: int) -> Path:
    """A shard of so many inner chunks of one number, whose index names the same bytes for all."""
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [1, 1], "codecs": coded(), "index_codecs": coded(), "index_location": "end",
        },
    }  # fmt: skip
    index = np.tile(np.array([0, 4], "<u8"), min(count, 10**6))
    data = VALUES.tobytes()[:4] + index.tobytes()
    return v3(folder, {"c/0/0": data}, shape=[count, 1], chunk_grid=grid(count, 1), codecs=[sharding])

"""What a hostile case is: a function that makes something in a folder and returns the path to open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

VALUES = np.arange(800, dtype="f4").reshape(200, 4)  # 3,200 bytes
HEAD_V3 = {
    "zarr_format": 3, "node_type": "array", "shape": [200, 4], "data_type": "float32",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [200, 4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {},
}  # fmt: skip
HEAD_V2 = {
    "zarr_format": 2, "shape": [200, 4], "chunks": [200, 4], "dtype": "<f4", "compressor": None, "fill_value": 0,
    "order": "C", "filters": None,
}  # fmt: skip


class Case(NamedTuple):
    """``make(folder)`` returns the path to open; ``outcome`` is "refused", "read" or "either"."""

    name: str
    make: Callable[[Path], Path]
    outcome: str = "refused"
    says: str = ""  # a regular expression that the message must match
    fast: bool = False
    options: dict[str, Any] = {}  # noqa: RUF012  of open_log


def v3(folder: Path, files: dict[str, bytes] | None = None, **head: Any) -> Path:
    """Write an array of version 3 whose header says what is given; one good chunk by default."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(json.dumps({**HEAD_V3, **head}))
    return _chunks(folder, {"c/0/0": VALUES.tobytes()} if files is None else files)


def v2(folder: Path, files: dict[str, bytes] | None = None, **head: Any) -> Path:
    """Write an array of version 2 whose header says what is given; one good chunk by default."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".zarray").write_text(json.dumps({**HEAD_V2, **head}))
    return _chunks(folder, {"0.0": VALUES.tobytes()} if files is None else files)


def group(folder: Path, **head: Any) -> Path:
    """Write the metadata of a group of version 3."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}, **head}))
    return folder


def grid(*chunks: Any) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}


def coded(*codecs: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "bytes", "configuration": {"endian": "little"}}, *codecs]


def _chunks(folder: Path, chunks: dict[str, bytes]) -> Path:
    for key, data in chunks.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return folder

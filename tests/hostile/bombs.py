"""Few bytes that decode to a gigabyte where 3,200 bytes are expected."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

from tests.hostile.case import HEAD_V3, VALUES, Case, coded, grid, group, v2, v3

MEBI, MEBIS = bytes(1 << 20), 1100
_ZSTD = b"\x28\xb5\x2f\xfd"


def _deflated(wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head = packer.compress(MEBI) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + (packer.compress(MEBI) + packer.flush(zlib.Z_FULL_FLUSH)) * MEBIS + packer.flush()


def _zstd(declared: int | None) -> bytes:
    """Run-length blocks of 128 KiB, four bytes each; the frame declares its size, a wrong one, or none."""
    head = b"\x00\x58" if declared is None else b"\xe0" + struct.pack("<Q", declared)
    blocks = 8 * MEBIS
    block = struct.pack("<I", 1 << 17 << 3 | 1 << 1)[:3] + b"\x00"
    last = struct.pack("<I", 1 << 17 << 3 | 1 << 1 | 1)[:3] + b"\x00"
    return _ZSTD + head + block * (blocks - 1) + last


@cache
def bomb(kind: str) -> bytes:
    makers: dict[str, Callable[[], bytes]] = {
        "gzip": lambda: _deflated(31),
        "gzip-members": lambda: gzip.compress(MEBI) * MEBIS,
        "zlib": lambda: _deflated(15),
        "zstd": lambda: _zstd(MEBIS << 20),
        "zstd-undeclared": lambda: _zstd(None),
        "zstd-lying": lambda: _zstd(3200),
        "zstd-frames": lambda: numcodecs.Zstd().encode(MEBI) * MEBIS,
        "blosc": lambda: numcodecs.Blosc("zstd", 1).encode(np.zeros(MEBIS << 20, "u1")),
        "lz4": lambda: numcodecs.LZ4().encode(np.zeros(MEBIS << 20, "u1")),
        "lz4-lying": lambda: struct.pack("<i", 2**31 - 1) + numcodecs.LZ4().encode(MEBI)[4:],
        "bz2": lambda: bz2.compress(MEBI) * MEBIS,
        "lzma": lambda: lzma.compress(MEBI) * MEBIS,
    }
    return makers[kind]()


def _twice() -> bytes:
    return gzip.compress(bomb("gzip"))


V2 = {  # by numcodecs id
    "gzip": "gzip", "gzip-members": "gzip", "zlib": "zlib", "zstd": "zstd", "zstd-undeclared": "zstd",
    "zstd-lying": "zstd", "zstd-frames": "zstd", "blosc": "blosc", "lz4": "lz4", "lz4-lying": "lz4", "bz2": "bz2",
    "lzma": "lzma",
}  # fmt: skip
V3 = {"gzip": {"level": 1}, "zstd": {"level": 1, "checksum": False}, "blosc": {
    "cname": "zstd", "clevel": 1, "shuffle": "noshuffle", "typesize": 4, "blocksize": 0}}  # fmt: skip


def cases() -> Iterator[Case]:
    fast = {"gzip", "zstd-undeclared", "blosc", "lz4", "bz2"}
    for kind, codec in V2.items():
        place = {"compressor": {"id": codec}}
        yield Case(f"v2-{kind}", partial(_chunk_v2, kind=kind, **place), says="chunk", fast=kind in fast)
        yield Case(f"v2-column-major-{kind}", partial(_chunk_v2, kind=kind, order="F", **place))
        delta = [{"id": "delta", "dtype": "<f4"}]
        yield Case(f"v2-filtered-{kind}", partial(_chunk_v2, kind=kind, filters=delta, **place))
        named = V3.get(codec)
        three = {"name": codec, "configuration": named} if named else {"name": f"numcodecs.{codec}"}
        if named is None:
            three["configuration"] = {}
        yield Case(f"v3-{kind}", partial(_chunk_v3, kind=kind, codecs=coded(three)), says="chunk")
        yield Case(f"coordinate-{kind}", partial(_coordinate, kind=kind, codec=three), fast=kind in ("zstd", "gzip"))
        yield Case(f"shard-{kind}", partial(_shard, kind=kind, codec=three))
        big = [{"name": "bytes", "configuration": {"endian": "big"}}, three]
        yield Case(f"v3-big-endian-{kind}", partial(_chunk_v3, kind=kind, codecs=big))
        text = [{"name": "vlen-utf8", "configuration": {}}, three]
        yield Case(f"text-{kind}", partial(_labels, data=bomb, kind=kind, codecs=text))
    gzip3 = {"name": "gzip", "configuration": {"level": 1}}
    yield Case("v3-twice", partial(_double, codecs=coded(gzip3, gzip3)), says="chunk", fast=True)
    yield Case("v3-twice-coordinate", partial(_double_coordinate, codec=gzip3))
    yield Case("gzip-empty-members", partial(_chunk_file, data=gzip.compress(b"") * 50_000, codecs=coded(gzip3)))
    yield Case("sparse-chunk", partial(_sparse, codecs=coded(gzip3)), says="chunk", fast=True)
    yield Case("sparse-plain-chunk", partial(_sparse, codecs=coded()), says="chunk")
    yield Case("sparse-shard", _sparse_shard)
    yield Case("text-count", partial(_labels, data=_lying_text, kind="", codecs=[{"name": "vlen-utf8"}]))
    yield Case("zip-metadata", _zip_metadata)
    yield Case("zip-chunk", _zip_chunk, fast=True)
    yield Case("npz-longer", _npz_longer, says="x")
    yield Case("pickle", _pickled, fast=True)


def _chunk_v2(folder: Path, kind: str, **head: Any) -> Path:
    return v2(folder, {"0.0": bomb(kind)}, **head)


def _chunk_v3(folder: Path, kind: str, **head: Any) -> Path:
    return v3(folder, {"c/0/0": bomb(kind)}, **head)


def _chunk_file(folder: Path, data: bytes, **head: Any) -> Path:
    return v3(folder, {"c/0/0": data}, **head)


def _sparse(folder: Path, **head: Any) -> Path:
    v3(folder, {"c/0/0": b""}, **head)
    os.truncate(folder / "c" / "0" / "0", 5 << 30)
    return folder


def _sparse_shard(folder: Path) -> Path:
    _shard(folder, "gzip", {"name": "gzip", "configuration": {"level": 1}})
    os.truncate(folder / "c" / "0" / "0", 5 << 30)
    return folder


def _double(folder: Path, **head: Any) -> Path:
    return v3(folder, {"c/0/0": _twice()}, **head)


def _with_coordinate(folder: Path, data: bytes, codec: dict[str, Any]) -> Path:
    group(folder)
    v3(folder / "a", dimension_names=["step", "unit"])
    v3(folder / "step", {"c/0": data}, dimension_names=["step"], shape=[200], chunk_grid=grid(200), codecs=coded(codec))
    return folder


def _coordinate(folder: Path, kind: str, codec: dict[str, Any]) -> Path:
    return _with_coordinate(folder, bomb(kind), codec)


def _double_coordinate(folder: Path, codec: dict[str, Any]) -> Path:
    _with_coordinate(folder, _twice(), codec)
    v3(
        folder / "step", {"c/0": _twice()}, dimension_names=["step"], shape=[200], chunk_grid=grid(200),
        codecs=coded(codec, codec),
    )  # fmt: skip
    return folder


def _shard(folder: Path, kind: str, codec: dict[str, Any]) -> Path:
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [100, 4], "codecs": coded(codec), "index_codecs": coded({"name": "crc32c"}),
            "index_location": "end",
        },
    }  # fmt: skip
    from google_crc32c import value

    data = bomb(kind)
    index = np.array([[0, len(data)], [0, len(data)]], "<u8").tobytes()
    return v3(folder, {"c/0/0": data + index + struct.pack("<I", value(index))}, codecs=[sharding])


def _labels(folder: Path, data: Callable[[str], bytes], kind: str, codecs: list[dict[str, Any]]) -> Path:
    group(folder)
    v3(folder / "a", dimension_names=["step", "unit"])
    v3(
        folder / "unit", {"c/0": data(kind)}, dimension_names=["unit"], shape=[4], chunk_grid=grid(4),
        data_type="string", fill_value="", codecs=codecs,
    )  # fmt: skip
    return folder


def _lying_text(_: str) -> bytes:
    return struct.pack("<I", 2**31 - 1) + struct.pack("<I", 2**31 - 1) + b"a"


def _zip_metadata(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zarr.json", "w") as out:
        out.write(b" " * 10)
        for _ in range(MEBIS):
            out.write(b" " * (1 << 20))
    return folder / "x.zip"


def _zip_chunk(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    import json

    head = {**HEAD_V3, "codecs": coded({"name": "gzip", "configuration": {"level": 1}})}
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("zarr.json", json.dumps(head))
        archive.writestr("c/0/0", bomb("gzip"))
    return folder / "x.zip"


def _npz_longer(folder: Path) -> Path:
    """A member of a gigabyte whose header and directory say 3,200 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    head = io.BytesIO()
    np.lib.format.write_array_header_2_0(head, {"descr": "<f4", "fortran_order": False, "shape": (200, 4)})
    file = folder / "x.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as out:
        out.write(head.getvalue() + VALUES.tobytes())
        for _ in range(64):
            out.write(MEBI)
    data = bytearray(file.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", len(head.getvalue()) + VALUES.nbytes)
    file.write_bytes(data)
    return file


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("unpickled",)


def _pickled(folder: Path) -> Path:
    import pickle

    data = pickle.dumps(np.array([_Evil()], object))
    return v2(folder, {"0": data}, shape=[1], chunks=[1], dtype="|O", filters=[{"id": "pickle"}])

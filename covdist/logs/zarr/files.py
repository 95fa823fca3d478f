"""A local Zarr array whose chunk files can be read without zarr: little-endian, C order, common codecs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

import google_crc32c
import numpy as np

from covdist.errors import LogError, MissingChunkError
from covdist.logs.chunk_bytes import BROKEN, CRC_BYTES, Codec, checked, decode, read_into
from covdist.logs.grid import GridSource, Index, Slices

MARKERS = ("zarr.json", ".zarray", ".zgroup")  # one of them lies in each array and group
SLAB_BYTES = 1 << 21
SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
COMPRESSORS = ("zstd", "blosc", "gzip", "zlib")


@dataclass(frozen=True, eq=False)
class ZarrFileSource(GridSource):
    """Reads chunk files straight into the caller's buffer."""

    folder: str  # of the array's metadata
    lead: tuple[str, ...]  # a chunk's key is lead and its indices, joined by the separator
    separator: str
    codecs: tuple[Codec, ...]  # in the order in which the writer applied them
    fill_value: Any
    missing: str  # "raise" or "fill"

    @property
    def buffer_size(self) -> int:
        """Bytes of a decoded chunk and of its checksums."""
        return self.chunk_bytes + CRC_BYTES * len(self.codecs)

    @property
    def _plain(self) -> bool:
        return all(codec["id"] == "crc32c" for codec in self.codecs)

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        key = self._key(index)
        space = np.empty(self.buffer_size, np.uint8) if buffer is None else buffer
        cut = tuple(slice(0, each.stop - each.start) for each in self.cut(index))
        try:
            with open(self._path(index), "rb", buffering=0) as file:
                if self._plain:
                    data = self._plain_bytes(file, space)
                else:
                    data = decode(np.frombuffer(file.read(), np.uint8), self.codecs, space[: self.chunk_bytes])
        except FileNotFoundError:
            return self._filled(key, cut)
        except BROKEN as error:
            raise broken(self.name, key, error) from error
        return data.view(self.dtype).reshape(self.chunks)[cut]

    @property
    def slab_size(self) -> int:
        """Bytes of rows, about 2 MiB: read 1.5 times as fast as 32 MiB, since they stay in the cache."""
        if not self._in_slabs:
            return self.buffer_size
        row = self.chunk_bytes // self.chunks[0]
        return min(max(row, SLAB_BYTES // row * row), self.buffer_size)

    @property
    def _in_slabs(self) -> bool:
        return bool(self.chunks) and self._plain and len(self.codecs) <= 1

    def announce(self, index: Index) -> None:
        """Start the kernel's read-ahead, if it has one; a missing file is reported when it is read."""
        if hasattr(os, "posix_fadvise") and os.path.exists(path := self._path(index)):
            with open(path, "rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)

    def _key(self, index: Index) -> str:
        return self.separator.join([*self.lead, *map(str, index)]) or "0"

    def _path(self, index: Index) -> str:
        return os.path.join(self.folder, self._key(index))

    def read_slabs(self, index: Index, buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Read one chunk file some rows at a time, or all at once if it is compressed."""
        key, path = self._key(index), self._path(index)
        cut = tuple(slice(0, each.stop - each.start) for each in self.cut(index))
        if not self._in_slabs or not os.path.exists(path):
            yield self.read_chunk(index, buffer)
            return
        try:
            with open(path, "rb", buffering=0) as file:
                for start, data in self._plain_slabs(file, buffer):
                    rows = data.view(self.dtype).reshape(-1, *self.chunks[1:])[: max(0, cut[0].stop - start)]
                    if len(rows):
                        yield rows[:, *cut[1:]]
        except BROKEN as error:
            raise broken(self.name, key, error) from error

    def _plain_slabs(self, file: FileIO, space: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        self._check_size(file)
        row, left, crc = self.chunk_bytes // self.chunks[0], self.chunk_bytes, 0
        while left:
            data = space[: min(left, self.slab_size // row * row)]
            read_into(file, data)
            crc = google_crc32c.extend(crc, data) if self.codecs else 0
            yield (self.chunk_bytes - left) // row, data
            left -= data.nbytes
        if self.codecs and crc.to_bytes(CRC_BYTES, "little") != file.read(CRC_BYTES):
            raise ValueError("its crc32c does not fit its bytes")

    def _check_size(self, file: FileIO) -> None:
        size, actual = self.buffer_size, os.fstat(file.fileno()).st_size
        if actual != size:
            raise ValueError(f"it has {actual:,} bytes where {size:,} are expected")

    def _plain_bytes(self, file: FileIO, space: np.ndarray) -> np.ndarray:
        self._check_size(file)
        data = space[: self.buffer_size]
        read_into(file, data)
        for _ in self.codecs:
            data = checked(data)
        return data

    def _filled(self, key: str, cut: Slices) -> np.ndarray:
        if self.missing == "raise":
            raise missing_chunk(self.name, key)
        return np.full([each.stop for each in cut], self.fill_value, self.dtype)


def missing_chunk(name: str, key: str) -> MissingChunkError:
    """Return the error for a chunk that is not in the store."""
    return MissingChunkError(
        f"{name}: chunk {key} is not in the store, because its writer left out chunks that hold only the "
        f"fill value (zarr's default, write_empty_chunks=False) or because it was lost: if it was left out, read "
        f'it as the fill value with missing_chunks="fill" (--missing-chunks fill).'
    )


def broken(name: str, key: str, error: Exception) -> LogError:
    """Return the error for a chunk that cannot be decoded."""
    return LogError(f"{name}: chunk {key} is damaged ({error}): restore it or record the log again.")


def direct_codecs(metadata: Mapping[str, Any], dtype: np.dtype) -> tuple[Codec, ...] | None:
    """Return the codecs of an array as numcodecs configurations; None where only zarr can decode them."""
    if dtype.kind not in "biufc" or dtype.byteorder == ">":
        return None
    if metadata["zarr_format"] == 3:
        return _codecs_v3(metadata)
    compressor = metadata["compressor"]
    if metadata["filters"] or (metadata["order"] != "C" and len(metadata["shape"]) > 1):
        return None
    if compressor is None:
        return ()
    return (compressor,) if compressor["id"] in COMPRESSORS else None


def _codecs_v3(metadata: Mapping[str, Any]) -> tuple[Codec, ...] | None:
    first, *rest = metadata["codecs"]
    big = first.get("configuration", {}).get("endian") == "big"
    if metadata.get("storage_transformers") or first["name"] != "bytes" or big:
        return None
    if not all(codec["name"] in ("crc32c", "zstd", "blosc", "gzip") for codec in rest):
        return None
    return tuple(_numcodecs(codec["name"], codec.get("configuration", {})) for codec in rest)


def _numcodecs(name: str, configuration: Mapping[str, Any]) -> Codec:
    if name != "blosc":
        return {"id": name, **configuration}
    known = {key: configuration[key] for key in ("cname", "clevel", "blocksize") if key in configuration}
    return {"id": name, **known, "shuffle": SHUFFLES[configuration.get("shuffle", "noshuffle")]}

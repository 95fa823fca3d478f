"""Datasets of HDF5 files as sources: bytes that lie as numpy has them are read without the library, and its lock."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import LogError, MissingChunkError, shown
from covdist.logs.chunk_bytes import BROKEN as UNDECODED
from covdist.logs.chunk_bytes import Codec, decode, encoded_bytes, read_into
from covdist.logs.files._extras import needed
from covdist.logs.grid import MOST_BYTES, MOST_CHUNKS, GridSource, Index
from covdist.logs.paths import for_library
from covdist.logs.source import Source, Storage
from covdist.logs.stamps import Stamp, changed, open_unchanged, stamp
from covdist.logs.stored import file_token, row_chunks, stored

BROKEN = (*UNDECODED, KeyError, TypeError, AttributeError, NotImplementedError, OverflowError, IndexError, MemoryError)
TEXT = np.dtypes.StringDType()

_LARGEST_RATIO = 1100  # of what deflate gives to what it takes: 1,032 and a little
_FILTERS = {1: "zlib", 2: "shuffle", 3: "fletcher32", 307: "bz2", 32001: "blosc", 32015: "zstd"}


@dataclass(frozen=True, eq=False)
class ChunkSource(GridSource):
    """Chunks of which the library is asked only where they lie."""

    path: str
    key: str  # of the dataset in the file
    stamp: Stamp
    codecs: tuple[Codec, ...]
    fill: Any  # None where no value stands for what was not written
    given: Any  # by HDF5 for what was not written, though nobody may have meant it

    def filled(self) -> ChunkSource:
        """Return a source in which chunks that were never written read as the fill value of HDF5."""
        return replace(self, fill=self.given, token=f"{self.token}-filled")

    @property
    def checksum(self) -> str | None:
        """Fletcher-32, where the chunks have it."""
        return next((each["id"] for each in self.codecs if each["id"] == "fletcher32"), None)

    @property
    def storage(self) -> Storage:
        """Names of codecs; what the chunks take is not asked."""
        return Storage(tuple(str(each["id"]) for each in self.codecs))

    @property
    def buffer_size(self) -> int:
        """Bytes of a decoded chunk."""
        return self.chunk_bytes

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        size = self.chunk_bytes
        out = np.empty(size, np.uint8) if buffer is None else buffer[:size]
        part = tuple(slice(0, each.stop - each.start) for each in self.cut(index))
        try:
            with open_unchanged(self.path, self.stamp, self.name) as file:
                where = self._place(index)
                if where is None:
                    return np.full([each.stop for each in part], self.fill, self.dtype)
                start, length, codecs = where
                file.seek(start)
                data = out if not codecs and length == size else np.empty(length, np.uint8)
                read_into(file, data)
            return decode(data, codecs, size, out).view(self.dtype).reshape(self.chunks)[part]
        except BROKEN as error:
            raise damaged_chunk(self.name, self.path, index, error) from error

    def _place(self, index: Index) -> tuple[int, int, tuple[Codec, ...]] | None:
        """Return where a chunk lies, its length, and what was done to it; None where it was never written."""
        grid = tuple(-(-n // size) for n, size in zip(self.shape, self.chunks, strict=True))
        listed = _listed(self.path, self.stamp, self.key, self.chunks, grid)
        number = np.ravel_multi_index(index, grid)
        found = int(np.searchsorted(listed.numbers, number))
        if found == len(listed.numbers) or listed.numbers[found] != number:
            if self.fill is None:
                raise MissingChunkError(
                    f"{self.name}: chunk {index} was never written to {self.path}: record it, give the variable a "
                    '_FillValue, which is read as NaN, or read zeros or its own fill value by missing_chunks="fill".'
                )
            return None
        start, length, mask = (int(each[found]) for each in (listed.starts, listed.lengths, listed.masks))
        codecs = tuple(codec for bit, codec in enumerate(self.codecs) if not mask >> bit & 1)
        if length > encoded_bytes(codecs, self.chunk_bytes) or start + length > self.stamp[0]:
            raise ValueError(f"it is said to have {length:,} bytes at {start:,}, where the file has {self.stamp[0]:,}")
        if self.chunk_bytes > length * _LARGEST_RATIO ** max(1, _compressions(codecs)) + 4096:
            raise ValueError(f"{length:,} bytes cannot hold the {self.chunk_bytes:,} that it is said to have")
        return start, length, codecs


class _Listed(NamedTuple):
    """Chunks that were written, by their numbers in the grid, in order."""

    numbers: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    masks: np.ndarray


@functools.lru_cache(maxsize=64)
def _listed(path: str, before: Stamp, key: str, chunks: Index, grid: Index) -> _Listed:
    """List the chunks of a dataset, once per process."""
    found: list[tuple[int, int, int, int]] = []

    def add(info: Any) -> None:
        at = tuple(place // size for place, size in zip(info.chunk_offset, chunks, strict=True))
        if all(i < n for i, n in zip(at, grid, strict=True)):
            found.append((int(np.ravel_multi_index(at, grid)), info.byte_offset, info.size, info.filter_mask))

    with opened_file(path) as file:
        file[key].id.chunk_iter(add)
    if stamp(path) != before:
        raise changed(key, path, "it was written to")
    columns = np.array(sorted(found), np.int64).reshape(-1, 4).T
    return _Listed(*columns)


@dataclass(frozen=True, eq=False)
class LibrarySource(GridSource):
    """What only the library reads: numbers of foreign types, and its rarer filters."""

    path: str
    key: str
    stamp: Stamp

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        try:
            with (
                open_unchanged(self.path, self.stamp, self.name),
                opened_file(self.path) as file,
            ):
                read = self.values(file[self.key], index)
        except BROKEN as error:
            raise damaged_chunk(self.name, self.path, index, error) from error
        return read

    def values(self, dataset: Any, index: Index) -> np.ndarray:
        """Read a chunk of the open dataset."""
        return np.asarray(dataset[self.cut(index)], self.dtype)


@dataclass(frozen=True, eq=False)
class TextSource(LibrarySource):
    """Texts: of any length, of fixed length, or as netCDF has them, rows of single characters."""

    joined: bool  # along the last dim of the dataset, which is none of this source

    def values(self, dataset: Any, index: Index) -> np.ndarray:
        raw = np.asarray(dataset[self.cut(index)])
        if self.joined:
            raw = _words(raw)
        texts = [text_of(each) for each in raw.ravel()]
        return np.array(texts, TEXT).reshape(raw.shape)


def _words(letters: np.ndarray) -> np.ndarray:
    """Return texts of single characters along the last dim, which may have none."""
    *shape, length = letters.shape
    return np.ascontiguousarray(letters).view(f"S{length}")[..., 0] if length else np.zeros(shape, "S1")


def opened_file(path: str) -> Any:
    """Open a file without locks, which some file systems lack, or with them where this process has it open so."""
    with needed(path):
        import h5py
    file = for_library(path)
    try:
        return h5py.File(file, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(file, "r")


def damaged_chunk(name: str, path: str, index: Index, error: Exception) -> LogError:
    """Return the error for a chunk that cannot be read."""
    return LogError(
        f"{name}: chunk {index} in {path} is damaged ({shown(str(error), 300)}): restore it or record the log again."
    )


def dataset_source(dataset: Any, name: str, path: str, before: Stamp, attrs: Mapping[str, Any]) -> Source:
    """Return the source of an open dataset; LogError where covdist reads no such."""
    import h5py

    kind, shape, dtype = dataset.id.get_create_plist(), dataset.shape, dataset.dtype
    if kind.get_layout() == h5py.h5d.VIRTUAL or kind.get_external_count():
        raise LogError(f"{name}: its values lie outside {path}, where covdist never looks: copy them into the file.")
    if shape is None:
        raise LogError(f"{name} in {path} has no values: record it, or take it out.")
    text = h5py.check_string_dtype(dtype) is not None
    if not text and (dtype.hasobject or dtype.kind not in "biufcSU"):
        raise LogError(
            f"{name} in {path} holds {shown(str(dtype))}, no numbers or texts: save its parts by themselves."
        )
    key, filters = dataset.name, [kind.get_filter(number) for number in range(kind.get_nfilters())]
    for code, *_, called in filters:
        if code not in _FILTERS and not h5py.h5z.filter_avail(code):
            raise LogError(
                f"{name} in {path} is packed by the HDF5 filter {code} ({shown(text_of(called))}), which is not there: "
                "pack it with gzip (h5repack -f GZIP=1), or install hdf5plugin and import it first."
            )
    chunks = tuple(dataset.chunks or row_chunks(shape, dtype))
    _check_promise(dataset, name, path, chunks, before)
    token = file_token(path, name, key, shape, dtype, chunks, before=before)
    if text or dtype.kind in "SU":
        joined = len(shape) > 1 and dtype.kind == "S" and dtype.itemsize == 1
        rank = len(shape) - joined
        return TextSource(name, shape[:rank], TEXT, chunks[:rank], token, path, key, before, joined)
    native = dataset.id.get_type() == h5py.h5t.py_create(dtype, logical=True) and dataset.file.userblock_size == 0
    if native and dataset.chunks and all(code in _FILTERS for code, *_ in filters):
        given = dataset.fillvalue
        codecs = tuple(_codec(code, values) for code, _, values, _ in filters)
        fill = given if "_FillValue" in attrs else None
        return ChunkSource(name, shape, dtype, chunks, token, path, key, before, codecs, fill, given)
    size = math.prod(shape) * dtype.itemsize
    if native and kind.get_layout() == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()
        if offset is None and size:
            raise MissingChunkError(f"{name} was never written to {path}: record it, or take it out.")
        if size and offset + size > before[0]:
            raise LogError(f"{name}: {path} has {before[0]:,} bytes where it is said to end at {offset + size:,}.")
        return stored(path, name, shape, dtype, offset or 0, before)
    return LibrarySource(name, shape, dtype, chunks, token, path, key, before)


def _check_promise(dataset: Any, name: str, path: str, chunks: Index, before: Stamp) -> None:
    count = math.prod(-(-n // size) for n, size in zip(dataset.shape, chunks, strict=True))
    nbytes = math.prod(max(1, n) for n in dataset.shape) * dataset.dtype.itemsize
    if count <= MOST_CHUNKS and nbytes <= MOST_BYTES:
        return
    written = dataset.id.get_num_chunks() if dataset.chunks else count
    if count > max(MOST_CHUNKS, written * 1000) or nbytes > max(MOST_BYTES, before[0] * 1_000_000) or nbytes >= 2**63:
        raise LogError(
            f"{name} is said to have the shape {shown(str(dataset.shape))} in chunks of {shown(str(chunks))}, "
            f"{count:.3g} of them with {nbytes:.3g} bytes, but {path} has {written:,} of {before[0]:,} bytes in all: "
            "restore it."
        )


def text_of(value: Any) -> str:
    """Return a text that a file holds as text or as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _codec(code: int, values: tuple[int, ...]) -> Codec:
    name = _FILTERS[code]
    return {"id": name, "elementsize": values[0]} if name == "shuffle" and values else {"id": name}


def _compressions(codecs: tuple[Codec, ...]) -> int:
    return sum(codec["id"] not in ("shuffle", "fletcher32") for codec in codecs)

"""Arrays one below the other as one: what several ranks recorded, or the files of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from covdist.limits import limits
from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.joining.partitions import Label
from covdist.logs.source import Source, Storage, by_rows
from covdist.logs.stored import row_chunks


def join(parts: Sequence[Source], name: str, chunks: tuple[int, ...] | None = None) -> Source:
    """Return a source of all rows of several, which differ in their numbers alone; in chunks as long as the longest."""
    if len(parts) == 1:
        return parts[0]
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    dtype = np.result_type(*{part.dtype for part in parts})
    token = hashlib.blake2b(" ".join(part.token for part in parts).encode(), digest_size=16).hexdigest()
    longest = max(part.chunks for part in parts)
    kind = JoinedRows if all(map(by_rows, parts)) else JoinedSource
    return kind(name, shape, dtype, chunks or longest, token, tuple(parts))


def join_files(parts: Sequence[Source], name: str) -> Source:
    """Return a source of all rows of several files, which may have a row each.

    Its chunks are as long as a file's usually are, or as the longest of the parts: each cut through one of these, such
    as a row group of Parquet, has it unpacked once more.
    """
    if len(parts) == 1:
        return parts[0]
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    rows, *across = row_chunks(shape, parts[0].dtype)
    longest = max(part.chunks[0] for part in parts)
    even = all(part.chunks[0] == longest and part.shape[0] % longest == 0 for part in parts[:-1])
    if longest <= rows < shape[0] and even:
        rows -= rows % longest
    return join(parts, name, (max(rows, longest), *across))


@dataclass(frozen=True, eq=False)
class JoinedSource(GridSource):
    """Arrays one below the other, cut again into regular chunks."""

    parts: tuple[Source, ...]

    @property
    def checksum(self) -> str | None:
        """That of the parts, where all have one."""
        kinds = dict.fromkeys(part.checksum for part in self.parts)
        return None if None in kinds else ", ".join(map(str, kinds))

    @property
    def storage(self) -> Storage:
        """What all parts take; their codecs are those of the first."""
        parts = [part.storage for part in self.parts]
        sizes, missing = [part.nbytes for part in parts], [part.missing for part in parts]
        return Storage(
            parts[0].codecs,
            None if None in sizes else sum(filter(None, sizes)),
            None if None in missing else sum(filter(None, missing)),
        )

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([part.shape[0] for part in self.parts])

    def __getitem__(self, index: Slices) -> np.ndarray:
        start, stop, _ = index[0].indices(self.shape[0])
        across = [len(range(*each.indices(size))) for each, size in zip(index[1:], self.shape[1:], strict=True)]
        rows, done = np.empty((max(0, stop - start), *across), self.dtype), 0
        for part, low, high in self.between(start, stop):
            rows[done : done + high - low] = part[(slice(low, high), *index[1:])]
            done += high - low
        return rows

    def between(self, start: int, stop: int) -> Iterator[tuple[Source, int, int]]:
        """Yield the parts of some rows, each with the range of its own."""
        number = int(np.searchsorted(self._ends, start, side="right"))
        while number < len(self.parts) and (first := self._first(number)) < stop:
            part = self.parts[number]
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                yield part, low, high
            number += 1

    def _first(self, number: int) -> int:
        return int(self._ends[number]) - self.parts[number].shape[0]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


@dataclass(frozen=True, eq=False)
class JoinedRows(JoinedSource):
    """Arrays one below the other, of which a chunk is read some rows at a time."""

    @property
    def slab_size(self) -> int:
        """Bytes of the rows of a part while they are read, and of those of small parts that wait for more."""
        size = max(part.slab_size for part in self.parts if by_rows(part))
        return size + 2 * min(self.chunk_bytes, limits().npy_chunk_bytes)

    def announce(self, index: Index) -> None:
        """Do nothing: what is read ahead is a slab."""

    def read_slabs(self, index: Index, buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Yield rows of a chunk, those of small parts together."""
        rows, waiting = self.cut(index)[0], list[np.ndarray]()
        for slab in self._slabs(rows.start, rows.stop):
            waiting.append(slab)
            if sum(each.nbytes for each in waiting) >= limits().npy_chunk_bytes // 2:
                yield _below(waiting)
                waiting = []
        if waiting:
            yield _below(waiting)

    def _slabs(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for part, low, high in self.between(start, stop):
            assert by_rows(part)
            yield from part.slabs_between(low, high)


def _below(slabs: list[np.ndarray]) -> np.ndarray:
    return slabs[0] if len(slabs) == 1 else np.concatenate(slabs)


@dataclass(frozen=True, eq=False)
class RowOf(GridSource):
    """A whole array as the only row of another."""

    source: Source

    @property
    def checksum(self) -> str | None:
        """That of the array."""
        return self.source.checksum

    @property
    def storage(self) -> Storage:
        """That of the array."""
        return self.source.storage

    def __getitem__(self, index: Slices) -> np.ndarray:
        rows: np.ndarray = np.asarray(self.source[index[1:]])[np.newaxis][index[:1]]
        return rows

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


def row_of(source: Source) -> Source:
    """Return a source that has a whole array as its only row."""
    shape, chunks = (1, *source.shape), (1, *source.chunks)
    return RowOf(source.name, shape, source.dtype, chunks, f"{source.token}-row", source)


@dataclass(frozen=True, eq=False)
class Repeated(GridSource):
    """Numbers or texts, each as often as a part has rows."""

    values: tuple[Label, ...]
    times: tuple[int, ...]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return np.repeat(np.array(self.values, self.dtype), self.times)


def repeated(name: str, values: Sequence[Label], times: Sequence[int]) -> Source:
    """Return a source of labels, ``values[i]`` as often as ``times[i]``."""
    told = repr((name, tuple(values), tuple(times)))
    token = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    rows, kinds = sum(times), {type(value) for value in values}
    dtype = np.dtypes.StringDType() if str in kinds else np.dtype("f8" if float in kinds else "i8")
    return Repeated(name, (rows,), dtype, (max(1, rows),), token, tuple(values), tuple(times))

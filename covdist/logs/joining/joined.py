"""Arrays one below the other as one: what several ranks recorded, or the files of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from covdist.logs.grid import GridSource, Index, Slices
from covdist.logs.source import Source, Storage
from covdist.logs.stored import row_chunks


def join(parts: Sequence[Source], name: str, chunks: tuple[int, ...] | None = None) -> Source:
    """Return a source of all rows of several, which differ in their numbers alone; in chunks as long as the longest."""
    if len(parts) == 1:
        return parts[0]
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    dtype = np.result_type(*{part.dtype for part in parts})
    token = hashlib.blake2b(" ".join(part.token for part in parts).encode(), digest_size=16).hexdigest()
    longest = max(part.chunks for part in parts)
    return JoinedSource(name, shape, dtype, chunks or longest, token, tuple(parts))


def join_files(parts: Sequence[Source], name: str) -> Source:
    """Return a source of all rows of several files, which may have a row each, in chunks of a file's usual size."""
    rows = sum(part.shape[0] for part in parts)
    return join(parts, name, row_chunks((rows, *parts[0].shape[1:]), parts[0].dtype))


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
        rows = np.empty((max(0, stop - start), *across), self.dtype)
        number = int(np.searchsorted(self._ends, start, side="right"))
        while number < len(self.parts) and (first := self._first(number)) < stop:
            part = self.parts[number]
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                rows[first + low - start : first + high - start] = part[(slice(low, high), *index[1:])]
            number += 1
        return rows

    def _first(self, number: int) -> int:
        return int(self._ends[number]) - self.parts[number].shape[0]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


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
    """Numbers, each as often as a part has rows."""

    values: tuple[int, ...]
    times: tuple[int, ...]

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return np.repeat(np.array(self.values, self.dtype), self.times)


def repeated(name: str, values: Sequence[int], times: Sequence[int]) -> Source:
    """Return a source of numbers, ``values[i]`` as often as ``times[i]``."""
    told = repr((name, tuple(values), tuple(times)))
    token = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    rows = sum(times)
    return Repeated(name, (rows,), np.dtype("i8"), (max(1, rows),), token, tuple(values), tuple(times))

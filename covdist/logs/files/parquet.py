"""Parquet files: a column of lists is an array, plain columns of one float dtype are its units, row groups chunks."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.chunk_bytes import read_into
from covdist.logs.files._columns import TEXT, TableColumn, told
from covdist.logs.files._extras import needed
from covdist.logs.files._parquet_pages import ColumnChunk, check_pages, column_chunks
from covdist.logs.files._tables import BROKEN, TableSource, called, entries, making, values
from covdist.logs.grid import Index
from covdist.logs.paths import for_library, is_url, open_file
from covdist.logs.source import Entry, Source, Storage, Unreadable
from covdist.logs.stamps import Stamp, changed, open_unchanged, stamp

READS = "Parquet files"
ENDS = (".parquet", ".pq")

_NOTES = ("_", ".")  # as their names begin: what they say of row groups is in the other files
_SLAB = 8 << 20  # bytes of rows that are unpacked at a time
_PAGES = 2 << 20  # of a column's pages that are unpacked at a time: a dictionary, and values
_TEXT_BYTES = 256  # that a text takes, about
_MOST_FOOTER = 1 << 26
_LEAST_ENTRY = 8  # bytes that an entry of a list in the footer takes


def begins(head: bytes) -> bool:
    """Return whether a file begins as Parquet does, encrypted ones too."""
    return head.startswith((b"PAR1", b"PARE"))


@dataclass(frozen=True, eq=False)
class ParquetSource(TableSource):
    """Columns of a Parquet file, unpacked page by page; checksums of pages are checked where there are any."""

    page_bytes: int = 0  # that the pages take which are unpacked at a time

    @property
    def storage(self) -> Storage:
        """What the footer tells of the columns: compressions, and bytes of all row groups."""
        metadata, _, chunks = _metadata(self.path, self.stamp)
        kinds = (metadata.row_group(0).column(number).compression.lower() for number in self.columns if chunks)
        codecs = tuple(dict.fromkeys(kind for kind in kinds if kind != "uncompressed"))
        return Storage(codecs, sum(group[number].size for group in chunks for number in self.columns), 0)

    @property
    def slab_size(self) -> int:
        """Bytes of rows while they are read, and of pages.

        The library takes twice the bytes of the rows that it unpacks, one slab is read ahead, and one is folded.
        """
        return 4 * self._slab_rows * self._row_bytes + self.page_bytes

    def announce(self, index: Index) -> None:
        """Do nothing: what is read ahead is a slab."""

    def read_slabs(self, index: Index, buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Yield rows of a chunk as they are unpacked, each time in memory of their own."""
        rows = self.cut(index)[0]
        return self.slabs_between(rows.start, rows.stop)

    def slabs_between(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield rows as they are unpacked."""
        with self.reading(start, stop):
            for _, arrays in self.pieces(start, stop, self.columns):
                if self.beside:
                    rows = np.empty((len(arrays[0]), len(arrays)), self.dtype)
                    self.fill(rows, arrays)
                else:
                    rows = values(arrays[0], self.inner or (), self.dtype)
                yield rows

    def pieces(self, start: int, stop: int, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[Any]]]:
        with open_unchanged(self.path, self.stamp, self.name) as opened:
            metadata, starts, chunks = _metadata(self.path, self.stamp)
            # Else a text that stands a million times in a column is made a million times.
            words = [metadata.schema.column(number).path for number in columns] if self.dtype == TEXT else []
            file = _opened(self.path, metadata, len(columns), read_dictionary=words)
            inside = sorted(columns)  # as they come, in whatever order they are asked for
            places = np.searchsorted(inside, columns).tolist()
            for group in range(int(np.searchsorted(starts, start, side="right")) - 1, len(starts) - 1):
                first, last = int(starts[group]), int(starts[group + 1])
                if first >= stop:
                    break
                for number in columns if first < last else ():
                    check_pages(opened, chunks[group][number], self.stamp[0])
                for at, batch in self._batches(file, group, first, last, inside):
                    low, high = max(start, at), min(stop, at + batch.num_rows)
                    if low < high:
                        arrays = batch.slice(low - at, high - low).columns
                        yield low, [arrays[place] for place in places]
                    if high == stop:
                        break

    def _batches(
        self, file: Any, group: int, first: int, last: int, columns: Sequence[int]
    ) -> Iterator[tuple[int, Any]]:
        """Yield rows of a row group, with the number of the first."""
        told = {"row_groups": [group], "column_indices": list(columns), "use_threads": False}
        for batch in file.reader.iter_batches(self._slab_rows, **told) if first < last else ():
            if batch.num_rows > last - first or batch.num_columns != len(columns):
                raise ValueError(f"row group {group} has more rows than it is said to have, or other columns")
            yield first, batch
            first += batch.num_rows
        if first != last:
            raise ValueError(f"row group {group} has {last - first:,} rows less than it is said to have")

    @property
    def _row_bytes(self) -> int:
        size = _TEXT_BYTES if self.dtype == TEXT else self.dtype.itemsize
        return max(1, math.prod(self.shape[1:]) * size)

    @property
    def _slab_rows(self) -> int:
        return min(self.chunks[0], max(1, _SLAB // self._row_bytes))


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the footer: columns, and rows of each row group; of notes of programs that write many files, nothing."""
    if stem.rpartition("/")[2].startswith(_NOTES):
        return {}
    with open_file(path) as file:
        before, head = stamp(file), file.read(4)
    if head == b"PARE":
        raise LogError(f"{path} is encrypted, which covdist does not read: write it without encryption.")
    try:
        metadata, starts, chunks = _metadata(path, before)
        file, leaves = _opened(path, metadata), _leaves(metadata.schema.to_arrow_schema())
        schema = file.schema_arrow
        found = {
            leaf: told(field, partial(_first, path, before, file, leaf), partial(_nulls, chunks, leaf))
            for leaf, field in zip(leaves, schema, strict=True)
        }
    except BROKEN as error:
        raise LogError(f"{path} is not a readable Parquet file ({shown(str(error), 300)}): write it again.") from error
    sizes = np.diff(starts)
    rows, even = int(starts[-1]), len(sizes) > 0 and (sizes[:-1] == sizes[0]).all() and sizes[-1] <= sizes[0]

    def chunk_rows(usual: int) -> int:
        return int(sizes[0]) if even else max([usual, *sizes.tolist()])

    plain = making(ParquetSource, path, before, rows, chunk_rows)

    def make(name: str, columns: Sequence[int], of: TableColumn) -> Source:
        source = plain(name, columns, of)
        assert isinstance(source, ParquetSource)
        return replace(source, page_bytes=_page_bytes(chunks, columns))

    return entries(found, _index(schema), path, called(path, stem), prefix, make)


def _page_bytes(chunks: Sequence[Sequence[ColumnChunk]], columns: Sequence[int]) -> int:
    """Return what the pages of columns take while they are unpacked, by what the largest row group is said to have."""
    size = _read_size(len(columns))
    groups = ([group[number] for number in columns] for group in chunks)
    return max(
        (sum(min(max(0, each.unpacked), _PAGES) + min(max(0, each.size), size) for each in group) for group in groups),
        default=0,
    )


def _read_size(columns: int) -> int:
    """Return the bytes that are read at a time of each of some columns."""
    return max(1 << 16, _SLAB // columns)


@functools.lru_cache(maxsize=64)
def _metadata(path: str, before: Stamp) -> tuple[Any, np.ndarray, list[list[ColumnChunk]]]:
    """Return the footer of a file, parsed once per process, where its row groups start, and where their columns lie."""
    footer = _footer(path, before[0])
    file = _opened(path, thrift_container_size_limit=min(1_000_000, max(1024, len(footer) // _LEAST_ENTRY)))
    metadata = file.metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if min(sizes, default=0) < 0 or sum(sizes) != metadata.num_rows:
        raise ValueError(f"its row groups have {sum(sizes):,} rows where it is said to have {metadata.num_rows:,}")
    chunks = column_chunks(footer)
    if len(chunks) != len(sizes) or any(len(group) != metadata.num_columns for group in chunks):
        raise ValueError("its row groups do not have the columns that it is said to have")
    if stamp(path) != before:
        raise changed(path, path, "it was written to")
    return metadata, np.cumsum([0, *sizes]), chunks


def _footer(path: str, size: int) -> bytes:
    with open_file(path) as file:
        file.seek(max(0, size - 8))
        ending = file.read(8) or b""
        if ending[4:] != b"PAR1":
            raise LogError(f"{path} does not end as a Parquet file does: it was cut off or damaged, write it again.")
        length = int.from_bytes(ending[:4], "little")
        if not 0 < length <= min(_MOST_FOOTER, size - 12):
            raise ValueError(f"its footer is said to have {length:,} bytes, of {size:,} of the file")
        data = np.empty(length, np.uint8)
        file.seek(size - 8 - length)
        read_into(file, data)
        return data.tobytes()


def _opened(path: str, metadata: Any = None, columns: int = 1, **more: Any) -> Any:
    with needed(path):
        import pyarrow.parquet as parquet
    if not is_url(path):
        more |= {"pre_buffer": False, "buffer_size": _read_size(columns)}
    return parquet.ParquetFile(for_library(path), metadata=metadata, page_checksum_verification=True, **more)


def _leaves(schema: Any) -> list[int]:
    """Return for each field the number of its first column in the file."""
    return [int(before) for before in np.cumsum([0, *(_count(field.type) for field in schema)])[:-1]]


def _count(kind: Any) -> int:
    import pyarrow as pa

    inner = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    fields = [inner.field(number) for number in range(inner.num_fields)]
    return sum(_count(field.type) for field in fields) or 1


def _first(path: str, before: Stamp, file: Any, leaf: int) -> Any:
    """Return the first row of a column, None where there is none."""
    metadata, _, chunks = _metadata(path, before)
    full = next((group for group in range(len(chunks)) if metadata.row_group(group).num_rows), None)
    if full is None:
        return None
    with open_file(path) as opened:
        check_pages(opened, chunks[full][leaf], before[0])
    batch = next(file.iter_batches(1, columns=[file.schema.column(leaf).path], use_threads=False), None)
    return None if batch is None else batch.column(0)


def _nulls(chunks: Sequence[Sequence[ColumnChunk]], leaf: int) -> int:
    """Return how many values of a column are not there by its statistics, 0 where it has none."""
    return sum(group[leaf].nulls or 0 for group in chunks)


def _index(schema: Any) -> set[str]:
    try:
        kept = (schema.pandas_metadata or {}).get("index_columns", [])
    except (ValueError, AttributeError):
        return set()
    return {each for each in kept if isinstance(each, str)}

"""Parquet files: a column of lists is an array, plain columns of one float dtype are its units, row groups chunks."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.files._extras import needed
from covdist.logs.files._tables import BROKEN, TableSource, called, entries, making, told
from covdist.logs.paths import for_library, open_file
from covdist.logs.source import Entry, Unreadable
from covdist.logs.stamps import Stamp, changed, open_unchanged, stamp

READS = "Parquet files"
ENDS = (".parquet", ".pq")


def begins(head: bytes) -> bool:
    """Return whether a file begins as Parquet does, encrypted ones too."""
    return head.startswith((b"PAR1", b"PARE"))


@dataclass(frozen=True, eq=False)
class ParquetSource(TableSource):
    """Columns of a Parquet file; checksums of pages are checked where there are any."""

    def pieces(self, start: int, stop: int, columns: Sequence[int]) -> Iterator[tuple[int, Sequence[Any]]]:
        with open_unchanged(self.path, self.stamp, self.name):
            metadata, starts = _metadata(self.path, self.stamp)
            file = _opened(self.path, metadata)
            group = int(np.searchsorted(starts, start, side="right")) - 1
            while group < len(starts) - 1 and starts[group] < stop:
                first, last = int(starts[group]), int(starts[group + 1])
                if first < last:
                    table = file.reader.read_row_group(group, column_indices=list(columns), use_threads=False)
                    if table.num_rows != last - first or table.num_columns != len(columns):
                        raise ValueError(f"row group {group} has {table.num_rows:,} rows, not {last - first:,}")
                    low, high = max(start, first), min(stop, last)
                    cut = table.slice(low - first, high - low).combine_chunks()
                    yield low, [each.chunk(0) for each in cut.columns]
                group += 1


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the footer: columns, and rows of each row group."""
    with open_file(path) as file:
        before, head = stamp(file), file.read(4)
    if head == b"PARE":
        raise LogError(f"{path} is encrypted, which covdist does not read: write it without encryption.")
    try:
        metadata, starts = _metadata(path, before)
        file, leaves = _opened(path, metadata), _leaves(metadata.schema.to_arrow_schema())
        schema = file.schema_arrow
        found = {leaf: told(field, partial(_first, file, leaf)) for leaf, field in zip(leaves, schema, strict=True)}
    except BROKEN as error:
        raise LogError(f"{path} is no readable Parquet file ({shown(str(error), 300)}): write it again.") from error
    sizes = np.diff(starts)
    rows, even = int(starts[-1]), len(sizes) > 0 and (sizes[:-1] == sizes[0]).all() and sizes[-1] <= sizes[0]

    def chunk_rows(usual: int) -> int:
        return int(sizes[0]) if even else max([usual, *sizes.tolist()])

    make = making(ParquetSource, path, before, rows, chunk_rows)
    return entries(found, _index(schema), called(path, stem), prefix, make)


@functools.lru_cache(maxsize=64)
def _metadata(path: str, before: Stamp) -> tuple[Any, np.ndarray]:
    """Return the footer of a file, parsed once per process, and where its row groups start."""
    file = _opened(path)
    metadata = file.metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if min(sizes, default=0) < 0 or sum(sizes) != metadata.num_rows:
        raise ValueError(f"its row groups have {sum(sizes):,} rows where it is said to have {metadata.num_rows:,}")
    if stamp(path) != before:
        raise changed(path, path, "it was written to")
    return metadata, np.cumsum([0, *sizes])


def _opened(path: str, metadata: Any = None) -> Any:
    with needed(path):
        import pyarrow.parquet as parquet
    return parquet.ParquetFile(for_library(path), metadata=metadata, page_checksum_verification=True)


def _leaves(schema: Any) -> list[int]:
    """Return for each field the number of its first column in the file."""
    return [int(before) for before in np.cumsum([0, *(_count(field.type) for field in schema)])[:-1]]


def _count(kind: Any) -> int:
    import pyarrow as pa

    inner = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    fields = [inner.field(number) for number in range(inner.num_fields)]
    return sum(_count(field.type) for field in fields) or 1


def _first(file: Any, leaf: int) -> Any:
    """Return the first row of a column, None where there is none."""
    batch = next(file.iter_batches(1, columns=[file.schema.column(leaf).path], use_threads=False), None)
    return None if batch is None else batch.column(0)


def _index(schema: Any) -> set[str]:
    try:
        kept = (schema.pandas_metadata or {}).get("index_columns", [])
    except (ValueError, AttributeError):
        return set()
    return {each for each in kept if isinstance(each, str)}

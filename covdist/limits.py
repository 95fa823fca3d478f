"""Sizes and times at which covdist cuts, waits or changes its way of working, all in one place.

They are the same on every machine, since the bits of a result depend on how rows are cut and states merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any

from covdist.errors import DataError
from covdist.given import told


@dataclass(frozen=True)
class Limits:
    """All of them, each greater than zero.

    Examples
    --------
    >>> limits().npy_chunk_bytes
    8388608
    >>> with changed(npy_chunk_bytes=1 << 20):
    ...     limits().npy_chunk_bytes
    1048576
    """

    # Seconds that one shard works, on a middling core, where there is enough to do. A dask task costs about a
    # millisecond of the scheduler, and states must be merged.
    least_shard_seconds: float = 0.5
    # A shard works at least a second for so many bytes of its state: large states are few, and few wait to be merged.
    state_bytes_per_second: float = 5e6
    # Bytes of one table of missing patterns with their moments. A larger table would take more room than a few
    # matrices, so only the moments of the columns are kept then.
    pattern_table_bytes: int = 1 << 26
    # Files whose size and time a job's fingerprint looks at; on an object store each costs a request.
    fingerprint_files: int = 1000
    # Bytes of the chunks into which rows of files are cut that have no chunks of their own.
    npy_chunk_bytes: int = 8 << 20
    # Bytes of the largest member of a zip file (.npz, .pt) whose CRC-32 is checked, in each process that reads of it.
    checked_bytes: int = 1 << 30
    # Bytes of the largest file that is read as a whole where its web server sends no parts of files.
    whole_file_bytes: int = 64 << 20
    # Bytes of all indexes, of what was read of the files of logs behind URLs, and of any of them.
    index_bytes: int = 256 << 20
    # Bytes of the chunks of a lazy covariance or correlation matrix. In one chunk, dask copies the result while it
    # still holds the state: 4,096 columns take 64 + 134 + 134 MB; in four chunks the state is freed before.
    matrix_chunk_bytes: int = 1 << 25
    # Columns whose variances are one state, of 64 MiB at that number; more are cut into strips.
    strip_columns: int = 1 << 20
    # Columns up to which variances are read off the scatter matrix where the same call folds it anyway. Beyond,
    # variances gather more rows at a time than a matrix does, and their bits differ.
    derived_columns: int = 4096
    # Bytes up to which a result on disk may be larger than the arrays that it is made of, unless --force is given;
    # that is the matrix of 11,585 columns, or of 2,048 in 32 groups.
    oversized_result_bytes: int = 1 << 30
    # Bytes of the chunks of a saved result.
    store_chunk_bytes: int = 1 << 24
    # States of a kind in one result with a group of their own each. More share groups: a group is a dozen files, and a
    # tenth of a second.
    unpacked_states: int = 16
    # Bytes of the states that share a group of a result; the client holds them as arrays while it writes them.
    pack_bytes: int = 1 << 26
    # Seconds to wait for the first worker of a named scheduler; they may have been started together.
    worker_wait_seconds: float = 10.0
    # Bytes of the columns that are read together where few rows of many columns are folded along the columns: small
    # chunks are joined to so many.
    transposed_bytes: int = 1 << 23
    # Larger chunks are cut at so many bytes; many, because each part may have to read the same chunk again.
    most_transposed_bytes: int = 1 << 28
    # Bytes of the columns that one task sorts for their ranks. Tasks are fewer with more, and less can be done at once.
    sorted_bytes: int = 1 << 27

    def __post_init__(self) -> None:
        given: dict[str, Any] = asdict(self)
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, Real) or not float(value) > 0:
                raise DataError(f"the limit {name} must be greater than 0, found {told(value)}")


_current = Limits()


def limits() -> Limits:
    """Return the limits of this process."""
    return _current


@contextmanager
def changed(**fields: float) -> Iterator[Limits]:
    """Set some limits for a block, or for each call of the function that this decorates; the rest stay as they are.

    They hold for all threads of this process, and for no other: workers of a cluster keep their own. What is cut in
    another way may differ in its last bits, and a job must be resumed with the limits that it began with.
    """
    global _current
    before = _current
    _current = replace(before, **fields)  # type: ignore[arg-type]
    try:
        yield _current
    finally:
        _current = before

"""Sizes and times at which covdist cuts, waits or changes its way of working, all in one place.

They are the same on every machine, since the bits of a result depend on how rows are cut and states merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from covdist.errors import DataError


@dataclass(frozen=True)
class Limits:
    """All of them, each greater than zero.

    Attributes
    ----------
    least_shard_seconds : float
        Seconds that one shard works, on a middling core, where there is enough to do. A dask task costs about a
        millisecond of the scheduler, and states must be merged.
    state_bytes_per_second : float
        A shard works at least a second for so many bytes of its state. Large states then are few, and few of them
        wait to be merged.
    pattern_table_bytes : int
        Bytes of one table of missing patterns with their moments. A larger table would take more room than a few
        matrices, so only the moments of the columns are kept then.
    fingerprint_files : int
        Files whose size and time a job's fingerprint looks at; on an object store each costs a request.
    npy_chunk_bytes : int
        Bytes of the chunks into which rows of ``.npy`` and ``.npz`` files are cut.
    matrix_chunk_bytes : int
        Bytes of the chunks of a lazy covariance or correlation matrix. In one chunk, dask copies the result while it
        still holds the state: 4,096 columns take 64 + 134 + 134 MB; in four chunks the state is freed before.
    strip_columns : int
        Columns whose variances are one state, of 64 MiB at that number; more are cut into strips.
    derived_columns : int
        Columns up to which variances are read off the scatter matrix where the same call folds it anyway. Beyond,
        variances gather more rows at a time than a matrix does, and their bits differ.
    store_chunk_bytes : int
        Bytes of the chunks of a saved result.
    worker_wait_seconds : float
        Seconds to wait for the first worker of a named scheduler; they may have been started together.
    transposed_bytes, most_transposed_bytes : int
        Bytes of the columns that are read together where few rows of many columns are folded along the columns. Small
        chunks are joined to the first; larger ones are cut at the second, which is large because each part may have to
        read the same chunk again.

    Examples
    --------
    >>> limits().npy_chunk_bytes
    8388608
    >>> with changed(npy_chunk_bytes=1 << 20):
    ...     limits().npy_chunk_bytes
    1048576
    """

    least_shard_seconds: float = 0.5
    state_bytes_per_second: float = 5e6
    pattern_table_bytes: int = 1 << 26
    fingerprint_files: int = 1000
    npy_chunk_bytes: int = 8 << 20
    matrix_chunk_bytes: int = 1 << 25
    strip_columns: int = 1 << 20
    derived_columns: int = 4096
    store_chunk_bytes: int = 1 << 24
    worker_wait_seconds: float = 10.0
    transposed_bytes: int = 1 << 23
    most_transposed_bytes: int = 1 << 28

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise DataError(f"the limit {name} must be greater than 0, found {value!r}")


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

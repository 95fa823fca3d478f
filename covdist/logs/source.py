"""``Source``: one array of a log, of which only the header has been read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np

from covdist.errors import LogError, shown


class Storage(NamedTuple):
    """How the chunks of an array are stored: None where nothing tells.

    ``codecs`` in the order in which they were applied; bytes that all chunks take; and chunks, or shards of them, that
    the store lacks.
    """

    codecs: tuple[str, ...] | None = None
    nbytes: int | None = None
    missing: int | None = None


class Source(Protocol):
    """Small, picklable and immutable; workers open what they need from it."""

    @property
    def name(self) -> str:
        """The node's path and the variable, "fc1/gradient", for messages."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""

    @property
    def dtype(self) -> np.dtype:
        """Its element type, of any byte order."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """A regular grid; the last chunk of an axis may be cut off."""

    @property
    def token(self) -> str:
        """Equal for equal content: paths, sizes, modification times."""

    @property
    def checksum(self) -> str | None:
        """What a chunk is verified by when it is read; None where there is nothing of the kind."""

    @property
    def storage(self) -> Storage:
        """It is looked up each time, which may take as long as a look at each file."""

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Return any rectangle, without steps."""

    def read_chunk(self, index: tuple[int, ...], buffer: np.ndarray | None = None) -> np.ndarray:
        """Return one chunk of the grid, cut to the array's shape.

        It may lie in ``buffer`` (uint8, ``buffer_size`` long or longer), and is valid until that is used again.
        """

    @property
    def buffer_size(self) -> int:
        """Bytes that a reused buffer needs; 0 if none is used."""


class SlabSource(Source, Protocol):
    """A source that can read a chunk some rows at a time, so that not even one chunk has to fit into memory."""

    @property
    def slab_size(self) -> int:
        """Bytes of the buffer that ``read_slabs`` needs; at most ``buffer_size``."""

    def announce(self, index: tuple[int, ...]) -> None:
        """Let the system prefetch the chunk that will be read next, without waiting for it."""

    def read_slabs(self, index: tuple[int, ...], buffer: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the rows of one chunk in order, each time valid until the next.

        Raises LogError, possibly only at the end, if the chunk is damaged.
        """


class CompressedSource(SlabSource, Protocol):
    """A source that may hold compressed chunks: whether it does, so that each is decoded as a whole, by any thread."""

    @property
    def compressed(self) -> bool: ...


def is_compressed(source: Source) -> TypeGuard[CompressedSource]:
    """Return whether chunks are decoded as a whole."""
    return getattr(source, "compressed", False)


class RowsSource(SlabSource, Protocol):
    """A source that can read any of its rows some at a time, so that not even one chunk of joined ones has to fit."""

    def slabs_between(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield these rows in order, each time in memory of their own."""


def by_rows(source: Source) -> TypeGuard[RowsSource]:
    """Return whether a source reads any of its rows some at a time."""
    return hasattr(source, "slabs_between")


class FillableSource(Source, Protocol):
    """A source that can give a fill value for chunks that were never written."""

    def filled(self) -> Source:
        """Return a source that does."""


def fillable(source: Source) -> TypeGuard[FillableSource]:
    """Return whether a source can give a fill value for chunks that were never written."""
    return hasattr(source, "filled")


class ColumnsSource(Source, Protocol):
    """A source of columns of a table, whose parts may have them in another order, and in other dtypes."""

    def of_dtype(self, dtype: np.dtype) -> Source:
        """Return a source of the same values in a dtype that has them."""

    def in_order(self, order: Sequence[int]) -> Source:
        """Return a source of columns side by side, of which ``order[i]`` is the ``i``-th."""


def of_columns(source: Source) -> TypeGuard[ColumnsSource]:
    """Return whether a source is of columns of a table."""
    return hasattr(source, "in_order")


def is_source(value: object) -> TypeGuard[Source]:
    """Return whether an object is a source; ``isinstance`` of a protocol takes 50 µs, as long as its first chunk."""
    return hasattr(value, "read_chunk")


def in_slabs(source: Source) -> TypeGuard[SlabSource]:
    """Return whether a source reads its chunks some rows at a time."""
    return hasattr(source, "read_slabs")


Named = tuple[str | None, ...] | None  # dims as a log names them


class Entry(NamedTuple):
    """One variable of a log: source, dims as the log names them, attributes, and a source for use as a coordinate.

    ``file`` is the file of a folder that holds it, by its path below the folder, less its ending.
    """

    source: Source
    dims: Named = None
    attrs: Mapping[str, Any] = {}
    coordinate: Source | None = None
    file: str | None = None


class Unreadable(NamedTuple):
    """A variable of a log that cannot be read, or, where nobody can tell, a layer; and the error that says why."""

    error: LogError
    layer: bool = False
    file: str | None = None


def two_called(path: str, name: str) -> LogError:
    """Return the error for a file in which a name stands for two arrays."""
    return LogError(f"{path} holds two arrays called {shown(name)}: rename one of them.")


class Distinct(dict[str, Entry | Unreadable]):
    """The variables of a file by their names, of which it may have none twice."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def __setitem__(self, name: str, one: Entry | Unreadable) -> None:
        if name in self:
            raise two_called(self._path, name)
        super().__setitem__(name, one)


Nodes = dict[str, dict[str, Entry | Unreadable]]  # node path ("" is the root) -> variable name -> entry

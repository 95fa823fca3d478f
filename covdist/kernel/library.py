"""The compiled library, called by ctypes, which releases the GIL, and the structures that it takes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import addressof
from functools import cache, lru_cache
from typing import Any

import numpy as np

from covdist.errors import ClusterError, CovdistError
from covdist.kernel.build import LEVELS, LIBRARY, digest

NONE, SQUARE, PACKED, RECTANGLE = range(4)  # what products are kept
WORK = 6  # numbers a column that a side needs memory for
_STRIP = 16
_TYPES = (
    "float64", "float32", "float16", "bfloat16",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
NUMPY = "numpy"
_no_bytes = (ctypes.c_char * 0).from_buffer
_pointer, _size, _double = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double


class SideStruct(ctypes.Structure):
    """``side_t`` of segment.h."""

    _fields_ = (
        ("data", _pointer), ("rows", _size), ("columns", _size), ("stride", _size), ("type", _size),
        ("shift", _pointer), ("sums", _pointer), ("squares", _pointer), ("zeros", _pointer), ("subnormals", _pointer),
        ("factors", _pointer), ("weight", _double), ("small", _double), ("largest", _double),
        ("subnormal", ctypes.c_int64), ("work", _pointer), ("panels", _pointer), ("begins", ctypes.c_int64),
        ("scales", ctypes.c_int64),
    )  # fmt: skip


class SegmentStruct(ctypes.Structure):
    """``segment_t`` of segment.h."""

    _fields_ = (
        ("sides", _pointer), ("weights", _pointer), ("roots", _pointer), ("matrix", _pointer), ("count", _size),
        ("products", _size), ("height", _size),
    )  # fmt: skip


_ARGUMENTS: Mapping[str, tuple[Any, Sequence[Any]]] = {
    "copy": (None, [_pointer, _size]),
    "turn": (None, [_pointer, _size]),
    "rounded": (None, [_pointer, _size, _pointer, _size, _size, _pointer]),
    "frame": (_size, [_pointer, _size]),
    "write_file": (ctypes.c_int, [*[ctypes.c_char_p] * 2, _pointer, *[_size] * 2, *[ctypes.c_int] * 2]),
    "are_files": (ctypes.c_int, [ctypes.c_char_p, _size]),
    "fold_groups": (None, [_pointer]),
    "add_outer": (None, [_size, _size, _double, _pointer, _pointer]),
    "squares": (None, [_size, _size, *[_pointer] * 5]),
    "end": (None, [_size, _double, *[_pointer] * 4]),
    "centre": (None, [_size, _double, *[_pointer] * 3]),
}


@cache
def _library() -> ctypes.CDLL | None:
    if not LIBRARY.is_file():
        return None
    library = ctypes.CDLL(str(LIBRARY))
    library.covdist_digest.restype = ctypes.c_char_p
    if library.covdist_digest() != digest().encode():
        raise CovdistError(f"{LIBRARY} was compiled from other sources than those beside it: install covdist again")
    return library


def available() -> tuple[str, ...]:
    """Return the kernels that can fold here, the best last."""
    library = _library()
    return (NUMPY,) if library is None else (NUMPY, *LEVELS[: library.covdist_level() + 1])


@cache
def name() -> str:
    """Return which kernel folds here: an instruction set of the compiled one, or "numpy" where none was compiled.

    ``COVDIST_KERNEL`` chooses another, such as "plain", which runs on any processor, or "numpy".
    """
    wanted = os.environ.get("COVDIST_KERNEL", "")
    if wanted and wanted not in available():
        raise CovdistError(
            f"COVDIST_KERNEL={wanted} cannot be used here: set one of {', '.join(available())}, or unset it"
        )
    return wanted or available()[-1]


@cache
def compiled() -> bool:
    """Return whether the compiled kernel folds here."""
    return name() != NUMPY


@cache
def kind() -> str:
    """Return what decides the bits of results: "compiled", whatever the instruction set, or "numpy"."""
    return "compiled" if compiled() else NUMPY


def check_same(client: str) -> None:
    """Raise ClusterError where this process folds with another kernel than the client."""
    if kind() != client:
        raise other_kernel("a worker", kind(), client)


def other_kernel(who: str, theirs: str, client: str) -> ClusterError:
    return ClusterError(
        f"{who} folds with the {theirs} kernel but the client with the {client} one, and results of both differ in "
        f"their last digits: install the same on client and workers, or set COVDIST_KERNEL={NUMPY} on all of them"
    )


@cache
def function(of: str) -> Callable[..., int]:
    """Return ``fold``, ``multiply``, ``end``, ``centre``, or one of copies.c, files.c, frames.c, groups.c."""
    found = getattr(_library(), f"covdist_{of}_{name()}")
    found.restype, found.argtypes = _ARGUMENTS.get(of, (_size, [ctypes.POINTER(SegmentStruct)]))
    return found


@cache
def number_of(dtype: np.dtype) -> int | None:
    """Return the number of a type that the kernel reads, or None."""
    native = dtype.isbuiltin == 2 or dtype.isnative
    return _TYPES.index(dtype.name) if dtype.name in _TYPES and native else None


@lru_cache(maxsize=64)
def padded(columns: int) -> int:
    """Return how many columns there must be memory for."""
    return -(-columns // _STRIP) * _STRIP


@lru_cache(maxsize=64)
def panels(columns: int) -> int:
    """Return how many numbers a row takes in packed panels: of one part or two, and what a tile reaches beyond."""
    return padded(columns) + 2 * _STRIP


def packed_bytes(columns: int, floats: bool) -> int:
    """Return the bytes that a row takes in packed panels."""
    return (4 if floats else 8) * panels(columns)


def filled_up(factors: np.ndarray) -> np.ndarray:
    """Return factors of columns with zeros for those that the kernel reads beyond."""
    return np.pad(factors, (0, panels(len(factors)) - len(factors)))


def address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def place(array: np.ndarray) -> int:
    """Return the address of any array, in a third of the time where that can be."""
    flags = array.flags
    own = flags.c_contiguous and flags.writeable and array.dtype.isbuiltin == 1
    return own_address(array) if own else array.ctypes.data


def own_address(array: np.ndarray | memoryview) -> int:
    """Return the address of memory that can be written and has no gaps, in a third of the time."""
    held: Any = array
    return addressof(_no_bytes(held))


@cache
def side_array(count: int) -> type[ctypes.Array[SideStruct]]:
    """Return the type of so many sides, which takes 15 us to make."""
    return SideStruct * count

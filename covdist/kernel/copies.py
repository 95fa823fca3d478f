"""Copies of rows past the caches of the processor, also to frames of chunks, or rounded: no other thread waits."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from covdist.kernel.library import function

BLOCK = 128 << 10  # bytes of rows that lie one after the other in a frame: the most that a Zstandard block may hold
FLOATS = ("float32", "float16", "bfloat16")  # that the kernel rounds


class Transfer(NamedTuple):
    """``copy_t`` of copies.h: items from anywhere in memory that get to lie one after the other."""

    to: int
    origin: int
    item: int
    outer: int
    rows: int
    columns: int
    outer_stride: int
    row_stride: int
    column_stride: int
    frame: int = 0


def as_it_lies(to: int, origin: int, nbytes: int, frame: int = 0) -> Transfer:
    """Return the copy of bytes that lie one after the other."""
    return Transfer(to, origin, 1, 1, 1, nbytes, nbytes, nbytes, 1, frame)


def numbers(copies: Iterable[Transfer]) -> array[int]:
    """Return transfers as the kernel takes them."""
    return array("q", chain.from_iterable(copies))


def origins(count: int) -> range:
    """Return where the origins are in the numbers of so many transfers."""
    each = len(Transfer._fields)
    return range(Transfer._fields.index("origin"), count * each, each)


def run(copies: array[int]) -> None:
    """Copy what nobody changes meanwhile; the library must be compiled."""
    function("copy")(copies.buffer_info()[0], len(copies) // len(Transfer._fields))


def turn(copy: Transfer, apart: int) -> None:
    """Copy what is read again at once: each row to so many bytes after the one before, all of its ``outer`` in turn."""
    held = numbers([copy])
    function("turn")(held.buffer_info()[0], apart)


class RoundingLoss(ctypes.Structure):
    """``lost_t`` of copies.h: what rounding has lost, which ``rounded`` counts on."""

    _fields_ = (("over", ctypes.c_int64), ("gone", ctypes.c_int64), ("largest", ctypes.c_double))
    over: int  # finite values that became infinite
    gone: int  # others that became 0
    largest: float  # magnitude that was finite

    def clear(self) -> None:
        """Count anew."""
        self.over, self.gone, self.largest = 0, 0, 0.0


def in_all(several: Sequence[RoundingLoss]) -> RoundingLoss:
    """Return what several have lost together."""
    over, gone = sum(each.over for each in several), sum(each.gone for each in several)
    return RoundingLoss(over, gone, max(each.largest for each in several))


def rounded(to: int, dtype: str, origin: int, given: str, count: int, lost: RoundingLoss) -> None:
    """Copy values that lie one after the other from one dtype of ``FLOATS`` to another, rounded to nearest."""
    function("rounded")(to, FLOATS.index(dtype), origin, FLOATS.index(given), count, ctypes.addressof(lost))


class Frame(ctypes.Structure):
    """``frame_t`` of frames.h: a chunk in memory as its file holds it, which ``run`` copies rows to."""

    _fields_ = (
        ("memory", ctypes.c_void_p), ("chunk", ctypes.c_size_t), ("summed", ctypes.c_size_t), ("crc", ctypes.c_uint64),
    )  # fmt: skip


def frame(of: Frame, nbytes: int) -> int:
    """Complete the frame of so many bytes of rows, and zeros after them, with its CRC-32C; return its length.

    Its memory has ``frame_bytes`` of the chunk at least; the library must be compiled.
    """
    return function("frame")(ctypes.addressof(of), nbytes)


def frame_bytes(chunk_bytes: int) -> int:
    """Return how many bytes a frame with its checksum takes at most."""
    return place_in_frame(chunk_bytes) + 3 + 4  # zeros after the last row begin one block more


def place_in_frame(at: int) -> int:
    """Return where the rows lie that have so many bytes of others before them."""
    return 13 + at + 3 * (at // BLOCK + 1)

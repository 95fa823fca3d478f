"""Headers of NetCDF-3 files, of which no count is believed before it was compared with the file's size."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from covdist.logs.paths import OpenFile

VERSIONS = (b"CDF\x01", b"CDF\x02", b"CDF\x05")  # with offsets of 32 bits, of 64, and with counts of 64 too
CHARACTERS = np.dtype("S1")
_TYPES = ("i1", CHARACTERS.str, ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8")
_OLD_TYPES = 6  # that the first two versions have
_DIMS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_UNKNOWN = {4: 2**32 - 1, 8: 2**64 - 1}  # records of a file that was written without looking back


class Variable(NamedTuple):
    """An array in the file; ``step`` bytes lie between its rows where these are records, of which each may hold others.

    ``end`` is where it ends with what fills up its last bytes.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    start: int
    step: int | None
    attrs: dict[str, Any]
    end: int


class Netcdf3Header:
    """Reads a header from the start of a file of ``size`` bytes; ValueError where it cannot be one."""

    def __init__(self, file: OpenFile, size: int):
        self._file, self._left, self._size = file, size, size
        version = self._bytes(4)[3]
        self._wide, self._offset = (8 if version == 5 else 4), (4 if version == 1 else 8)
        self._types = _TYPES if version == 5 else _TYPES[:_OLD_TYPES]

    def variables(self) -> list[Variable]:
        """Return all arrays."""
        records = self._number(self._wide)
        dims = [(self._name(), self._number(self._wide)) for _ in range(self._count(_DIMS))]
        self._attributes()
        found = [self._variable(dims) for _ in range(self._count(_VARIABLES))]
        of_records = [each for each in found if each.step is not None]
        plain = [math.prod(each.shape[1:]) * each.dtype.itemsize for each in of_records]
        step = plain[0] if len(plain) == 1 else sum(map(_filled, plain))
        if of_records and records == _UNKNOWN[self._wide]:
            records = (self._size - min(each.start for each in of_records)) // max(1, step)
        return [self._placed(each, records, step) for each in found]

    def _placed(self, of: Variable, records: int, step: int) -> Variable:
        if of.step is None:
            return of._replace(end=of.start + _filled(math.prod(of.shape) * of.dtype.itemsize))
        row = math.prod(of.shape[1:]) * of.dtype.itemsize
        end = of.start + (records - 1) * step + min(step, _filled(row)) if records else of.start
        return of._replace(shape=(records, *of.shape[1:]), step=step, end=end)

    def _variable(self, dims: list[tuple[str, int]]) -> Variable:
        name, rank = self._name(), self._number(self._wide)
        numbers = [self._number(self._wide) for _ in range(self._checked(rank, self._wide))]
        attrs, dtype = self._attributes(), self._type()
        self._number(self._wide)  # its bytes, which large variables do not fit
        start = self._number(self._offset)
        if any(number >= len(dims) for number in numbers) or any(not dims[number][1] for number in numbers[1:]):
            raise ValueError(f"{name!r} has dims that are not there, or records inside of records")
        shape = tuple(dims[number][1] for number in numbers)
        step = 0 if shape and not shape[0] else None
        return Variable(name, tuple(dims[number][0] for number in numbers), shape, dtype, start, step, attrs, 0)

    def _attributes(self) -> dict[str, Any]:
        return {self._name(): self._values() for _ in range(self._count(_ATTRIBUTES))}

    def _values(self) -> Any:
        dtype, count = self._type(), self._number(self._wide)
        raw = self._padded(count * dtype.itemsize)
        if dtype == CHARACTERS:
            return raw.decode("utf-8", "replace").rstrip("\0")
        values = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))
        return values[0] if count == 1 else values.tolist()

    def _type(self) -> np.dtype:
        code = self._number(4)
        if not 0 < code <= len(self._types):
            raise ValueError(f"it names the type {code}, which is none")
        return np.dtype(self._types[code - 1])

    def _count(self, tag: int) -> int:
        """Return how many entries the list has that begins here."""
        found, count = self._number(4), self._number(self._wide)
        if found != tag and (found or count):
            raise ValueError(f"a list begins with {found}, where {tag} is expected")
        return self._checked(count, 2 * self._wide)

    def _name(self) -> str:
        return self._padded(self._number(self._wide)).decode("utf-8", "replace")

    def _padded(self, size: int) -> bytes:
        return self._bytes(_filled(size))[:size]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._bytes(size), "big")

    def _checked(self, count: int, size: int) -> int:
        if count * size > self._left:
            raise ValueError(f"it promises {count:,} entries, where {self._left:,} bytes are left")
        return count

    def _bytes(self, size: int) -> bytes:
        self._left -= self._checked(size, 1)
        found = self._file.read(size) or b""
        if len(found) < size:
            raise ValueError("it was cut off")
        return found


def _filled(size: int) -> int:
    return size + -size % 4

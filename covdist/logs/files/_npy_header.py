"""Headers of the NPY format, read without ever unpickling."""

from __future__ import annotations

import math
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple, Protocol

import numpy as np
from numpy.lib import format as npy_format

from covdist.errors import LogError, shown

_PARSERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,  # which differs in how names of fields are encoded
}
_USUAL, _MOST = 1 << 9, 1 << 16  # bytes of a header; numpy itself refuses more than 10,000


class Readable(Protocol):
    """What a header can be read from: a file, or a member of an archive."""

    def read(self, size: int, /) -> bytes | None: ...


class Header(NamedTuple):
    """Shape, order and type of the data, and the bytes of the header itself."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes of data that must follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: Readable, place: str) -> Header:
    """Read the header at the start of a stream; ``place`` names it in messages."""
    try:
        shape, fortran, dtype, size = _parsed(_header(stream))
    except (FileNotFoundError, LogError):  # of its store
        raise
    except Exception as error:  # numpy evaluates the text of the header, which may raise anything
        raise LogError(
            f"{place} does not begin with a readable NPY header ({shown(str(error))}): it was cut off or damaged, "
            "write it again."
        ) from error
    if dtype.hasobject:
        raise LogError(f"{place} holds pickled Python objects, which covdist never loads: save it as numbers.")
    entries = math.prod(length or 1 for length in shape) * dtype.itemsize  # numpy counts so where there are none, too
    if not entries or dtype.subdtype or len(shape) > 64 or min(shape, default=0) < 0 or entries >= 2**63:
        raise LogError(
            f"{place} has the shape {shown(str(shape))} and the dtype {dtype}, as no array has: write it again."
        )
    return Header(shape, fortran, dtype, size)


def _header(stream: Readable) -> bytes:
    """Return the header alone."""
    start = stream.read(_USUAL) or b""
    ends = 10 if start[6:7] == b"\x01" else 12
    size = ends + int.from_bytes(start[8:ends], "little")
    return start[:size] if size <= len(start) else start + (stream.read(min(size, _MOST) - len(start)) or b"")


@lru_cache(maxsize=1024)  # of thousands of files many begin alike, and parsing takes half of opening one
def _parsed(header: bytes) -> Header:
    start = BytesIO(header)
    version = npy_format.read_magic(start)
    if version not in _PARSERS:
        raise ValueError(f"its version is {'.'.join(map(str, version))}")
    parse = _PARSERS[version]
    return Header(*parse(start), start.tell())

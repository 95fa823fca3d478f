"""Headers of the NPY format, read without ever unpickling."""

from __future__ import annotations

import hashlib
import math
import os
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from covdist.errors import LogError
from covdist.limits import limits


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


def read_header(stream: IO[bytes], place: str) -> Header:
    """Read the header at the start of a stream; ``place`` names it in messages."""
    try:
        version = npy_format.read_magic(stream)
        parse = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = parse(stream)
    except (ValueError, EOFError, OSError) as error:
        raise LogError(f"{place} does not begin with a readable NPY header ({error}): write it again.") from error
    if dtype.hasobject:
        raise LogError(f"{place} holds pickled Python objects, which covdist never loads: save it as numbers.")
    return Header(shape, fortran, dtype, stream.tell())


def row_chunks(header: Header) -> tuple[int, ...]:
    """Cut the leading axis into whole rows, ``npy_chunk_bytes`` at most."""
    if not header.shape:
        return ()
    row = math.prod(header.shape[1:]) * header.dtype.itemsize
    rows = min(header.shape[0], max(1, limits().npy_chunk_bytes // max(1, row)))
    return tuple(max(1, size) for size in (rows, *header.shape[1:]))


def file_token(path: str, *more: object) -> str:
    """Return a hash of the file's path, size and modification time."""
    stat = os.stat(path)
    text = repr((os.path.abspath(path), stat.st_size, stat.st_mtime_ns, *more))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

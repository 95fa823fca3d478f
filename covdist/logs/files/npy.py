"""``.npy`` files: one array each."""

from __future__ import annotations

from collections.abc import Mapping

from covdist.errors import LogError
from covdist.logs.files._npy_header import read_header
from covdist.logs.paths import open_file
from covdist.logs.source import Entry
from covdist.logs.stamps import stamp
from covdist.logs.stored import stored, strides_of

READS = "NumPy .npy files"
ENDS = (".npy",)


def begins(head: bytes) -> bool:
    """Return whether a file with these first bytes is in the NPY format, under whatever name."""
    return head.startswith(b"\x93NUMPY")


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry]:
    """Read the header and check it against the file's size."""
    with open_file(path) as file:
        header, before = read_header(file, path), stamp(file)
    if before[0] != header.size + header.nbytes:
        raise LogError(
            f"{path} has {before[0]:,} bytes where its header promises {header.size + header.nbytes:,}: it was cut off "
            "or overwritten, copy or write it again."
        )
    shape, dtype = header.shape, header.dtype
    strides = strides_of(shape, header.fortran)
    return {stem: Entry(stored(path, stem, shape, dtype, header.size, before, strides))}

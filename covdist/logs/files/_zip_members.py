"""Members of zip files, of which arrays are read in place."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from typing import IO, cast

from covdist.logs.paths import OpenFile

DAMAGED = (OSError, EOFError, ValueError, RuntimeError, KeyError, OverflowError, zipfile.BadZipFile, zlib.error,
           lzma.LZMAError, struct.error)  # fmt: skip

_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of the name and of the extra field, 26 bytes into a member


@contextmanager
def archive(file: OpenFile) -> Iterator[zipfile.ZipFile]:
    """Read the directory of a zip file that is open."""
    if isinstance(file, FileIO):
        with open(file.fileno(), "rb", closefd=False) as buffered, zipfile.ZipFile(buffered) as opened:
            yield opened
    else:  # it buffers by itself
        with zipfile.ZipFile(cast(IO[bytes], file)) as opened:
            yield opened


def data_start(file: OpenFile | IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the data of a member begin."""
    file.seek(info.header_offset)
    return info.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size) or b""))

"""Members of zip files, of which arrays are read in place."""

from __future__ import annotations

import lzma
import os
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

_END = struct.Struct("<4s6xH10x")  # a signature and the number of members, where the directory ends
_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of the name and of the extra field, 26 bytes into a member


@contextmanager
def archive(file: OpenFile) -> Iterator[zipfile.ZipFile]:
    """Read the directory of a zip file that is open."""
    if isinstance(file, FileIO):
        with open(file.fileno(), "rb", closefd=False) as buffered, zipfile.ZipFile(buffered) as opened:
            _check_count(opened)
            yield opened
    else:  # it buffers by itself
        with zipfile.ZipFile(cast(IO[bytes], file)) as opened:
            _check_count(opened)
            yield opened


def _check_count(opened: zipfile.ZipFile) -> None:
    """Raise where the directory names another number of members than it says: zipfile leaves out what it jumps over."""
    file = cast(IO[bytes], opened.fp)
    file.seek(-_END.size - len(opened.comment), os.SEEK_END)
    signature, said = _END.unpack(file.read(_END.size))
    found = len(opened.infolist())
    if signature == b"PK\x05\x06" and said not in (found & 0xFFFF, 0xFFFF):
        raise zipfile.BadZipFile(f"its directory names {found:,} of {said:,} members")


def data_start(file: OpenFile | IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the data of a member begin."""
    file.seek(info.header_offset)
    return info.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size) or b""))

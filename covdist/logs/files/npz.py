"""``.npz`` files: uncompressed members are read in place, compressed ones as one chunk each."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, cast

import numpy as np

from covdist.errors import LogError
from covdist.logs.files._npy_header import read_header
from covdist.logs.files._zip_members import DAMAGED, data_start
from covdist.logs.files._zip_members import archive as zip_archive
from covdist.logs.grid import GridSource, Index
from covdist.logs.paths import open_file
from covdist.logs.source import Distinct, Entry, Source, Storage, Unreadable
from covdist.logs.stamps import Stamp, open_unchanged, stamp
from covdist.logs.stored import Crc, file_token, stored, strides_of

READS = "NumPy .npz files"
ENDS = (".npz",)

_ENDING, _MAGIC = ".npy", b"\x93NUMPY"
_METHODS = {zipfile.ZIP_DEFLATED: "deflate", zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "lzma"}


@dataclass(frozen=True, eq=False)
class MemberSource(GridSource):
    """A compressed member: one chunk, decompressed as a whole each time it is read."""

    path: str
    member: str
    offset: int  # of the data in the member
    fortran: bool
    stamp: Stamp

    @property
    def checksum(self) -> str | None:
        """That of each member."""
        return "crc32"

    @property
    def storage(self) -> Storage:
        """As the archive says."""
        with open_file(self.path) as file, zip_archive(file) as archive:
            info = archive.getinfo(self.member)
        return Storage((_METHODS.get(info.compress_type, "compressed"),), info.compress_size, 0)

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        """Decompress the member; zipfile checks its CRC."""
        size = math.prod(self.shape) * self.dtype.itemsize
        try:
            with (
                open_unchanged(self.path, self.stamp, self.name) as file,
                zip_archive(file) as archive,
                archive.open(self.member) as stream,
            ):
                data = stream.read(self.offset + size + 1)[self.offset :]
            if len(data) != size:
                raise ValueError(f"it has {len(data):,} bytes of data or more, where {size:,} are expected")
        except DAMAGED as error:
            raise LogError(f"{self.name} in {self.path} cannot be read ({error}): write it again.") from error
        flat = np.frombuffer(data, self.dtype)
        rows = flat.reshape(self.shape[::-1]).T if self.fortran else flat
        return np.ascontiguousarray(rows).reshape(self.shape)


def begins(head: bytes) -> bool:
    """Return whether a file with these first bytes is a zip file whose first member is a ``.npy`` file, or is empty."""
    if head.startswith(b"PK\x05\x06"):
        return True
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\x03\x04") and head[30 : 30 + length].endswith(b".npy")


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the headers of all members, by their keys with ``prefix`` before them."""
    found = Distinct(path)
    try:
        with open_file(path) as file, zip_archive(file) as archive:
            before = stamp(file)
            for info in archive.infolist():
                if _holds_array(archive, info):
                    name = f"{prefix}{info.filename.removesuffix(_ENDING)}"
                    found[name] = _member(archive, path, info, name, before)
    except DAMAGED as error:
        raise _damaged(path, error) from error
    return found


def _holds_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Return whether numpy would read an array from a member: that its name ends so is a custom."""
    if info.filename.endswith(_ENDING):
        return True
    with archive.open(info) as stream:  # raises if it has another name in its own header
        return stream.read(len(_MAGIC)) == _MAGIC


def _member(archive: zipfile.ZipFile, path: str, info: zipfile.ZipInfo, name: str, before: Stamp) -> Entry | Unreadable:
    try:
        return Entry(_source(archive, path, info, name, before))
    except LogError as error:
        return Unreadable(error)
    except DAMAGED as error:
        return Unreadable(_damaged(f"{name} in {path}", error))


def _damaged(what: str, error: Exception) -> LogError:
    return LogError(f"{what} is not a readable .npz file ({error}): it was cut off, write it again.")


def _source(archive: zipfile.ZipFile, path: str, info: zipfile.ZipInfo, name: str, before: Stamp) -> Source:
    key = info.filename.removesuffix(_ENDING)
    with archive.open(info) as stream:
        header = read_header(stream, f"{path}: {key}")
    if info.file_size != header.size + header.nbytes:
        raise LogError(
            f"{path}: {key} has {info.file_size:,} bytes where its header promises "
            f"{header.size + header.nbytes:,}: write it again."
        )
    if info.compress_type == zipfile.ZIP_STORED:
        start = data_start(cast(IO[bytes], archive.fp), info)
        crc, strides = Crc(info.CRC, start, info.file_size), strides_of(header.shape, header.fortran)
        return stored(path, name, header.shape, header.dtype, start + header.size, before, strides, crc)
    chunks, token = tuple(max(1, size) for size in header.shape), file_token(path, name, header, before=before)
    member = (path, info.filename, header.size, header.fortran, before)
    return MemberSource(name, header.shape, header.dtype, chunks, token, *member)

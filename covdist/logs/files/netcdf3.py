"""NetCDF-3 files, read in place without a library: arrays one after the other, and records, a row of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.files._netcdf3_header import CHARACTERS, VERSIONS, Netcdf3Header, Variable
from covdist.logs.grid import GridSource, Index, Slices, check_promise
from covdist.logs.paths import open_file
from covdist.logs.source import Entry, Source, Storage, Unreadable
from covdist.logs.stamps import Stamp, stamp
from covdist.logs.stored import row_chunks, stored, strides_of

READS = "NetCDF-3 files"
ENDS = (".cdf",)

_TEXT = np.dtypes.StringDType()
_HALF = np.dtype("V4")  # records are filled up to four bytes, so that numbers of eight may lie between


def begins(head: bytes) -> bool:
    """Return whether a file begins as one of the three versions does."""
    return head.startswith(VERSIONS)


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the header."""
    with open_file(path) as file:
        before = stamp(file)
        try:
            found = Netcdf3Header(file, before[0]).variables()
        except ValueError as error:
            raise LogError(
                f"{path} is not a readable NetCDF-3 file ({shown(str(error), 300)}): it was cut off or damaged, write "
                "it again."
            ) from error
    end = max((each.end for each in found), default=0)
    if end > before[0]:
        raise LogError(
            f"{path} has {before[0]:,} bytes where its header promises {end:,}: it was cut off or overwritten, copy or "
            "write it again."
        )
    return {f"{prefix}{each.name}": _entry(each, f"{prefix}{each.name}", path, before) for each in found}


def _entry(of: Variable, name: str, path: str, before: Stamp) -> Entry:
    if of.dtype != CHARACTERS:
        return Entry(_numbers(of, name, path, before), of.dims, of.attrs)
    attrs = {key: value for key, value in of.attrs.items() if key != "_Encoding"}
    letters = _numbers(of._replace(dtype=np.dtype("u1")), name, path, before)
    if len(of.shape) < 2:
        return Entry(_Letters(name, of.shape, _TEXT, letters.chunks, f"{letters.token}-text", letters), of.dims, attrs)
    told = (name, of.shape[:-1], _TEXT, letters.chunks[:-1], f"{letters.token}-text", letters)
    return Entry(_JoinedLetters(*told), of.dims[:-1], attrs)


def _numbers(of: Variable, name: str, path: str, before: Stamp) -> Source:
    check_promise(name, of.shape, row_chunks(of.shape, of.dtype), of.dtype.itemsize, None)
    inner, size = strides_of(of.shape, False)[1:], of.dtype.itemsize
    if of.step is None:
        return stored(path, name, of.shape, of.dtype, of.start, before)
    if of.step % size == 0:
        return stored(path, name, of.shape, of.dtype, of.start, before, (of.step // size, *inner))
    halves = (*of.shape, 2)
    strides = (of.step // 4, *strides_of(halves, False)[1:])
    source = stored(path, name, halves, _HALF, of.start, before, strides)
    return _Halves(name, of.shape, of.dtype, row_chunks(of.shape, of.dtype), f"{source.token}-whole", source)


@dataclass(frozen=True, eq=False)
class _Derived(GridSource):
    """What becomes of another source along its last axis."""

    source: Source

    @property
    def storage(self) -> Storage:
        """That of the other."""
        return self.source.storage

    def __getitem__(self, index: Slices) -> np.ndarray:
        raise NotImplementedError

    def read_chunk(self, index: Index, buffer: np.ndarray | None = None) -> np.ndarray:
        return self[self.cut(index)]


@dataclass(frozen=True, eq=False)
class _Halves(_Derived):
    """Numbers of which the other has the halves."""

    def __getitem__(self, index: Slices) -> np.ndarray:
        return np.ascontiguousarray(self.source[(*index, slice(0, 2))]).view(self.dtype)[..., 0]


@dataclass(frozen=True, eq=False)
class _Letters(_Derived):
    """Single characters, of which the other has the codes."""

    def __getitem__(self, index: Slices) -> np.ndarray:
        return _texts(self.source[index][..., np.newaxis])


@dataclass(frozen=True, eq=False)
class _JoinedLetters(_Derived):
    """Texts, of which the other has the characters."""

    def __getitem__(self, index: Slices) -> np.ndarray:
        return _texts(self.source[(*index, slice(0, self.source.shape[-1]))])


def _texts(codes: np.ndarray) -> np.ndarray:
    found = [bytes(row).rstrip(b"\0").decode("utf-8", "replace") for row in codes.reshape(-1, codes.shape[-1])]
    return np.array(found, _TEXT).reshape(codes.shape[:-1])

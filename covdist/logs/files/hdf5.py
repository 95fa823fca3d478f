"""NetCDF-4 and HDF5 files: groups are layers, dimension scales name dims; nothing outside the file is ever opened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.cf import DECODED
from covdist.logs.files._hdf5_sources import BROKEN, dataset_source, opened_file, text_of
from covdist.logs.paths import open_file
from covdist.logs.source import Distinct, Entry, Named, Unreadable
from covdist.logs.stamps import Stamp, changed, stamp

READS = "NetCDF-4 and HDF5 files"
ENDS = (".nc", ".nc4", ".h5", ".hdf5")

_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCKS = (0, 512, 1024, 2048, 4096)  # where it may stand behind what others put before it
_ONLY_DIM = b"This is a netCDF dimension but not a netCDF variable"
_RENAMED = "_nc4_non_coord_"
_OWN = {
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "_Netcdf4Dimid", "_Netcdf4Coordinates",
    "_NCProperties", "_nc3_strict",
}  # fmt: skip
_MOST_DEPTH = 100  # of groups
_ATTRIBUTE_BYTES = 1 << 16


def begins(head: bytes) -> bool:
    """Return whether the signature of HDF5 stands at the start."""
    return head.startswith(_MAGIC)


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the headers of all datasets, by their paths in the file with ``prefix`` before them."""
    with open_file(path) as file:
        before, head = stamp(file), file.read(_BLOCKS[-1] + len(_MAGIC)) or b""
    if not any(head[start:].startswith(_MAGIC) for start in _BLOCKS):
        raise LogError(f"{path} does not begin as an HDF5 file does: it was cut off or overwritten, write it again.")
    try:
        with opened_file(path) as opened:
            found = _File(opened, path, prefix, before).entries()
    except BROKEN as error:
        raise _damaged(path, error) from error
    if stamp(path) != before:
        raise changed(stem, path, "it was written to")
    return found


def _damaged(what: str, error: Exception) -> LogError:
    return LogError(f"{what} cannot be read ({shown(str(error), 300)}): it was cut off or damaged, write it again.")


class _File:
    """One open file."""

    def __init__(self, opened: Any, path: str, prefix: str, before: Stamp):
        import h5py

        self.h5, self.opened, self.path, self.prefix, self.before = h5py, opened, path, prefix, before

    def entries(self) -> dict[str, Entry | Unreadable]:
        found = Distinct(self.path)
        datasets = {}
        for name, thing in self._objects():
            if isinstance(thing, LogError):
                found[self.prefix + name] = Unreadable(thing)
            else:
                datasets[name] = thing
        scales = {}
        for name, dataset in datasets.items():
            with suppress(*BROKEN):
                if self.h5.h5ds.is_scale(dataset.id):
                    scales[name] = int(dataset.attrs.get("_Netcdf4Dimid", -1))
        numbered = {number: _last(name) for name, number in scales.items() if number >= 0}
        for name, dataset in datasets.items():
            full = self.prefix + _called(name)
            try:
                if name in scales and self._only_dim(dataset):
                    continue
                found[full] = self._entry(name, dataset, name in scales, numbered)
            except LogError as error:
                found[full] = Unreadable(error)
            except BROKEN as error:
                found[full] = Unreadable(_damaged(f"{self.prefix}{name} in {self.path}", error))
        return found

    def _entry(self, name: str, dataset: Any, scale: bool, numbered: Mapping[int, str]) -> Entry:
        attrs, full = self._attributes(name, dataset), self.prefix + _called(name)
        source = dataset_source(dataset, full, self.path, self.before, attrs)
        dims = self._dims(name, dataset, scale, numbered)
        return Entry(source, dims and dims[: len(source.shape)], attrs)

    def _objects(self) -> Iterator[tuple[str, Any]]:
        """Yield datasets, or why there is none, by their paths; each object once, and only what lies in this file."""
        waiting, seen = [("", self.opened)], set()
        while waiting:
            path, group = waiting.pop()
            below = []
            for name in group:
                inner = f"{path}/{name}".lstrip("/")
                try:
                    thing = self._object(group, name, inner)
                    address = self.h5.h5o.get_info(thing.id).addr
                except LogError as error:
                    yield inner, error
                    continue
                except BROKEN as error:
                    yield inner, _damaged(f"{inner} in {self.path}", error)
                    continue
                if address in seen or isinstance(thing, self.h5.Datatype):
                    continue
                seen.add(address)
                if isinstance(thing, self.h5.Dataset):
                    yield inner, thing
                elif inner.count("/") < _MOST_DEPTH and thing.id != self.opened.id:
                    below.append((inner, thing))
            waiting.extend(reversed(below))

    def _object(self, group: Any, name: str, inner: str) -> Any:
        kind = group.id.links.get_info(group._e(name)).type
        if kind != self.h5.h5l.TYPE_HARD:
            known = {self.h5.h5l.TYPE_SOFT: "a link", self.h5.h5l.TYPE_EXTERNAL: "a link to another file"}
            what = known.get(kind, "a link of an unknown kind")
            raise LogError(
                f"{inner} in {self.path} is {what}, which covdist never follows: read what it leads to "
                "under its own name, or copy it into the file."
            )
        return group[name]

    def _only_dim(self, dataset: Any) -> bool:
        said = dataset.attrs.get("NAME", b"")
        return isinstance(said, bytes | np.bytes_) and bytes(said).startswith(_ONLY_DIM)

    def _dims(self, name: str, dataset: Any, scale: bool, numbered: Mapping[int, str]) -> Named:
        rank = len(dataset.shape or ())
        if scale and rank == 1:
            return (_last(name),)
        if scale and "_Netcdf4Coordinates" in dataset.attrs:
            numbers = np.ravel(dataset.attrs["_Netcdf4Coordinates"])
            return tuple(numbered.get(int(number)) for number in numbers[:rank]) if len(numbers) >= rank else None
        if "DIMENSION_LIST" not in dataset.attrs and "DIMENSION_LABELS" not in dataset.attrs:
            return None
        dims: list[str | None] = [None] * rank
        for axis in range(rank):
            with suppress(*BROKEN):  # what a scale says of an axis is no more than a name
                dim = dataset.dims[axis]
                dims[axis] = _last(dim[0].name) if len(dim) else dim.label or None
        return tuple(dims) if any(dims) else None

    def _attributes(self, name: str, dataset: Any) -> dict[str, Any]:
        """Return attributes that are numbers or texts; LogError where one that changes values is neither."""
        found = {}
        for key in dataset.attrs:
            if key in _OWN:
                continue
            try:
                found[key] = _plain(dataset.attrs, key)
            except BROKEN as error:
                if key in DECODED:
                    raise LogError(
                        f"{name} in {self.path} has an attribute {key} that cannot be read ({shown(str(error))}): "
                        "correct it."
                    ) from error
        return found


def _plain(attributes: Any, key: str) -> Any:
    stored = attributes.get_id(key)
    if math.prod(stored.shape or ()) * stored.dtype.itemsize > _ATTRIBUTE_BYTES:
        raise ValueError("it is larger than attributes are")
    value = np.asarray(attributes[key])
    if value.dtype.kind in "SO":
        value = np.array([_text(each) for each in value.ravel()], object).reshape(value.shape)
    elif value.dtype.kind not in "biufU":
        raise TypeError(f"it is of the type {value.dtype}")
    return value.item() if value.size == 1 else value.tolist()


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise TypeError(f"it is of the type {type(value).__name__}")
    return text_of(value)


def _called(name: str) -> str:
    """Return what netCDF calls a variable, which it renames where a dim that is not of it has its name."""
    group, slash, last = name.rpartition("/")
    return f"{group}{slash}{last.removeprefix(_RENAMED)}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]

"""Files of ``torch.save``: tensors are read in place, by an allow-list and without torch."""

from __future__ import annotations

import math
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.files._torch_pickle import Refused, Tensor, unpickled
from covdist.logs.files._zip_members import DAMAGED, archive, data_start
from covdist.logs.json_text import is_shape
from covdist.logs.layers import layered
from covdist.logs.paths import OpenFile, open_file
from covdist.logs.small_dtypes import ml_dtype
from covdist.logs.source import Entry, Source, Unreadable, two_called
from covdist.logs.stamps import Stamp, stamp
from covdist.logs.stored import Crc, stored

READS = "torch .pt files"
ENDS = (".pt", ".pth")

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that files before torch 1.6 begin with
_PICKLE = "/data.pkl"
_MOST_PICKLE = 32 << 20  # bytes; 25,000 tensors have 5 MB
_MOST_VALUES = 200_000  # in containers; of a list that holds one list many times there are more than in the file
_MOST_DEPTH = 64
_MOST_REPEATS = 1000  # of a number of the file, by strides of 0 or less than a row
Order = Literal["<", ">"]
_WRONG = (*DAMAGED, TypeError, IndexError, AttributeError)


class Members(NamedTuple):
    """A file that is open, and its members by the names that they have below its only folder."""

    path: str
    file: OpenFile
    stamp: Stamp
    infos: Mapping[str, zipfile.ZipInfo]

    def read(self, name: str, most: int) -> bytes:
        """Return what a member holds; LogError where it is larger, compressed, or not what its checksum tells."""
        info = self.infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
            raise LogError(
                f"{self.path}: its {name} is compressed, or has more than the {most:,} bytes that are read: save it "
                "again with torch.save."
            )
        self.file.seek(data_start(self.file, info))
        data = self.file.read(info.file_size) or b""
        if info.CRC and zlib.crc32(data) != info.CRC:
            raise ValueError(f"the CRC-32 of {name} does not fit its bytes")
        return data


def begins(head: bytes) -> bool:
    """Return whether these are the first bytes of a zip file that torch wrote, or of what it wrote before 1.6."""
    length = int.from_bytes(head[26:28], "little")
    zipped = head.startswith(b"PK\x03\x04") and head[30 : 30 + length].endswith(_PICKLE.encode())
    return zipped or head.startswith(_LEGACY)


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read what was pickled, for tensors by the keys and indices that lead to them; a tensor alone is the file's."""
    with open_file(path) as file:
        _check_kind(path, file.read(2) or b"")
        try:
            with archive(file) as opened:
                members = Members(path, file, stamp(file), _infos(opened))
                found = _by_path(path, _tensors(unpickled(members.read(_PICKLE[1:], _MOST_PICKLE))))
                order = _order(members)
                paths = {key: f"{prefix}{name}" for key, name in layered(found).items()}
                names = {"": stem} if "" in found else paths
                return {name: _variable(members, found[key], name, order) for key, name in names.items()}
        except Refused as error:
            raise LogError(
                f"{path} holds {error}, which covdist never loads: save tensors, and dicts and lists of them, alone."
            ) from error
        except _WRONG as error:
            raise LogError(
                f"{path} is not a readable file of torch ({error}): it was cut off, save it again."
            ) from error


def _check_kind(path: str, start: bytes) -> None:
    if start[:1] == b"\x80":
        raise LogError(
            f"{path} is a pickle, or was saved by torch before 1.6, which covdist never loads: where you trust it, "
            "save it again with torch.save(torch.load(path), path)."
        )
    if start != b"PK":
        raise LogError(
            f"{path} is not a file of torch.save, which is a zip file: it was cut off or damaged, save it again."
        )


def _infos(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = opened.infolist()
    if len({info.filename for info in infos}) < len(infos):
        raise ValueError("two of its members have one name")
    folders = {info.filename.removesuffix(_PICKLE) for info in infos if info.filename.endswith(_PICKLE)}
    if len(folders) != 1:
        raise ValueError("it has no data.pkl, or several")
    folder = f"{folders.pop()}/"
    for info in infos:
        if not info.filename.startswith(f"{folder}data/"):
            opened.open(info).close()  # raises if it has another name in its own header: a lost byteorder swaps all
    return {info.filename.removeprefix(folder): info for info in infos}


def _order(members: Members) -> Order:
    """Return the order of bytes; files from before it was told have that of the machine, nearly always this one."""
    told = members.read("byteorder", 16) if "byteorder" in members.infos else b"little"
    if told not in (b"little", b"big"):
        raise ValueError(f"its order of bytes is {shown(repr(told))}")
    return "<" if told == b"little" else ">"


def _by_path(path: str, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in tensors:
        if name in found:  # of the keys 1 and "1", or of "fc1/x" and one within another
            raise two_called(path, name)
        found[name] = tensor
    return found


def _tensors(value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors in the order of the file, by keys and indices joined by slashes."""
    waiting, count = [("", value, 0)], 0
    while waiting:
        path, each, depth = waiting.pop()
        count += 1
        if isinstance(each, Tensor):
            yield path, each
        items = each.items() if isinstance(each, dict) else enumerate(each) if type(each) in (list, tuple) else ()
        inner = [(f"{path}/{key}" if depth else str(key), one, depth + 1) for key, one in items]
        if count + len(waiting) + len(inner) > _MOST_VALUES or depth > _MOST_DEPTH:
            raise Refused(f"more than {_MOST_VALUES:,} values, or {_MOST_DEPTH} levels of them")
        waiting.extend(reversed(inner))


def _variable(members: Members, tensor: Tensor, name: str, order: Order) -> Entry | Unreadable:
    try:
        return Entry(_source(members, tensor, name, order))
    except LogError as error:
        return Unreadable(error)
    except _WRONG as error:
        return Unreadable(LogError(f"{name} in {members.path} cannot be read ({error}): save it again."))


def _source(members: Members, tensor: Tensor, name: str, order: Order) -> Source:
    place = f"{name} in {members.path}"
    info = members.infos.get(f"data/{tensor.storage.key}")
    if info is None or info.compress_type != zipfile.ZIP_STORED:
        raise LogError(f"{place} has no storage of its own, or a compressed one: save it again with torch.save.")
    if tensor.seen:
        calls = "".join(f".resolve_{shown(each)}()" for each in tensor.seen)
        raise LogError(f"{place} is seen with other numbers than those that are stored: save it again after {calls}.")
    dtype = _dtype(tensor.dtype, place, order)
    _check(tensor, info.file_size // dtype.itemsize, place)
    shape, start = tuple(tensor.shape), data_start(members.file, info)
    if start + info.file_size > members.stamp[0]:
        raise LogError(f"{place} would end behind the end of the file: it was cut off, copy or save it again.")
    strides = tuple(step if size > 1 else 0 for step, size in zip(tensor.strides, shape, strict=True))
    crc = Crc(info.CRC, start, info.file_size) if info.CRC else None  # 0 where torch was told to leave it out
    return stored(members.path, name, shape, dtype, start + tensor.offset * dtype.itemsize, members.stamp, strides, crc)


def _dtype(name: str, place: str, order: Order) -> np.dtype:
    if not name.startswith(("bfloat", "float8")):
        return np.dtype(name).newbyteorder(order)
    found = ml_dtype(name, place)
    if found.itemsize > 1 and order != ("<" if sys.byteorder == "little" else ">"):
        raise LogError(f"{place} is {name} in the other order of bytes, which is not read: save it as float32.")
    return found


def _check(tensor: Tensor, count: int, place: str) -> None:
    """Raise LogError where a tensor would read what lies outside its storage, which holds so many numbers."""
    _, _, offset, shape, strides, _ = tensor
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    if not (whole and is_shape([*shape]) and is_shape([*strides, offset])):
        raise LogError(f"{place} has the shape {shown(repr(shape))} and strides {shown(repr(strides))}: save it again.")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    values = math.prod(shape)
    if values and (last >= count or values > count * _MOST_REPEATS):
        raise LogError(
            f"{place} has the shape {shown(repr(shape))} and strides {shown(repr(strides))} from {offset} on, where "
            f"its storage holds {count:,} numbers: save it again, after .contiguous() if it was expanded."
        )

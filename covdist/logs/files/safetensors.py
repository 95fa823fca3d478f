"""``.safetensors`` files: tensors one after the other behind a header of JSON, read in place without their package."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from covdist.errors import LogError, shown
from covdist.logs.json_text import is_count, is_shape, mapping
from covdist.logs.layers import layered
from covdist.logs.paths import OpenFile, open_file
from covdist.logs.small_dtypes import ml_dtype
from covdist.logs.source import Entry, Unreadable
from covdist.logs.stamps import Stamp, stamp
from covdist.logs.stored import stored

READS = ".safetensors files"
ENDS = (".safetensors",)

_MOST_HEADER = 100_000_000  # bytes, as their own package has it
_DTYPES = {
    "BOOL": "?", "I8": "i1", "U8": "u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8",
    "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
}  # fmt: skip
_SMALL = {  # bytes, and their names in ml_dtypes
    "BF16": (2, "bfloat16"), "F8_E4M3": (1, "float8_e4m3fn"), "F8_E5M2": (1, "float8_e5m2"),
    "F8_E8M0": (1, "float8_e8m0fnu"), "F8_E4M3FNUZ": (1, "float8_e4m3fnuz"), "F8_E5M2FNUZ": (1, "float8_e5m2fnuz"),
}  # fmt: skip


def begins(head: bytes) -> bool:
    """Return whether a file with these first bytes is a length that a header may have, and JSON."""
    length = int.from_bytes(head[:8], "little")
    return len(head) > 9 and head[8:9] == b"{" and length <= _MOST_HEADER and head[9:].lstrip()[:1] in b'"}'


def variables(path: str, stem: str, prefix: str) -> Mapping[str, Entry | Unreadable]:
    """Read the header; tensors are called as ``layered`` says."""
    found = tensors(path, lambda keys: {key: f"{prefix}{name}" for key, name in layered(keys).items()})
    return dict(found.values())


def tensors(
    path: str, paths: Callable[[Iterable[str]], Mapping[str, str]]
) -> dict[str, tuple[str, Entry | Unreadable]]:
    """Read the header, and check that tensors fill what is behind it, without a gap and without overlapping.

    Returns their paths, which ``paths`` has for their names, and what can be read of them, by name.
    """
    with open_file(path) as file:
        before = stamp(file)
        start, header = _header(file, path, before[0])
    header.pop("__metadata__", None)
    _check(header, path, before[0] - start)
    called = paths(header)
    return {
        key: (name, _variable(path, key, name, header[key], start, before))
        for key, name in called.items()
        if key in header
    }


def _header(file: OpenFile, path: str, size: int) -> tuple[int, dict[str, Any]]:
    """Return where the tensors begin, and what is said of them by name."""
    length = int.from_bytes(file.read(8) or b"", "little")
    if size < 8 or length > min(size - 8, _MOST_HEADER):
        raise LogError(
            f"{path} has {size:,} bytes where its header alone promises {length:,}: it was cut off or overwritten, "
            "copy or write it again."
        )
    return 8 + length, mapping(file.read(length) or b"", f"the header of {path}")


def _check(header: Mapping[str, Any], path: str, size: int) -> None:
    for name, told in header.items():
        if not (isinstance(told, dict) and told.keys() == {"dtype", "shape", "data_offsets"} and _is_told(**told)):
            raise LogError(
                f"{path}: its header says {shown(repr(told))} of {shown(name)}, where dtype, shape and data_offsets "
                "are expected: write it again."
            )
    end = 0
    for name, told in sorted(header.items(), key=lambda each: each[1]["data_offsets"]):
        first, last = told["data_offsets"]
        expected = end + math.prod(told["shape"]) * _bytes(told["dtype"])
        if first != end or last < first or (expected != last and _bytes(told["dtype"])):
            raise LogError(
                f"{path}: {shown(name)} is said to lie from byte {first} to {last}, where a tensor of its shape and "
                f"dtype {'' if first != end else f'would end at {expected} and '}would begin at {end}: write it again."
            )
        end = last
    if end != size:
        raise LogError(
            f"{path} has {size:,} bytes of tensors where its header promises {end:,}: it was cut off or overwritten, "
            "copy or write it again."
        )


def _is_told(dtype: object, shape: object, data_offsets: object) -> bool:
    offsets = isinstance(data_offsets, list) and len(data_offsets) == 2 and all(map(is_count, data_offsets))
    return isinstance(dtype, str) and is_shape(shape) and offsets


def _bytes(dtype: str) -> int:
    """Return the bytes of one number, 0 where they are not known."""
    return np.dtype(_DTYPES[dtype]).itemsize if dtype in _DTYPES else _SMALL.get(dtype, (0, ""))[0]


def _variable(path: str, key: str, name: str, told: Mapping[str, Any], start: int, before: Stamp) -> Entry | Unreadable:
    try:
        dtype = _dtype(told["dtype"], f"{key} in {path}")
    except LogError as error:
        return Unreadable(error)
    return Entry(stored(path, name, tuple(told["shape"]), dtype, start + told["data_offsets"][0], before))


def _dtype(name: str, place: str) -> np.dtype:
    if name in _DTYPES:
        return np.dtype(_DTYPES[name])
    if name not in _SMALL:
        known = ", ".join([*_DTYPES, *_SMALL])
        raise LogError(f"{place} has the dtype {shown(name)}, where {known} are read: save it as one of these.")
    return ml_dtype(_SMALL[name][1], place)

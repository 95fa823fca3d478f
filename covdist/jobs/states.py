"""States as numbers with a JSON header and back, bit for bit; never pickle, no object arrays."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from covdist.state.few_rows import FewRows
from covdist.state.grouped import Grouped
from covdist.storage.kinds import of_kind

_LENGTH = struct.Struct("<Q")
_ALIGN = 64
_KINDS = "biufc"
_HEADER = {"name": str, "dtype": str, "shape": [int], "at": int}
_FEW = "few/"  # rows of groups, beside the codes of those that are folded


def dump_state(state: Any) -> bytes:
    return dump_arrays(dict(_fields(state, "")))


def load_state(accumulator: Callable[[], Any], data: bytes | memoryview) -> Any:
    """Return the state, which is built like the empty one of ``accumulator()``, else raise ValueError."""
    return load_like(accumulator().state(), data)


def load_like(empty: Any, data: bytes | memoryview) -> Any:
    """Return the state, which is built like ``empty``; an axis without entries there may have any number."""
    arrays = load_arrays(data)
    if not isinstance(empty, Grouped):
        return _like(empty, "", arrays)
    kept = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_FEW)}
    codes = dict.fromkeys(int(name.partition("/")[0]) for name in arrays)
    few = empty.few
    if few is not None and kept:
        few = FewRows.of_arrays(few.folding, {name.removeprefix(_FEW): array for name, array in kept.items()})
    return Grouped(empty.inner, {code: _like(empty.inner, f"{code}/", arrays) for code in codes}, few)


def _fields(state: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(state, Grouped):
        for code, one in state.folded.items():
            yield from _fields(one, f"{place}{code}/")
        if state.few is not None and len(state.few):
            yield from ((f"{_FEW}{name}", array) for name, array in state.few.arrays.items())
    elif isinstance(state, tuple):
        for name, value in _named(state):
            yield from _fields(value, f"{place}{name}/")
    else:
        yield place, state


def _like(empty: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(empty, tuple):
        later = {name for name in getattr(empty, "_field_defaults", ()) if f"{place}{name}/" not in arrays}
        values = [value if name in later else _like(value, f"{place}{name}/", arrays) for name, value in _named(empty)]
        return type(empty)(*values) if type(empty) is not tuple else tuple(values)
    found = arrays.get(place)
    if found is None or not _fits(found.shape, np.shape(empty)):
        raise ValueError(f"{place} is {None if found is None else found.shape}, expected {np.shape(empty)}")
    return found if isinstance(empty, np.ndarray) else type(empty)(found)


def _named(state: tuple[Any, ...]) -> Iterable[tuple[str, Any]]:
    """Pair the entries of a tuple with their names, or with their places where it has no names."""
    return zip(getattr(state, "_fields", map(str, range(len(state)))), state, strict=True)


def _fits(found: tuple[int, ...], empty: tuple[int, ...]) -> bool:
    return len(found) == len(empty) and all(b in (a, 0) for a, b in zip(found, empty, strict=True))


def dump_arrays(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Return named arrays, or numbers, as bytes; equal arrays give equal bytes."""
    parts, headers, offset = list[bytes](), list[dict[str, Any]](), 0
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, but only numbers can be written")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        headers.append({"name": name, "dtype": array.dtype.str, "shape": array.shape, "at": offset})
        gap = -array.nbytes % _ALIGN
        parts += [array.tobytes(), bytes(gap)]
        offset += array.nbytes + gap
    text = json.dumps(headers).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def load_arrays(data: bytes | memoryview) -> dict[str, np.ndarray]:
    """Return the arrays as writable copies; raise ValueError if ``data`` does not come from ``dump_arrays``."""
    view = memoryview(data)
    try:
        start = _LENGTH.size + _LENGTH.unpack_from(view)[0]
        headers = of_kind(json.loads(bytes(view[_LENGTH.size : start])), [_HEADER], "headers")
        return {header["name"]: _array(view[start:], header) for header in headers}
    except (struct.error, TypeError, ValueError, RecursionError) as error:  # the last of what is nested too deeply
        raise ValueError(f"these bytes hold no arrays ({error})") from error


def _array(view: memoryview, header: dict[str, Any]) -> np.ndarray:
    dtype, shape, at = np.dtype(header["dtype"]), tuple(header["shape"]), header["at"]
    if dtype.kind not in _KINDS or min(shape, default=0) < 0:
        raise ValueError(f"array {header['name']!r} has dtype {dtype} and shape {shape}, but only numbers can be read")
    if not 0 <= at <= at + math.prod(shape) * dtype.itemsize <= len(view):
        raise ValueError(f"array {header['name']!r} of shape {shape} at {at} is not within {len(view):,} bytes")
    return np.frombuffer(view, dtype, math.prod(shape), at).reshape(shape).copy()

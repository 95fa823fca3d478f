"""Arrays of numbers as bytes with a JSON header: no pickle, no object arrays."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_LENGTH = struct.Struct("<Q")
_ALIGN = 64
_KINDS = "biufc"


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
        headers = json.loads(bytes(view[_LENGTH.size : start]))
        return {str(header["name"]): _array(view[start:], header) for header in headers}
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(f"these bytes hold no arrays ({error})") from error


def _array(view: memoryview, header: dict[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(header["dtype"]), tuple(map(int, header["shape"]))
    if dtype.kind not in _KINDS or min(shape, default=0) < 0:
        raise ValueError(f"array {header['name']!r} has dtype {dtype} and shape {shape}, but only numbers can be read")
    return np.frombuffer(view, dtype, math.prod(shape), int(header["at"])).reshape(shape).copy()

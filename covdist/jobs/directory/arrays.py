"""Arrays of numbers as bytes, with a header that says what they are: no pickle, no object arrays."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_LENGTH = struct.Struct("<Q")
_ALIGN = 64
_KINDS = "biufc"


def dump_arrays(arrays: Mapping[str, Any]) -> bytes:
    """Return named arrays, or numbers, as bytes; equal arrays give equal bytes."""
    parts: list[bytes] = []
    about, offset = [], 0
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, but only numbers can be written")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        about.append({"name": name, "dtype": array.dtype.str, "shape": array.shape, "at": offset})
        gap = -array.nbytes % _ALIGN
        parts += [array.tobytes(), bytes(gap)]
        offset += array.nbytes + gap
    text = json.dumps(about).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def load_arrays(data: bytes | memoryview) -> dict[str, np.ndarray]:
    """Return the arrays; they can be written to, and share nothing with ``data``.

    Raises
    ------
    ValueError
        If ``data`` is not what ``dump_arrays`` returned.
    """
    view = memoryview(data)
    try:
        start = _LENGTH.size + _LENGTH.unpack_from(view)[0]
        about = json.loads(bytes(view[_LENGTH.size : start]))
        return {str(one["name"]): _array(view[start:], one) for one in about}
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(f"these bytes hold no arrays ({error})") from error


def _array(view: memoryview, about: dict[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(about["dtype"]), tuple(map(int, about["shape"]))
    if dtype.kind not in _KINDS or min(shape, default=0) < 0:
        raise ValueError(f"array {about['name']!r} has dtype {dtype} and shape {shape}, but only numbers can be read")
    return np.frombuffer(view, dtype, math.prod(shape), int(about["at"])).reshape(shape).copy()

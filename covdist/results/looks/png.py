"""Numbers between 0 and 1 as a PNG file, by zlib alone: no library of pictures is needed for a thumbnail."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_ANCHORS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # of matplotlib's viridis
_SHADES = 255  # the colour after them is that of NaN: grey, which on no background looks like dark or bright
_GREY = 200


def png(values: np.ndarray) -> bytes:
    """Return the file of a picture (height, width), dark at 0 and bright at 1; NaN is grey."""
    shades = np.where(np.isnan(values), _SHADES, np.clip(np.nan_to_num(values), 0, 1) * (_SHADES - 1))
    height, width = shades.shape
    lines = np.zeros((height, 1 + width), np.uint8)  # the first byte of a line says that it is not filtered
    lines[:, 1:] = np.rint(shades)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits a pixel, which is a place in a palette
    parts = [(b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(lines.tobytes()))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in (*parts, (b"IEND", b"")))


def _palette() -> bytes:
    at, places = np.linspace(0, 1, _SHADES), np.linspace(0, 1, len(_ANCHORS))
    channels = [np.append(np.interp(at, places, channel), _GREY) for channel in zip(*_ANCHORS, strict=True)]
    return np.rint(channels).astype(np.uint8).T.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

"""``ChunkLayout``: how the bytes of a chunk become its array, without zarr."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numcodecs
import numpy as np

from covdist.errors import shown
from covdist.logs.chunk_bytes import KNOWN, Codec, decode, encoded_bytes, undone

SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
TEXT = ("vlen-utf8", "vlen-bytes")
TEXT_BYTES = 1 << 26  # of the texts of one chunk, at most, and 16 for each
MOST_INNER = 100_000  # chunks in a shard, whose index is read as a whole


_TO_BYTES = ("bytes", "sharding_indexed", *TEXT)
_KINDS = "biufcmMSUV"


class Unknown(Exception):
    """A codec, or an order of codecs, that covdist does not read; its text is a clause."""


@dataclass(frozen=True)
class ShardIndex:
    """Where the chunks inside a shard are: an array of offsets and lengths, first or last in the shard."""

    layout: ChunkLayout
    first: bool

    @property
    def size(self) -> int:
        """Its bytes."""
        return encoded_bytes(self.layout.codecs, self.layout.size)


@dataclass(frozen=True)
class ChunkLayout:
    """Shape, type and codecs of a chunk; of a shard, those of the chunks inside it."""

    shape: tuple[int, ...]
    dtype: np.dtype  # as stored
    axes: tuple[int, ...]  # in the order in which they are stored
    codecs: tuple[Codec, ...]  # in the order in which the writer applied them
    text: str = ""  # the codec of texts of any length
    shard: tuple[int, ...] | None = None
    index: ShardIndex | None = None

    # What follows of these, told once and not for each chunk.
    size: int = field(init=False)  # bytes of a decoded chunk; of texts, the most they may have
    plain: bool = field(init=False)  # whether a chunk is the bytes of its array, in C order, and checksums after them
    foldable: bool = field(init=False)  # whether the bytes of rows, as they lie in a chunk, can be folded

    def __post_init__(self) -> None:
        count = math.prod(self.shape)
        size = TEXT_BYTES + 16 * count if self.text else count * self.dtype.itemsize
        straight = self._in_order and self.dtype.byteorder != ">" and not self.text and self.index is None
        straight = straight and all(codec["id"] == "crc32c" for codec in self.codecs)
        plain = straight and self.dtype.isbuiltin != 2  # of ml_dtypes, which becomes float32
        told = {"size": size, "plain": plain, "foldable": plain or (straight and self.dtype.name == "bfloat16")}
        for name, value in told.items():
            object.__setattr__(self, name, value)

    @property
    def encoded_size(self) -> int:
        """Most bytes of a chunk in the store."""
        return encoded_bytes(self.codecs, self.size)

    @property
    def _in_order(self) -> bool:
        return self.axes == tuple(range(len(self.shape)))

    def array(self, data: np.ndarray, dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
        """Decode a chunk; the array may lie in ``out``."""
        if self.text:
            return self._texts(data, dtype)
        flat = decode(data, self.codecs, self.size, out).view(self.dtype)
        array = flat.reshape([self.shape[axis] for axis in self.axes])
        array = array if self._in_order else array.transpose(np.argsort(self.axes))
        return array if self.dtype == dtype else array.astype(dtype)

    def _texts(self, data: np.ndarray, dtype: np.dtype) -> np.ndarray:
        flat = undone(data, self.codecs, self.size)
        count = math.prod(self.shape)
        if int.from_bytes(flat[:4].tobytes(), "little") != count or flat.nbytes < 4 + 4 * count:
            raise ValueError(f"it does not hold the {count:,} texts that are expected")
        texts = numcodecs.get_codec({"id": self.text}).decode(flat)
        return texts.reshape(self.shape).astype(dtype)


def layout_v2(content: Mapping[str, Any], dtype: np.dtype) -> ChunkLayout:
    """Return the layout of an array of version 2."""
    shape = tuple(max(1, int(size)) for size in content["chunks"])
    codecs = [*(content.get("filters") or ()), *filter(None, [content.get("compressor")])]
    text = codecs.pop(0)["id"] if codecs and codecs[0]["id"] in TEXT else ""
    axes = tuple(range(len(shape)))
    return _checked(ChunkLayout(shape, dtype, axes if content["order"] == "C" else axes[::-1], tuple(codecs), text))


def layout_v3(content: Mapping[str, Any], dtype: np.dtype) -> ChunkLayout:
    """Return the layout of an array of version 3."""
    return _layout(content["codecs"], tuple(map(int, content["chunk_grid"]["configuration"]["chunk_shape"])), dtype)


def _layout(codecs: Sequence[Mapping[str, Any]], shape: tuple[int, ...], dtype: np.dtype) -> ChunkLayout:
    axes = tuple(range(len(shape)))
    rest = [(codec["name"], dict(codec.get("configuration", {}))) for codec in codecs]
    while rest and rest[0][0] == "transpose":
        axes = tuple(axes[axis] for axis in rest.pop(0)[1]["order"])
    turn = next((at for at, (name, _) in enumerate(rest) if name in _TO_BYTES), len(rest) - 1)
    filters, (name, configuration), after = rest[:turn], rest[turn], rest[turn + 1 :]
    straight = axes == tuple(range(len(shape)))
    if filters and not (straight and name == "bytes" and configuration.get("endian") != "big"):
        raise Unknown("its filters come together with a transposition or with big-endian bytes: write it without")
    if name == "sharding_indexed":
        if filters or after or not straight:
            raise Unknown("codecs come before or after its shards: write it without, or inside of the shards")
        return _sharded(configuration, shape, dtype)
    stored = dtype.newbyteorder(">") if configuration.get("endian") == "big" else dtype
    numcodecs_ = tuple(_numcodec(*each) for each in (*filters, *after))
    return _checked(ChunkLayout(shape, stored, axes, numcodecs_, name if name in TEXT else ""))


def _sharded(configuration: Mapping[str, Any], shard: tuple[int, ...], dtype: np.dtype) -> ChunkLayout:
    shape = tuple(map(int, configuration["chunk_shape"]))
    counts = tuple(n // size for n, size in zip(shard, shape, strict=True))
    if math.prod(counts) > MOST_INNER:
        raise Unknown(
            f"each of its shards holds {math.prod(counts):,} chunks, more than {MOST_INNER:,}: write larger chunks"
        )
    inner = _layout(configuration["codecs"], shape, dtype)
    index = _layout(configuration["index_codecs"], (*counts, 2), np.dtype("<u8"))
    if inner.index or not index.plain:
        raise Unknown("its shards lie in shards, or their index is compressed: write it without")
    return replace(inner, shard=shard, index=ShardIndex(index, configuration.get("index_location") == "start"))


def _numcodec(name: str, configuration: dict[str, Any]) -> Codec:
    if name != "blosc":
        return {"id": name.removeprefix("numcodecs."), **configuration}
    known: dict[str, Any] = {
        key: configuration[key] for key in ("cname", "clevel", "blocksize") if key in configuration
    }
    return {"id": name, **known, "shuffle": SHUFFLES[configuration.get("shuffle", "noshuffle")]}


def _checked(layout: ChunkLayout) -> ChunkLayout:
    for codec in layout.codecs:
        if codec["id"] not in KNOWN:
            raise Unknown(
                f"its codec {shown(codec['id'])!r} is not one that covdist decodes ({', '.join(sorted(KNOWN))}): "
                "write it with one of them"
            )
        try:
            numcodecs.get_codec(dict(codec))
        except Exception as error:  # of any type: configurations are passed on as they are
            raise Unknown(f"its codec {codec['id']} is not configured as it should be ({shown(str(error))})") from error
    if not layout.text and (layout.dtype.hasobject or layout.dtype.kind not in _KINDS):
        raise Unknown("it holds Python objects, which covdist never loads: write numbers, or text as vlen-utf8")
    return layout

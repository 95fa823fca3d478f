"""Parquet files that lie about pages, columns and footers: refused in a sentence, or read right, in little memory."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from tests.logs.conformance import check_sentence
from tests.logs.parquet_by_hand import (
    BYTE_ARRAY,
    DICTIONARY_PAGE,
    I32,
    RLE_DICTIONARY,
    Page,
    struct,
    varint,
    with_footer,
    written,
    zigzag,
)  # fmt: skip
from tests.logs.trying import bits

pa = pytest.importorskip("pyarrow")

X = np.arange(1000, dtype="f4")
RAW, MOST = X.tobytes(), 2**31 - 1
BOMB = 512 << 20  # bytes of zeros


def packed(codec, data=RAW):
    if codec == "none":
        return data
    return gzip.compress(data) if codec == "gzip" else pa.Codec(codec).compress(data, asbytes=True)


def one(unpacked=len(RAW), values=1000, codec="none", rows=1000, data=None, **more):
    told = {key: more.pop(key) for key in ("kind", "column", "group", "footer", "place") if key in more}
    page = Page(packed(codec) if data is None else data, unpacked, values, **more)
    return written([page], rows, codec, **told)


WORD = (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20)  # as PLAIN has it
ZEROTH = b"\x01" + varint(1000 << 1) + b"\0"  # a run of a thousand zeros, of a bit each


def by_dictionary(words=RAW[:8], unpacked=8, values=2, indices=ZEROTH, rows=1000, codec="none", **told):
    pages = [Page(words, unpacked, values, DICTIONARY_PAGE), Page(indices, len(indices), rows, encoding=RLE_DICTIONARY)]
    if codec != "none":
        pages[1] = pages[1]._replace(data=packed(codec, indices))
    return written(pages, rows, codec, **told)


def zeros(codec):
    """Return zeros so packed that a library which believes the header fills its memory with them."""
    if codec == "zstd":
        return pa.Codec("zstd").compress(bytes(16 << 20), asbytes=True) * (BOMB >> 24)
    if codec == "snappy":  # a zero, and copies of the byte before
        return varint(BOMB) + b"\0\0" + b"\xfe\1\0" * (BOMB // 64 - 1) + b"\xfa\1\0"
    stream = zlib.compressobj(1, wbits=31)
    return b"".join(stream.compress(bytes(1 << 24)) for _ in range(BOMB >> 24)) + stream.flush()


def nested(depth):
    """Return a footer whose unknown field is a struct in a struct, and so on."""
    return b"\x15\2\x8c" + b"\x1c" * depth + b"\0" * (depth + 2)


def list_of(number, count, kind=12):
    """Return a footer whose list is said to have many entries, of which there is none."""
    return bytes([0x15, 2, (number - 1) << 4 | 9, 0xF0 | kind]) + varint(count)


HONEST = {
    "plain": lambda: one(),
    **{f"packed-{codec}": lambda codec=codec: one(codec=codec) for codec in ("snappy", "gzip", "zstd")},
}
FEW = {
    "unpacked-huge-snappy": lambda: one(unpacked=MOST, codec="snappy"),
    "bomb-zstd": lambda: one(unpacked=BOMB, values=BOMB // 4, codec="zstd", data=zeros("zstd")),
    "offset-beyond": lambda: one(column={9: 1 << 40}),
    "another-file": lambda: one(place={1: "/etc/passwd"}),
    "footer-long": lambda: with_footer(b"PAR1" + RAW, b"", 1 << 31),
    "footer-nested": lambda: with_footer(b"PAR1" + RAW, nested(100_000)),
}
MANY = {
    **{f"unpacked-{size}-{codec}": lambda size=size, codec=codec: one(unpacked=size, codec=codec)
       for size in (MOST, BOMB, -1, 0, 1, -(2**31)) for codec in ("none", "snappy", "gzip", "zstd")},
    **{f"packed-{size}": lambda size=size: one(packed=size) for size in (-1, 0, 5000, MOST, -(2**31))},
    **{f"bomb-{codec}": lambda codec=codec: one(unpacked=BOMB, values=BOMB // 4, codec=codec, data=zeros(codec))
       for codec in ("snappy", "gzip")},
    **{f"bomb-small-{codec}": lambda codec=codec: one(unpacked=4000, codec=codec, data=zeros(codec))
       for codec in ("snappy", "gzip", "zstd")},
    **{f"values-{count}": lambda count=count: one(values=count) for count in (-1, 0, 1, 1001, MOST)},
    **{f"column-values-{count}": lambda count=count: one(column={5: count}) for count in (-1, 0, 2**40, 2**62)},
    **{f"rows-{count}": lambda count=count: one(rows=count) for count in (-1, 1001, 10**9, 2**40, 2**62)},
    **{f"group-rows-{count}": lambda count=count: one(group={3: count}) for count in (-1, 0, 2**40)},
    **{f"words-{count}": lambda count=count: by_dictionary(values=count) for count in (-1, 0, 1, 3, MOST)},
    **{f"words-unpacked-{size}": lambda size=size: by_dictionary(unpacked=size) for size in (-1, 0, MOST)},
    "words-bomb": lambda: by_dictionary(
        zeros("zstd"), BOMB, BOMB // 4, codec="zstd"),
    "run-long": lambda: by_dictionary(indices=b"\x01" + varint(MOST << 1) + b"\0"),
    "index-beyond": lambda: by_dictionary(indices=b"\x20" + varint(1000 << 1) + b"\xff\xff\xff\x7f"),
    "index-wide": lambda: by_dictionary(indices=b"\xff" + varint(1000 << 1) + b"\0"),
    "text-long": lambda: one(kind=BYTE_ARRAY, data=(MOST).to_bytes(4, "little") + RAW, unpacked=len(RAW) + 4),
    "text-repeated": lambda: by_dictionary(
        WORD, len(WORD), 1, b"\x01" + varint(10**6 << 1) + b"\0", 10**6, kind=BYTE_ARRAY),
    "text-negative": lambda: one(kind=BYTE_ARRAY, data=b"\xff" * 4000),
    **{f"offset-{at}": lambda at=at: one(column={9: at}) for at in (-1, 0, 1, 4000, 2**62, -(2**63))},
    **{f"dictionary-offset-{at}": lambda at=at: one(column={11: at}) for at in (-1, 0, 1, 2**62)},
    **{f"stored-{size}": lambda size=size: one(column={7: size}) for size in (-1, 0, 10, 2**40, 2**63 - 1)},
    **{f"codec-{code}": lambda code=code: one(column={4: I32(code)}) for code in (3, 4, 5, 7, 99, -1)},
    **{f"kind-{kind}": lambda kind=kind: one(column={1: I32(kind)}) for kind in (0, 2, 7, 99)},
    **{f"footer-{size}": lambda size=size: with_footer(b"PAR1" + RAW, b"\0", size) for size in (0, 5, 4005, 2**32 - 1)},
    "footer-empty": lambda: with_footer(b"PAR1" + RAW, b"\0"),
    "footer-random": lambda: with_footer(b"PAR1", np.random.default_rng(0).bytes(5000)),
    **{f"footer-list-{number}": lambda number=number: with_footer(b"PAR1" + RAW, list_of(number, 2**31 - 1) + bytes(99))
       for number in (2, 4, 5)},
    "footer-many": lambda: with_footer(b"PAR1" + RAW, list_of(4, 1_000_000) + bytes(1_000_000)),
    "footer-text": lambda: with_footer(b"PAR1" + RAW, b"\x15\2\x48" + varint(2**31 - 1) + b"abc"),
    "footer-children": lambda: with_footer(b"PAR1", struct({1: I32(1), 2: [{4: "s", 5: I32(MOST)}], 3: 0})),
    "footer-deep": lambda: with_footer(
        b"PAR1", struct({1: I32(1), 2: [*[{4: "s", 5: I32(1)}] * 50_000, {1: I32(4), 4: "x"}], 3: 0, 4: []})),
    "footer-number": lambda: with_footer(b"PAR1" + RAW, b"\x15" + b"\xff" * 99 + varint(zigzag(1))),
}  # fmt: skip


def check(tmp_path, tried, kinds, right=False):
    logs = {}
    for name, make in kinds.items():
        logs[name] = (tmp_path / f"{name}.parquet", None, b"")
        logs[name][0].write_bytes(make())
    true = {bits(X), bits(np.zeros(1000, "f4"))}
    for name, found in tried(logs).items():
        assert "crash" not in found, f"{name}: {found['crash']}"
        assert set(found["read"].values()) <= true, f"{name} gave other values"
        assert bool(found["read"]) or found["said"], f"{name} was passed over"
        assert found["read"] or not right, f"{name} was refused: {found['said']}"
        for said in found["said"]:
            check_sentence(said)


def test_what_is_honest_is_read(tmp_path, tried):
    """Else the others would be refused for how they are written."""
    check(tmp_path, tried, HONEST, right=True)


def test_what_lies_is_refused_in_little_memory(tmp_path, tried):
    check(tmp_path, tried, FEW)


@pytest.mark.slow
def test_every_lie_is_refused_in_little_memory(tmp_path, tried):
    check(tmp_path, tried, MANY)

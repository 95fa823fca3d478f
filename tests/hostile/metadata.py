"""Metadata of wrong types, too deep, too large, and names that lead elsewhere."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.case import HEAD_V2, HEAD_V3, VALUES, Case, coded, grid, group, v2, v3

LEFT_OUT = object()
WRONG: dict[str, Any] = {
    "left-out": LEFT_OUT, "null": None, "number": 5, "minus": -1, "fraction": 1.5, "word": "x", "list": [],
    "mapping": {}, "nested": [[]], "numbers": [1, 2, 3], "mappings": [{}], "true": True,
    "named": {"name": 5}, "configured": {"name": "x", "configuration": 5}, "empty-name": [{"name": None}],
    "huge": 10**400, "words": ["x", "y"], "same-words": ["x", "x"],
}  # fmt: skip
TEXTS = {
    "empty": "", "space": " ", "list": "[]", "number": "5", "null": "null", "word": '"array"', "cut": '{"a": 3',
    "two": "{}{}", "binary": "\x00\x01\x02", "surrogate": '{"node_type": "\\ud800"}', "deep": "[" * 100_000,
    "deep-closed": '{"zarr_format": 3, "node_type": "array", "attributes": ' + "[" * 900 + "]" * 900 + "}",
    "digits": '{"node_type": ' + "9" * 100_000 + "}",
}  # fmt: skip
CODECS: dict[str, Any] = {
    "unknown": coded({"name": "rot13"}), "bytes-twice": coded(*coded()), "no-bytes": [{"name": "gzip"}],
    "gzip-level": coded({"name": "gzip", "configuration": {"level": "x"}}),
    "gzip-more": coded({"name": "gzip", "configuration": {"level": 1, "more": {}}}),
    "zstd-none": coded({"name": "zstd"}), "blosc-none": coded({"name": "blosc"}),
    "blosc-shuffle": coded({"name": "blosc", "configuration": {"shuffle": "sideways"}}),
    "endian": [{"name": "bytes", "configuration": {"endian": "middle"}}],
    "configuration": [{"name": "bytes", "configuration": 5}],
    "transpose": [{"name": "transpose", "configuration": {"order": [0, 5]}}, *coded()],
    "transpose-word": [{"name": "transpose", "configuration": {"order": "F"}}, *coded()],
    "shard-none": [{"name": "sharding_indexed"}],
    "shard-zero": [{"name": "sharding_indexed", "configuration": {
        "chunk_shape": [0, 4], "codecs": coded(), "index_codecs": coded(), "index_location": "end"}}],
    "shard-odd": [{"name": "sharding_indexed", "configuration": {
        "chunk_shape": [3, 4], "codecs": coded(), "index_codecs": coded(), "index_location": "end"}}],
    "numcodecs-pickle": [{"name": "numcodecs.pickle", "configuration": {}}],
}  # fmt: skip
KEYS = ("/", ".", "../", "/../../outside/", "", "x", "\x00", 5, None, "//")
MEMBERS = (
    "/../../etc/x", ".", "..", "a/../b", "", "/a", "a/", "a//b", "./a", "../a", "a/..", "\\..\\a", "C:\\a", "a\x00b",
    "~", "a\nb", "zarr.json", "..npy", "é/ü",
)  # fmt: skip


def cases() -> Iterator[Case]:
    for name, wrong in WRONG.items():
        for key in (*HEAD_V3, "dimension_names", "storage_transformers"):
            fast = key in ("attributes", "codecs", "fill_value") and name in ("number", "mapping")
            yield Case(f"v3-{key}-{name}", partial(_headed, v3, "zarr.json", HEAD_V3, key, wrong), "either", fast=fast)
        for key in (*HEAD_V2, "dimension_separator"):
            yield Case(f"v2-{key}-{name}", partial(_headed, v2, ".zarray", HEAD_V2, key, wrong), "either")
        for key in ("_ARRAY_DIMENSIONS", "scale_factor", "add_offset", "_FillValue", "missing_value", "units"):
            if wrong is not LEFT_OUT:
                yield Case(f"attribute-v3-{key}-{name}", partial(v3, attributes={key: wrong}), "either")
                yield Case(f"attribute-v2-{key}-{name}", partial(_attributes_v2, {key: wrong}), "either")
        if wrong is not LEFT_OUT:
            yield Case(f"attributes-v2-{name}", partial(_attributes_v2, wrong), "either", fast=name == "number")
            yield Case(f"group-attributes-{name}", partial(_in_group, attributes=wrong), "either", fast=name == "word")
            yield Case(f"consolidated-{name}", partial(_in_group, consolidated_metadata=wrong), "either")
    for name, text in TEXTS.items():
        fast = name.startswith("deep")
        yield Case(f"text-{name}", partial(_text, "zarr.json", text), fast=fast)
        yield Case(f"text-zarray-{name}", partial(_text, ".zarray", text))
        yield Case(f"text-zattrs-{name}", partial(_zattrs, text), "either" if name == "surrogate" else "refused")
        yield Case(f"text-below-{name}", partial(_text_below, text))
        yield Case(f"text-zip-{name}", partial(_text_zip, text))
    for name, codecs in CODECS.items():
        yield Case(f"codecs-{name}", partial(v3, codecs=codecs), "either")
    for number, separator in enumerate(KEYS):
        encoding = {"name": "default", "configuration": {"separator": separator}}
        yield Case(f"separator-{number}", partial(v3, chunk_key_encoding=encoding), "either")
        yield Case(f"separator-v2-{number}", partial(v2, dimension_separator=separator), "either")
    for number, member in enumerate(MEMBERS):
        yield Case(f"npz-member-{number}", partial(_member, member), "either", fast=number < 4)
    yield Case("npz-twice", partial(_members, ["a", "a"]))
    yield Case("npz-array-and-layer", partial(_members, ["a", "a/b"]))
    yield Case("npz-beside-npy", _same_name)
    yield Case("attributes-200MB", _large, fast=True)
    yield Case("attributes-30MB-of-lists", _lists)
    yield Case("both-versions", _both_versions, "either")
    yield Case("unit-nonsense", partial(v3, data_type={"name": "numpy.datetime64", "configuration": {}}), "either")
    yield Case("dims-of-the-variable", partial(v3, dimension_names=["log", "log"]), "either")
    yield Case("grid-rectilinear", partial(v3, chunk_grid={"name": "rectilinear", "configuration": {}}), "either")
    yield Case("empty-grid", partial(v3, files={"c": b"\x00" * 4}, shape=[], chunk_grid=grid()), "either")


def _headed(write: Callable[..., Path], file: str, head: dict[str, Any], key: str, value: Any, folder: Path) -> Path:
    write(folder)
    changed = {**head, key: value}
    if value is LEFT_OUT:
        del changed[key]
    (folder / file).write_text(json.dumps(changed))
    return folder


def _attributes_v2(attributes: Any, folder: Path) -> Path:
    return _zattrs(json.dumps(attributes), folder)


def _zattrs(text: str, folder: Path) -> Path:
    v2(folder)
    (folder / ".zattrs").write_text(text)
    return folder


def _in_group(folder: Path, **head: Any) -> Path:
    group(folder, **head)
    v3(folder / "a")
    return folder


def _text(file: str, text: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / file).write_text(text)
    return folder


def _text_below(text: str, folder: Path) -> Path:
    group(folder)
    v3(folder / "a")
    _text("zarr.json", text, folder / "b")
    return folder


def _text_zip(text: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("zarr.json", text)
    return folder / "x.zip"


def _member(name: str, folder: Path) -> Path:
    return _members([name], folder)


def _members(names: list[str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    data = io.BytesIO()
    np.save(data, VALUES)
    with warnings.catch_warnings(), zipfile.ZipFile(folder / "x.npz", "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of equal names
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(f"member{number}")
            info.filename = f"{name}.npy"  # zipfile cleans the names that it is given
            archive.writestr(info, data.getvalue())
    return folder / "x.npz"


def _same_name(folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    np.save(folder / "a" / "b.npy", VALUES)
    np.savez(folder / "a.npz", b=VALUES + 1)
    return folder


def _large(folder: Path) -> Path:
    v3(folder)
    with (folder / "zarr.json").open("w") as file:
        file.write(json.dumps(HEAD_V3)[:-1] + ', "attributes": {"history": "')
        for _ in range(200):
            file.write("x" * (1 << 20))
        file.write('"}}')
    return folder


def _lists(folder: Path) -> Path:
    v3(folder)
    text = json.dumps(HEAD_V3)[:-1] + ', "attributes": {"history": [' + "[]," * 10_000_000 + "[]]}}"
    (folder / "zarr.json").write_text(text)
    return folder


def _both_versions(folder: Path) -> Path:
    v2(folder)
    return v3(folder)

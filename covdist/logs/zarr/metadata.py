"""Metadata of one Zarr array as a typed record: JSON in, checked once; what has no place in it is refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from zarr.core.metadata.v2 import ArrayV2Metadata
from zarr.core.metadata.v3 import ArrayV3Metadata

from covdist.errors import LogError, shown
from covdist.logs.small_dtypes import ml_dtype, widened
from covdist.logs.source import Named
from covdist.logs.zarr.fill_values import DIMENSIONS, with_fill_value
from covdist.logs.zarr.layout import ChunkLayout, Unknown, layout_v2, layout_v3

MOST_BYTES = 32 << 20  # of one file of metadata; consolidated metadata of 20,000 arrays has 20 MB
MOST_VALUES = 2_000_000  # each takes a hundred bytes or more once parsed
MOST_DEPTH = 100
MOST_DIMS = 64  # numpy's
BEGUN = "covdist_begun"  # an attribute by which a Recorder tells arrays from those that were in their place before
_SMALL = ("bfloat16", "float8_", "int4", "uint4", "int2", "uint2", "float4_", "float6_")  # data types of ml_dtypes
_CHANGING = ("shape", "dimension_names", "attributes")  # of an array while it is recorded

Check = Callable[[Any], bool]


class ArrayMetadata(NamedTuple):
    """All that is to be known of an array before its chunks are read."""

    version: int
    shape: tuple[int, ...]
    dtype: np.dtype
    fill_value: Any
    layout: ChunkLayout
    lead: tuple[str, ...]  # a chunk's key is lead and its indices, joined by the separator
    separator: str
    dims: Named
    attributes: Mapping[str, Any]
    described: str  # equal for arrays that may be one that has grown
    recorded: bool  # by a Recorder

    @property
    def marker(self) -> str:
        """Name of the file that these metadata are from."""
        return ".zarray" if self.version == 2 else "zarr.json"


def parsed(data: bytes, place: str) -> dict[str, Any]:
    """Return the mapping that a file of metadata holds, if it is no larger or deeper than metadata is."""
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if len(data) > MOST_BYTES or values > MOST_VALUES:
        raise LogError(
            f"{place} has {len(data):,} bytes and {values:,} values, more than metadata of a log has "
            f"({MOST_BYTES:,} and {MOST_VALUES:,}): restore it, or take its attributes out."
        )
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LogError(f"{place} is not valid Zarr metadata ({shown(str(error))}): restore it.") from error
    if not isinstance(content, dict):
        raise wrong(place, "its content", content, "a mapping")
    if _depth(content) > MOST_DEPTH:
        raise LogError(f"{place} is nested more than {MOST_DEPTH} levels deep, which no metadata is: restore it.")
    return content


def array_metadata(content: Mapping[str, Any], place: str, zarrs: Any = None) -> ArrayMetadata:
    """Return the record of an array's metadata, attributes included; ``zarrs`` is zarr's own, if there is one yet."""
    version = content.get("zarr_format")
    fields = {2: _FIELDS_V2, 3: _FIELDS_V3}.get(version if isinstance(version, int) else 0)
    if fields is None or version is None:
        raise wrong(place, "zarr_format", version, "2 or 3")
    for name, (check, expected) in fields.items():
        if not check(content.get(name)):
            raise wrong(place, name, content.get(name), expected)
    shape, attributes = tuple(map(int, content["shape"])), dict(content.get("attributes") or {})
    named = attributes.get(DIMENSIONS) or content.get("dimension_names")
    if not _is_dims(named) or (named is not None and len(named) != len(shape)):
        raise wrong(place, "dimension names", named, f"{len(shape)} names, one for each number of its shape")
    given, stored = content.get("fill_value"), _of_ml_dtypes(content.get("data_type"), place)
    if stored is not None:  # which zarr does not know
        content = {**content, "data_type": f"uint{8 * stored.itemsize}", "fill_value": 0}
    dtype, fill, kept = _understood(content, place) if zarrs is None else _parts(zarrs)
    attributes = with_fill_value(attributes, content["zarr_format"], shape, dtype, fill)
    try:
        layout = (layout_v2 if version == 2 else layout_v3)(content, dtype if stored is None else stored)
    except Unknown as error:
        raise LogError(f"{place}: {error}.") from error
    if stored is not None:
        dtype, fill = widened(stored), _small_fill(given, stored, place)
    begun = attributes.pop(BEGUN, None)
    described = json.dumps([kept, begun, str(stored)], sort_keys=True, default=str)
    described = hashlib.blake2b(described.encode(), digest_size=16).hexdigest()
    names = named and tuple(named)
    recorded = begun is not None
    return ArrayMetadata(version, shape, dtype, fill, layout, *_keys(content), names, attributes, described, recorded)


def _of_ml_dtypes(name: object, place: str) -> np.dtype | None:
    """Return a dtype of bfloat16, float8 or int4, None for others; LogError without the package that has them."""
    return ml_dtype(name, place) if isinstance(name, str) and name.startswith(_SMALL) else None


def _small_fill(given: Any, stored: np.dtype, place: str) -> float:
    try:
        if isinstance(given, str) and given.startswith("0x"):
            return float(np.array(int(given, 16), f"u{stored.itemsize}").view(stored))
        return float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong(place, "fill_value", given, "a number") from error


def _parts(zarrs: Any) -> tuple[np.dtype, Any, dict[str, Any]]:
    """Return dtype, fill value and all that does not change of zarr's own metadata."""
    kept = {key: value for key, value in zarrs.to_dict().items() if key not in _CHANGING}
    return zarrs.dtype.to_native_dtype(), zarrs.fill_value, kept


def _understood(content: Mapping[str, Any], place: str) -> tuple[np.dtype, Any, dict[str, Any]]:
    """Return the parts of zarr's metadata, which it takes 0.5 ms to make: once for all arrays that are alike."""
    if content["zarr_format"] == 3 and all(codec["name"] != "sharding_indexed" for codec in content["codecs"]):
        grid = _with_chunks(content["chunk_grid"], [1] * len(_chunks(content["chunk_grid"])))
        alike = {**content, "shape": [1] * len(content["shape"]), "chunk_grid": grid, "attributes": {}}
        with suppress(LogError):  # which is of this array, below
            dtype, fill, kept = _alike(json.dumps(alike))
            chunks = _chunks(content["chunk_grid"])
            return dtype, fill, {**kept, "chunk_grid": _with_chunks(kept["chunk_grid"], chunks)}
    return _parts(_zarrs(content, place))


@lru_cache(maxsize=256)
def _alike(content: str) -> tuple[np.dtype, Any, dict[str, Any]]:
    return _parts(_zarrs(json.loads(content), ""))


def _chunks(grid: Mapping[str, Any]) -> list[int]:
    chunks: list[int] = grid["configuration"]["chunk_shape"]
    return chunks


def _with_chunks(grid: Mapping[str, Any], chunks: list[int]) -> dict[str, Any]:
    return {**grid, "configuration": {**grid["configuration"], "chunk_shape": chunks}}


def _zarrs(content: Mapping[str, Any], place: str) -> Any:
    kind = ArrayV2Metadata if content["zarr_format"] == 2 else ArrayV3Metadata
    try:
        return kind.from_dict(dict(content))
    except Exception as error:  # zarr and its codecs raise errors of any type
        raise LogError(f"{place} has Zarr metadata that zarr cannot read ({shown(str(error))}): restore it.") from error


def _keys(content: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    if content["zarr_format"] == 2:
        return (), content.get("dimension_separator", ".")
    encoding = content["chunk_key_encoding"]
    default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
    return ("c",) if default else (), separator


def wrong(place: str, name: str, found: object, expected: str) -> LogError:
    """Return the error for a field of metadata that is not as it should be."""
    said = "left out" if found is None else shown(repr(found))
    return LogError(f"{place}: {name} is {said}, where {expected} is expected: restore it.")


def _depth(content: object) -> int:
    depth, level = 0, [content]
    while level:
        depth += 1
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _is_shape(value: object, least: int = 0) -> bool:
    numbers = isinstance(value, list | tuple) and len(value) <= MOST_DIMS
    return numbers and all(_is_number(each, least) for each in value)  # type: ignore[attr-defined]


def _is_dims(value: object) -> bool:
    return value is None or (
        isinstance(value, list | tuple) and all(each is None or isinstance(each, str) for each in value)
    )


def _is_named(value: object, key: str = "name") -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get(key), str)
        and isinstance(value.get("configuration", {}), Mapping)
    )


def _is_grid(value: object) -> bool:
    if not _is_named(value):
        return False
    configuration = value.get("configuration", {})  # type: ignore[attr-defined]
    return value["name"] == "regular" and _is_shape(configuration.get("chunk_shape"), 1)  # type: ignore[index]


def _is_key_encoding(value: object) -> bool:
    if not _is_named(value):
        return False
    configuration = value.get("configuration", {})  # type: ignore[attr-defined]
    return value["name"] in ("default", "v2") and configuration.get("separator", "/") in ("/", ".")  # type: ignore[index]


def _is_codecs(value: object, key: str) -> bool:
    return isinstance(value, list | tuple) and all(_is_named(each, key) for each in value)


_SHAPE = f"a list of at most {MOST_DIMS} whole numbers that are not negative"
_FIELDS: dict[str, tuple[Check, str]] = {
    "shape": (_is_shape, _SHAPE),
    "attributes": (lambda value: value is None or isinstance(value, Mapping), "a mapping"),
}
_FIELDS_V3: dict[str, tuple[Check, str]] = {
    **_FIELDS,
    "chunk_grid": (_is_grid, "a regular grid with a chunk_shape of whole numbers greater than 0"),
    "chunk_key_encoding": (_is_key_encoding, 'an encoding "default" or "v2" with the separator "/" or "."'),
    "codecs": (lambda value: bool(value) and _is_codecs(value, "name"), "a list of named codecs"),
    "dimension_names": (_is_dims, "a list of names"),
    "storage_transformers": (lambda value: not value, "an empty list"),
}
_FIELDS_V2: dict[str, tuple[Check, str]] = {
    **_FIELDS,
    "chunks": (_is_shape, _SHAPE),
    "compressor": (lambda value: value is None or _is_named(value, "id"), "a codec with an id"),
    "filters": (lambda value: value is None or _is_codecs(value, "id"), "a list of codecs with ids"),
    "order": (lambda value: value in ("C", "F"), '"C" or "F"'),
    "dimension_separator": (lambda value: value is None or value in ("/", "."), '"/" or "."'),
}

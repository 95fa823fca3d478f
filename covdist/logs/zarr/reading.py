"""Reads the metadata of all arrays below a path, and makes their sources."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

import zarr

from covdist.errors import LogError, shown
from covdist.logs.grid import check_promise
from covdist.logs.paths import open_file, walk
from covdist.logs.source import Entry, Nodes, Source
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.files import ZarrFileSource
from covdist.logs.zarr.metadata import MOST_BYTES, ArrayMetadata, array_metadata, parsed, wrong
from covdist.logs.zarr.stores import Store, open_store


def read_nodes(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read them without reading or listing chunks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        return _nodes(path, missing_chunks, follow_links)


def _nodes(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    nodes: Nodes = {}
    for inner, metadata in _arrays(path, follow_links):
        name = inner or os.path.splitext(os.path.basename(path.rstrip("/")))[0]
        node, _, variable = name.rpartition("/")
        source = source_of(path, inner, name, metadata, missing_chunks, follow_links)
        # Epochs and steps often begin with chunks of zeros, which zarr does not write by default.
        filled = source_of(path, inner, name, metadata, "fill", follow_links) if len(source.shape) == 1 else None
        nodes.setdefault(node, {})[variable] = Entry(source, metadata.dims, metadata.attributes, filled)
    return nodes


def _arrays(path: str, follow_links: bool) -> Iterator[tuple[str, ArrayMetadata]]:
    # Consolidated metadata may be older than the arrays, so what is there is searched instead.
    if os.path.isdir(path):
        yield from _local(path, follow_links)
        return
    for inner, array in sorted(_members(path), key=lambda each: each[0]):
        yield inner, array_metadata(array.metadata.to_dict(), f"{path}/{inner}".rstrip("/"), array.metadata)


def _local(root: str, follow_links: bool) -> Iterator[tuple[str, ArrayMetadata]]:
    found: list[tuple[str, ArrayMetadata]] = []

    def is_array(inner: str) -> bool:
        content = _content(os.path.join(root, inner), follow_links)
        if content is None:
            return False
        found.append((inner, array_metadata(content, os.path.join(root, inner))))
        return True

    for _ in walk(root, is_array, follow_links):
        yield from found
        found.clear()
    yield from found


def _content(folder: str, follow_links: bool) -> dict[str, Any] | None:
    """Return the metadata of the array in a folder, None if it holds none."""
    content = _json(f"{folder}/.zarray", follow_links)
    if content is not None:
        return {**content, "attributes": _json(f"{folder}/.zattrs", follow_links) or {}}
    content = _json(f"{folder}/zarr.json", follow_links)
    if content is None or content.get("node_type") == "group":
        return None
    if content.get("node_type") != "array":
        raise wrong(f"{folder}/zarr.json", "node_type", content.get("node_type"), '"array" or "group"')
    return content


def _json(file: str, follow_links: bool) -> dict[str, Any] | None:
    try:
        with open_file(file, follow_links) as stream:
            return parsed(stream.read(MOST_BYTES + 1), file)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _members(path: str) -> list[tuple[str, zarr.Array[Any]]]:
    try:
        store = open_store(path)
        root = zarr.open(store, mode="r", use_consolidated=False)
        return [("", root)] if isinstance(root, zarr.Array) else _below(root) or _consolidated(store)
    except LogError:
        raise
    except FileNotFoundError as error:
        raise LogError(f"{path} does not exist, or holds no Zarr array or group.") from error
    except Exception as error:  # zarr and stores raise errors of any type
        raise LogError(f"{path} has Zarr metadata that zarr cannot read ({shown(str(error))}).") from error


def _below(root: zarr.Group) -> list[tuple[str, zarr.Array[Any]]]:
    try:
        members = root.members(max_depth=None)
    except (NotImplementedError, PermissionError):  # a store that lists nothing
        return []
    return [(inner, member) for inner, member in members if isinstance(member, zarr.Array)]


def _consolidated(store: Store) -> list[tuple[str, zarr.Array[Any]]]:
    """Return the arrays that consolidated metadata name, each with its own metadata, which may be younger."""
    named = _below(zarr.open_group(store, mode="r"))
    return [(inner, zarr.open_array(store, path=inner, mode="r")) for inner, _ in named]


def source_of(
    path: str, inner: str, name: str, metadata: ArrayMetadata, missing: str, follow_links: bool = False
) -> Source:
    """Return a source for the array ``inner`` of the store ``path``, called ``name`` in messages."""
    layout = metadata.layout
    folder = os.path.join(path, inner) if os.path.isdir(path) else None
    outer = layout.shard or layout.shape
    check_promise(name, metadata.shape, outer, metadata.dtype.itemsize, folder)
    token = _token(path, inner, folder, metadata.described, missing)
    fill = 0 if metadata.fill_value is None else metadata.fill_value
    fields: dict[str, Any] = {
        "name": name, "shape": metadata.shape, "dtype": metadata.dtype, "chunks": layout.shape, "token": token,
        "lead": metadata.lead, "separator": metadata.separator, "layout": layout, "fill_value": fill,
        "missing": missing, "follow_links": follow_links,
    }  # fmt: skip
    if folder is None or layout.index is not None:
        return ZarrSource(**fields, place=path, inner=inner)
    return ZarrFileSource(**fields, folder=folder)


def _token(path: str, inner: str, folder: str | None, described: str, missing: str) -> str:
    stamps = []
    if os.path.exists(path):
        file = path if folder is None else _marker(folder)
        stamps = [os.path.abspath(folder or path), os.stat(file).st_mtime_ns, os.stat(file).st_size]
    text = repr((path if not stamps else "", inner, stamps, described, missing))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _marker(folder: str) -> str:
    return next(file for name in ("zarr.json", ".zarray") if os.path.exists(file := f"{folder}/{name}"))

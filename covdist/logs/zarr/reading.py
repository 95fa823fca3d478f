"""Reads the metadata of all arrays below a path, and makes their sources."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import zarr

from covdist.errors import LogError, shown
from covdist.logs.grid import check_promise
from covdist.logs.paths import address, below, is_url, open_file, walk
from covdist.logs.source import Entry, Nodes, Source, Unreadable
from covdist.logs.stamps import Stamp, opening, stamp
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.files import MARKERS, ZarrFileSource
from covdist.logs.zarr.metadata import MOST_BYTES, ArrayMetadata, array_metadata, parsed, wrong
from covdist.logs.zarr.stores import Store, names_in, open_store
from covdist.logs.zarr.unchanged import Opened


def read_nodes(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read them without reading or listing chunks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        with opening() as now:
            return _nodes(path, missing_chunks, follow_links, now)


def _nodes(path: str, missing_chunks: str, follow_links: bool, now: int) -> Nodes:
    nodes: Nodes = {}
    entry: Entry | Unreadable
    for inner, metadata in _arrays(path, follow_links):
        name = inner or os.path.splitext(os.path.basename(path.rstrip("/")))[0]
        node, _, variable = name.rpartition("/")
        try:
            if isinstance(metadata, Unreadable):
                entry = metadata
            else:
                entry = _entry(path, inner, name, metadata, missing_chunks, now, follow_links)
        except LogError as error:
            entry = Unreadable(error)
        nodes.setdefault(node, {})[variable] = entry
    return nodes


def _entry(
    path: str, inner: str, name: str, metadata: ArrayMetadata, missing_chunks: str, now: int, follow_links: bool
) -> Entry:
    source = source_of(path, inner, name, metadata, missing_chunks, now, follow_links)
    # Epochs and steps often begin with chunks of zeros, which zarr does not write by default.
    filled = source_of(path, inner, name, metadata, "fill", now, follow_links) if len(source.shape) == 1 else None
    return Entry(source, metadata.dims, metadata.attributes, filled)


def _arrays(path: str, follow_links: bool) -> Iterator[tuple[str, ArrayMetadata | Unreadable]]:
    # Consolidated metadata may be older than the arrays, so what is there is searched instead.
    if os.path.isdir(path):
        yield from _local(path, follow_links)
        return
    for inner, array in sorted(_members(path), key=lambda each: each[0]):
        if isinstance(array, Unreadable):
            yield inner, array
            continue
        try:
            yield inner, array_metadata(array.metadata.to_dict(), f"{path}/{inner}".rstrip("/"), array.metadata)
        except LogError as error:
            yield inner, Unreadable(error)


def _local(root: str, follow_links: bool) -> Iterator[tuple[str, ArrayMetadata | Unreadable]]:
    found: list[tuple[str, ArrayMetadata | Unreadable]] = []
    # Of thousands of arrays many are alike, and zarr takes a millisecond for each.
    known: dict[tuple[bytes | None, ...], ArrayMetadata | None] = {}

    def is_array(inner: str) -> bool:
        folder, content = os.path.join(root, inner), None
        try:
            files = _files(folder, follow_links)
            if files not in known:
                content = _content(folder, *files)
                known[files] = None if content is None else array_metadata(content, folder)
            metadata = known[files]
            if metadata is None:
                return False
            found.append((inner, metadata))
        except LogError as error:
            found.append((inner, Unreadable(error, layer=content is None)))
            return content is not None or not _has_members(folder)
        return True

    for _ in walk(root, is_array, follow_links):
        yield from found
        found.clear()
    yield from found


def _has_members(folder: str) -> bool:
    """Return whether arrays or groups lie in a folder, which is then a group, whatever its metadata."""
    try:
        with os.scandir(folder) as entries:
            below = [each.path for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return False
    return any(os.path.lexists(f"{path}/{marker}") for path in below for marker in MARKERS)


def _files(folder: str, follow_links: bool) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return what a folder has of .zarray, .zattrs beside it, and zarr.json instead of it."""
    array = _bytes(f"{folder}/.zarray", follow_links)
    if array is not None:
        return array, _bytes(f"{folder}/.zattrs", follow_links), None
    return None, None, _bytes(f"{folder}/zarr.json", follow_links)


def _bytes(file: str, follow_links: bool) -> bytes | None:
    try:
        with open_file(file, follow_links) as stream:  # which takes memory for all that it is asked for
            return stream.read(min(os.fstat(stream.fileno()).st_size, MOST_BYTES) + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _content(folder: str, array: bytes | None, attributes: bytes | None, both: bytes | None) -> dict[str, Any] | None:
    """Return the metadata of the array in a folder, None if it holds none."""
    if array is not None:
        content = parsed(array, f"{folder}/.zarray")
        return {**content, "attributes": {} if attributes is None else parsed(attributes, f"{folder}/.zattrs")}
    content = {} if both is None else parsed(both, f"{folder}/zarr.json")
    if both is None or content.get("node_type") == "group":
        return None
    if content.get("node_type") != "array":
        raise wrong(f"{folder}/zarr.json", "node_type", content.get("node_type"), '"array" or "group"')
    return content


def _members(path: str) -> list[tuple[str, zarr.Array[Any] | Unreadable]]:
    try:
        store = open_store(path)
        root = zarr.open(store, mode="r", use_consolidated=False)
        return [("", root)] if isinstance(root, zarr.Array) else _below(root) or _consolidated(store)
    except FileNotFoundError as error:
        raise LogError(f"{path} does not exist, or holds no Zarr array or group.") from error
    except Exception as error:  # zarr and stores raise errors of any type
        raise _unread(path, error) from error


def _below(root: zarr.Group) -> list[tuple[str, zarr.Array[Any] | Unreadable]]:
    try:
        members = root.members(max_depth=None)
    except (NotImplementedError, PermissionError):  # a store that lists nothing
        return []
    except Exception:  # of any type, and of one member
        return list(_one_by_one(root, root.path))
    return [(inner, member) for inner, member in members if isinstance(member, zarr.Array)]


def _one_by_one(group: zarr.Group, path: str) -> Iterator[tuple[str, zarr.Array[Any] | Unreadable]]:
    for name in names_in(group.store, group.path):
        inner = f"{group.path}/{name}".removeprefix(path).lstrip("/")
        try:
            member = group[name]
        except KeyError:  # neither an array nor a group
            continue
        except Exception as error:  # zarr and stores raise errors of any type
            yield inner, Unreadable(_unread(inner, error), layer=True)
        else:
            if isinstance(member, zarr.Array):
                yield inner, member
            else:
                yield from _one_by_one(member, path)


def _unread(what: str, error: Exception) -> LogError:
    if isinstance(error, LogError):
        return error
    return LogError(f"{what} has Zarr metadata that zarr cannot read ({shown(str(error))}): restore it.")


def _consolidated(store: Store) -> list[tuple[str, zarr.Array[Any] | Unreadable]]:
    """Return the arrays that consolidated metadata name, each with its own metadata, which may be younger."""
    named = _below(zarr.open_group(store, mode="r"))
    return [(inner, zarr.open_array(store, path=inner, mode="r")) for inner, _ in named]


def source_of(
    path: str, inner: str, name: str, metadata: ArrayMetadata, missing: str, now: int, follow_links: bool = False
) -> Source:
    """Return a source for the array ``inner`` of the store ``path``, called ``name`` in messages, opened ``now``."""
    layout = metadata.layout
    folder = os.path.join(path, inner) if os.path.isdir(path) else None
    outer = layout.shard or layout.shape
    check_promise(name, metadata.shape, outer, metadata.dtype.itemsize, folder)
    opened = _opened(path, inner, folder, metadata, now)
    fill = 0 if metadata.fill_value is None else metadata.fill_value
    fields: dict[str, Any] = {
        "name": name, "shape": metadata.shape, "dtype": metadata.dtype, "chunks": layout.shape, "token": "",
        "lead": metadata.lead, "separator": metadata.separator, "layout": layout, "fill_value": fill,
        "missing": missing, "follow_links": follow_links, "opened": opened,
    }  # fmt: skip
    source: ZarrSource | ZarrFileSource
    if folder is None or layout.index is not None:
        source = ZarrSource(**fields, place=path, inner=inner)
    else:
        source = ZarrFileSource(**fields, folder=folder)
    return replace(source, token=_token(source, folder, path, inner))


def _opened(path: str, inner: str, folder: str | None, metadata: ArrayMetadata, now: int) -> Opened:
    marker, grows = below(path, inner, metadata.marker), True
    if folder is not None:
        marker = os.path.join(folder, metadata.marker)
    elif not is_url(path):
        marker, grows = path, False
    elif address(path).startswith(("zip:", "zip::")):
        marker, grows = path.rpartition("::")[2], False
    try:
        found = stamp(marker)
    except Exception:  # of any type: a store need not tell
        found = None
    return Opened(now, marker, found, metadata.described if grows else "", metadata.recorded and grows)


def _token(source: ZarrSource | ZarrFileSource, folder: str | None, path: str, inner: str) -> str:
    """Return a hash of what is known of an array and of its first and last chunk without reading them."""
    stamps: list[Stamp] = []
    if folder is not None:
        grid = [-(-n // size) for n, size in zip(source.shape, source.in_file, strict=True)]
        for index in {(0,) * len(grid), tuple(max(0, n - 1) for n in grid)}:
            with suppress(OSError):
                stamps.append(stamp(f"{folder}/{source.key(index)}"))
    about = (source.shape, source.opened.described, source.opened.stamp, sorted(stamps), source.missing)
    place = folder or path
    text = repr((place if is_url(place) else os.path.abspath(place), inner, *about))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

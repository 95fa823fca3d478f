"""Reads the metadata of all arrays below a path, and makes their sources."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import StorePath

from covdist.errors import LogError, shown
from covdist.logs.grid import check_promise
from covdist.logs.paths import absolute, address, below, first_bytes, is_url, last_name, read_file, walk
from covdist.logs.source import Entry, Nodes, Source, Unreadable
from covdist.logs.stamps import Stamp, dated, opening, stamp
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.carried import Carried, CarriedSource
from covdist.logs.zarr.files import MARKERS, ZarrFileSource
from covdist.logs.zarr.metadata import MOST_BYTES, ArrayMetadata, array_metadata, parsed, wrong
from covdist.logs.zarr.shared_rows import Found, with_shared_rows
from covdist.logs.zarr.stores import names_in, open_store
from covdist.logs.zarr.unchanged import Opened


def read_nodes(place: str | Carried, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read them without reading or listing chunks."""
    path, carried = (place, None) if isinstance(place, str) else (place.called, place)
    local = carried is None and os.path.isdir(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of types and codecs that version 3 does not specify yet
        with opening() as now:
            return _nodes(Opening(path, local, missing_chunks, now, follow_links, carried))


_OF_RESULT = {"covdist", "nodes", "versions"}  # attributes of the root of what covdist.load reads
_UNLISTED = (NotImplementedError, PermissionError, FileNotFoundError)  # from stores that list nothing


class Opening(NamedTuple):
    """Where arrays are, and how and when they are opened."""

    path: str  # of a carried store, its name in messages
    local: bool  # a folder
    missing: str
    now: int
    follow_links: bool
    carried: Carried | None = None


def _nodes(at: Opening) -> Nodes:
    path, nodes = at.path, Nodes()
    entry: Entry | Unreadable
    for inner, metadata, found in with_shared_rows(list(_arrays(at))):
        name = inner or ("log" if at.carried else os.path.splitext(last_name(path))[0])
        node, _, variable = name.rpartition("/")
        try:
            entry = metadata if isinstance(metadata, Unreadable) else _entry(at, inner, name, metadata, found)
        except LogError as error:
            entry = Unreadable(error)
        nodes.setdefault(node, {})[variable] = entry
    return nodes


def _entry(at: Opening, inner: str, name: str, metadata: ArrayMetadata, found: Stamp | None) -> Entry:
    # Epochs and steps often begin with chunks of zeros, which zarr does not write by default.
    ways = (at.missing, "fill") if len(metadata.shape) == 1 else (at.missing,)
    source, *filled = _sources(at, inner, name, metadata, found, ways)
    return Entry(source, metadata.dims, metadata.attributes, filled[0] if filled else None)


def _arrays(at: Opening) -> Iterator[Found]:
    # Consolidated metadata may be older than the arrays, so what is there is searched instead.
    if at.local:
        yield from _local(at.path, at.follow_links)
        return
    for inner, array in sorted(_members(at), key=lambda each: each[0]):
        if isinstance(array, Unreadable):
            yield inner, array, None
            continue
        try:
            metadata = array_metadata(array.metadata.to_dict(), below(at.path, inner), array.metadata)
            yield inner, metadata, None
        except LogError as error:
            yield inner, Unreadable(error), None


def _local(root: str, follow_links: bool) -> Iterator[Found]:
    found: list[Found] = []
    known: dict[tuple[bytes | None, ...], ArrayMetadata | None] = {}  # of thousands of arrays many are alike

    def is_array(inner: str) -> bool:
        folder, content = below(root, inner), None
        try:
            files, marker = _files(folder, follow_links)
            if files not in known:
                content = _content(folder, *files)
                known[files] = None if content is None else array_metadata(content, folder)
            metadata = known[files]
            if metadata is None:
                return False
            named = files[0 if metadata.version == 2 else 2] is not None
            found.append((inner, metadata, marker if named else None))
        except _ResultError:
            found.append((inner, Unreadable(_no_log(folder), layer=True), None))
        except LogError as error:
            found.append((inner, Unreadable(error, layer=content is None), None))
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


def _files(folder: str, follow_links: bool) -> tuple[tuple[bytes | None, bytes | None, bytes | None], Stamp | None]:
    """Return what a folder has of .zarray with .zattrs, or of zarr.json instead, and the stamp of the first."""
    array, marker = _read(f"{folder}/.zarray", follow_links)
    if array is not None:
        return (array, _read(f"{folder}/.zattrs", follow_links)[0], None), marker
    both, marker = _read(f"{folder}/zarr.json", follow_links)
    return (None, None, both), marker


def _read(file: str, follow_links: bool) -> tuple[bytes | None, Stamp | None]:
    try:
        data, found = read_file(file, MOST_BYTES, follow_links)
        return data, (found.st_size, found.st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return None, None


def _content(folder: str, array: bytes | None, attributes: bytes | None, both: bytes | None) -> dict[str, Any] | None:
    """Return the metadata of the array in a folder, None if it holds none."""
    if array is not None:
        content = parsed(array, f"{folder}/.zarray")
        return {**content, "attributes": {} if attributes is None else parsed(attributes, f"{folder}/.zattrs")}
    content = {} if both is None else parsed(both, f"{folder}/zarr.json")
    if both is None or content.get("node_type") == "group":
        if _of_a_result(content):
            raise _ResultError
        return None
    if content.get("node_type") != "array":
        raise wrong(f"{folder}/zarr.json", "node_type", content.get("node_type"), '"array" or "group"')
    return content


def is_result(metadata: str) -> bool:
    """Return whether a file has the metadata of a result's root; one that cannot be read has not."""
    try:
        return _of_a_result(parsed(first_bytes(metadata, MOST_BYTES), metadata))
    except LogError:
        return False


def _of_a_result(content: Mapping[str, Any]) -> bool:
    attributes = content.get("attributes")
    return isinstance(attributes, dict) and attributes.keys() >= _OF_RESULT


class _ResultError(Exception):
    """A group is the root of a result, whose arrays are not a log's."""


def _no_log(what: str) -> LogError:
    return LogError(f"{what} is a result, not a log: covdist.load and covdist show read it.")


def _members(at: Opening) -> list[tuple[str, zarr.Array[Any] | Unreadable]]:
    path = at.path
    try:
        store = open_store(path) if at.carried is None else at.carried.store
        # By a path, since zarr would read a writable store through a copy, which not every store can make.
        root = zarr.open(sync(StorePath.open(store, "")), mode="r", use_consolidated=False)
        if isinstance(root, zarr.Array):
            return [("", root)]
        if root.attrs.keys() >= _OF_RESULT:
            raise _no_log(path)
        listed = _below(root)
        if not (found := listed or _consolidated(store)) and listed is None:
            raise LogError(
                f"{path} is a Zarr group of a store that lists nothing, so that its arrays cannot be found: write "
                "zarr.consolidate_metadata into it, or name one of its arrays."
            )
        return found
    except FileNotFoundError as error:
        lacks = "does not exist, or holds" if at.carried is None else "holds"
        raise LogError(f"{path} {lacks} no Zarr array or group.") from error
    except Exception as error:  # zarr and stores raise errors of any type
        if at.carried is not None and not isinstance(error, LogError):
            raise LogError(f"{path} cannot be read ({at.carried.said(error)}): check the store.") from None
        raise _unread(path, error) from error


def _below(root: zarr.Group) -> list[tuple[str, zarr.Array[Any] | Unreadable]] | None:
    """Return the arrays below a group; None where its store lists nothing."""
    try:
        members = root.members(max_depth=None)
    except _UNLISTED:
        return None
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
    root = StorePath(store)
    named = _below(zarr.open_group(root, mode="r")) or []
    return [(inner, zarr.open_array(root, path=inner, mode="r")) for inner, _ in named]


def source_of(at: Opening, name: str, metadata: ArrayMetadata) -> Source:
    """Return a source for the array at a path, called ``name`` in messages."""
    return _sources(at, "", name, metadata, None, (at.missing,))[0]


def _sources(
    at: Opening, inner: str, name: str, metadata: ArrayMetadata, found: Stamp | None, ways: Sequence[str]
) -> list[Source]:
    """Return the sources of an array, with each of some ways to read chunks that are missing."""
    layout = metadata.layout
    folder = os.path.join(at.path, inner) if at.local else None
    check_promise(name, metadata.shape, layout.shard or layout.shape, metadata.dtype.itemsize, folder)
    fields: dict[str, Any] = {
        "name": name, "shape": metadata.shape, "dtype": metadata.dtype, "chunks": layout.shape,
        "lead": metadata.lead, "separator": metadata.separator, "layout": layout,
        "fill_value": 0 if metadata.fill_value is None else metadata.fill_value,
        "follow_links": at.follow_links, "opened": _opened(at, inner, folder, metadata, found),
    }  # fmt: skip
    make: Callable[..., ZarrSource | ZarrFileSource]
    if at.carried is not None:
        make = partial(CarriedSource, **fields, place=at.path, inner=inner, carried=at.carried)
    elif folder is None or layout.index is not None:
        make = partial(ZarrSource, **fields, place=at.path, inner=inner)
    else:
        make = partial(ZarrFileSource, **fields, folder=folder)
    token = _token(make(missing="", token=""), folder, at.carried.token if at.carried else at.path, inner)
    return [make(missing=missing, token=token(missing)) for missing in ways]


def _opened(at: Opening, inner: str, folder: str | None, metadata: ArrayMetadata, found: Stamp | None) -> Opened:
    path = at.path
    if at.carried is not None:  # nothing tells when it changes
        return Opened(at.now, path, None, "", False)
    marker, grows = below(path, inner, metadata.marker), True
    if folder is not None:
        marker = os.path.join(folder, metadata.marker)
    elif not is_url(path):
        marker, grows = path, False
    elif address(path).startswith(("zip:", "zip::")):
        marker, grows = address(path).innermost, False
    try:
        found, counted = (found, found[1]) if found else dated(marker)
    except Exception:  # of any type: a store need not tell
        found, counted = None, 0
    recorded = metadata.recorded and grows
    now = max(at.now, counted) if recorded else at.now  # rows it counts were written before, maybe after we began
    return Opened(now, marker, found, metadata.described if grows else "", recorded)


def _token(source: ZarrSource | ZarrFileSource, folder: str | None, path: str, inner: str) -> Callable[[str], str]:
    """Return what hashes all that is known of an array, and of its first and last chunk, without reading them."""
    stamps: list[Stamp] = []
    if folder is not None:
        grid = [-(-n // size) for n, size in zip(source.shape, source.in_file, strict=True)]
        for index in {(0,) * len(grid), tuple(max(0, n - 1) for n in grid)}:
            with suppress(OSError):
                stamps.append(stamp(f"{folder}/{source.key(index)}"))
    place = folder or path
    known = absolute(place), inner, source.shape, source.opened.described, source.opened.stamp, sorted(stamps)
    return lambda missing: hashlib.blake2b(repr((*known, missing)).encode(), digest_size=16).hexdigest()

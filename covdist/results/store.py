"""Results on disk: one Zarr group per state, or for many small ones, written whole or not at all."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr
from zarr.core.sync import sync

from covdist.engine.plan import human_bytes
from covdist.errors import ResultError
from covdist.given import local_path
from covdist.results.arrays import BROKEN, Check, opened, plain, read_array, read_rows, stored_array, write_array
from covdist.results.packs import Stored, members_of, to_pack, write_pack
from covdist.storage.exchange import exchange
from covdist.storage.kinds import of_kind
from covdist.storage.refusal import refusal

_FORMAT, _PACKED, _ROWS = 1, 2, 3  # the second where states share a group, the third where rows of groups are kept
FEW_ROWS = "few_rows"  # attribute of states of groups, some of which are kept as rows
MADE_FROM = "made_from"  # attribute of the root: the log, as it was then
_ROOT = {"nodes": {str: str}, "packed?": [str], "versions": {str: str}, "created?": str}
_AGAIN = "restore it from a copy, or remove it and make it again"
_ZARR = ("zarr.json", ".zgroup", ".zarray")  # files that make a folder a Zarr group or array
_READ = (*_ZARR, ".zattrs", ".zmetadata")  # those that are read of a group


class NewResult:
    """A result that is being written: a Zarr group for each node, or for many together."""

    def __init__(self, place: Path, nodes: Sequence[str], about: Mapping[str, Any]):
        self._about = about
        self._root = zarr.open_group(place, mode="w", zarr_format=3)
        self._places, self._packs = _places(nodes), list[str]()
        self.begun = set[str]()  # nodes with a group of their own
        self.has_rows = False

    def group(self, node: str) -> zarr.Group:
        """Return the group of a node."""
        self.begun.add(node)
        place = self._places[node]
        return self._root.require_group(place) if place else self._root

    def shared(self, nodes: Sequence[str]) -> zarr.Group:
        """Return a new group for several nodes."""
        taken = {place.partition("/")[0] for place in self._places.values()} - set(self._packs)
        place = f"packed-{len(self._packs)}"
        while place in taken:
            place += "_"
        self._packs.append(place)
        self._places |= dict.fromkeys(nodes, place)
        return self._root.require_group(place)

    def finish(self) -> None:
        """Write what says that this is a result."""
        versions = {name: version(name) for name in ("covdist", "numpy", "dask", "distributed", "zarr", "xarray")}
        attrs: dict[str, Any] = {
            "covdist": _ROWS if self.has_rows else _PACKED if self._packs else _FORMAT,
            "nodes": self._places,
            **({"packed": self._packs} if self._packs else {}),
            "versions": {"python": platform.python_version(), **versions},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **({MADE_FROM: self._about} if self._about else {}),
        }
        self._root.update_attributes(attrs)


@contextmanager
def new_result(place: Path, nodes: Sequence[str], about: Mapping[str, Any]) -> Iterator[NewResult]:
    """Yield a result to write, which is one when the block has ended; ``about`` says what it is of."""
    result = NewResult(place, nodes, about)
    yield result
    result.finish()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yield a place to write a file or folder to, which is at ``target`` when the block has ended, or nowhere."""
    with _begun(_beside(target, "partial"), target, "choose another place") as partial:
        yield partial
        os.rename(partial, target)


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield a path for a new result, which takes the place of the one at ``target`` when the block has ended.

    Where anything fails the old one stays. Of a link what it leads to is replaced.
    """
    old = Path(os.path.realpath(target))
    if not os.access(old.parent, os.W_OK):
        raise ResultError(f"the folder {old.parent} of the result is not writable: copy the result, and update that")
    with _begun(_beside(old, "new"), target, "it is as it was, update a copy in another place") as beside:
        yield beside
        exchange(beside, old)


@contextmanager
def _begun(place: Path, target: Path, advice: str) -> Iterator[Path]:
    """Yield a place of which nothing stays; where it takes no more bytes ResultError names the target instead."""
    try:
        yield place
    except Exception as error:
        if (refused := refusal(error, place, target)) is None:
            raise
        advice = ", or ".join(filter(None, (advice, refused.remedy)))
        raise ResultError(f"{target} cannot be written ({refused.reason}): {advice}") from error
    finally:
        _remove(place, _beside(target, "gone"))


def _remove(place: Path, beside: Path) -> None:
    """Remove a file or folder, to which others may still write, if it is there."""
    with suppress(OSError):  # of a file system that is only read, also where nothing is there
        if place.is_dir():
            sync(_others())
            os.rename(place, beside)  # what workers write to it now has no place
            shutil.rmtree(beside, ignore_errors=True)
        else:
            place.unlink()


async def _others() -> None:
    """Wait for what Zarr has begun: where one write has failed, those beside it go on, and make their folders."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


def _places(nodes: Sequence[str]) -> dict[str, str]:
    """Return a group for each node; none inside another, where an array could have the name of a layer."""
    if list(nodes) == [""]:
        return {"": ""}
    plain = {node: node.replace("\\", "_") for node in nodes}  # zarr takes a backslash for a slash
    known = set(plain.values())
    flat = "" in known or any(node[:end] in known for node in known for end, c in enumerate(node) if c == "/")
    places: dict[str, str] = {}
    taken = set[str]()
    for node, called in plain.items():
        place = (called or "root").replace("/", ".") if flat else called
        while place in taken:
            place += "_"
        taken.add(place)
        places[node] = place
    return places


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.{what}")


def free_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a new result; ResultError where it cannot be written."""
    target = Path(local_path(path)).absolute()
    if os.path.lexists(target):
        raise ResultError(f"{path} exists already: choose another output, or remove it first")
    if os.path.isfile(target.parent):
        raise ResultError(f"{target.parent} is a file, so that the output cannot lie in it: choose another place")
    if not os.path.isdir(target.parent):
        raise ResultError(f"the folder {target.parent} for the output does not exist: make it first")
    if not os.access(target.parent, os.W_OK):
        raise ResultError(f"the folder {target.parent} for the output is not writable: choose another")
    longest = os.pathconf(target.parent, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255  # Windows has none to ask
    over = len(os.fsencode(_beside(target, "partial").name)) - longest
    if over > 0:
        raise ResultError(f"the output's name {target.name} is too long by {over:,} bytes: choose a shorter one")
    check_outside(target)
    return target


def check_outside(path: str | Path) -> None:
    """Raise ResultError where a path would lie in a Zarr group: the log or result that it is would hold it too."""
    place = Path(path).absolute()
    for each in () if "://" in str(path) else (place, *place.parents):
        if any(os.path.isfile(each / name) for name in _ZARR):
            raise ResultError(
                f"{path} would lie in {each}, and be read as a part of that Zarr group: choose a place outside of it"
            )


def check_room(path: str | Path, size: int) -> None:
    """Raise ResultError where the disk that a path lies on has less than ``size`` bytes free; a URL has no disk."""
    if "://" in str(path):
        return
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if size > free:
        raise ResultError(
            f"{path} would take {human_bytes(size)}, but its disk has {human_bytes(free)} free: choose another place, "
            "or fewer columns"
        )


def write(result: NewResult, states: Mapping[str, Stored]) -> None:
    """Write states by node: many of a kind in one group, unless a group of their own is begun."""
    alone = dict(states)
    result.has_rows |= any(FEW_ROWS in one.attrs for one in states.values())
    for nodes in to_pack({node: one for node, one in states.items() if node not in result.begun}):
        write_pack(result.shared(nodes), [alone.pop(node) for node in nodes])
    for node, one in alone.items():
        group = result.group(node)
        group.update_attributes(dict(one.attrs))
        for name, (dims, values) in one.arrays.items():
            write_array(group, name, values, dims)


class StoredState(Protocol):
    """A state in a result."""

    @property
    def group(self) -> zarr.Group: ...
    @property
    def attrs(self) -> Mapping[str, Any]: ...
    def __contains__(self, name: str, /) -> bool: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def dtype(self, name: str) -> np.dtype: ...
    def read(self, name: str) -> np.ndarray: ...
    def read_rows(self, name: str, check: Check) -> Iterator[np.ndarray]: ...  # few at a time


class _Alone:
    """One with a group of its own."""

    def __init__(self, group: zarr.Group):
        self.group, self.attrs = group, group.attrs.asdict()

    def __contains__(self, name: str) -> bool:
        return name in self.group

    def shape(self, name: str) -> tuple[int, ...]:
        return stored_array(self.group, name).shape

    def dtype(self, name: str) -> np.dtype:
        return stored_array(self.group, name).dtype

    def read(self, name: str) -> np.ndarray:
        return plain(read_array(self.group, name))

    def read_rows(self, name: str, check: Check) -> Iterator[np.ndarray]:
        return read_rows(self.group, name, check)


def root_of(path: str | Path) -> dict[str, Any] | None:
    """Return the attributes of a result's root; None where there is no result at a path."""
    return None if (root := _root(path)) is None else root.attrs.asdict()


def _root(path: str | Path) -> zarr.Group | None:
    if any(os.path.lexists(each) and not os.path.isfile(each) for each in (Path(path, name) for name in _READ)):
        return None
    try:
        # zarr takes a relative path out of the paths below it wherever it finds it, as that of "t/" in "count/".
        root = zarr.open_group(Path(path).absolute(), mode="r")
        return root if root.attrs.asdict().keys() >= {"covdist", "versions"} else None
    except BROKEN:
        return None


@contextmanager
def open_result(path: str | Path, again: str = "") -> Iterator[dict[str, StoredState]]:
    """Yield the states of a result by node; what zarr raises within the block says that the result is damaged.

    ``again`` is the advice where something can make it again.
    """
    root = _root(path)
    if root is None:
        for name in ("", *_READ):
            check_readable(os.path.join(path, name))
    if root is None or root.attrs["covdist"] not in (_FORMAT, _PACKED, _ROWS):
        raise ResultError(
            f"{path} is not a covdist result of format {_FORMAT} to {_ROWS}, a Zarr group that says so: "
            + (again or "pass what `covdist run -o` or Moments.save wrote")
        )
    with undamaged(path, again or _AGAIN):
        _check_files(path)
        yield _states(root)


def check_readable(path: str) -> None:
    """Raise ResultError where something is there, and the system forbids to read it: that is no damage."""
    if os.path.lexists(path) and not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
        raise ResultError(f"{path} may not be read by this user: get the rights to it, or a copy")


def _check_files(path: str | Path) -> None:
    """Raise ValueError where a folder holds something else than files and folders: to read a pipe may never end."""
    for folder, folders, names in os.walk(path):
        for place in (os.path.join(folder, name) for name in names):
            if not os.path.isfile(place):
                raise ValueError(f"{place} is neither a file nor a folder")
        for name in (*folders, *names):
            check_readable(os.path.join(folder, name))


@contextmanager
def undamaged(path: str | Path, advice: str = _AGAIN) -> Iterator[None]:
    """Raise ResultError where a block finds that something in a result is not what it should be."""
    try:
        yield
    except BROKEN as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ResultError(f"{path} is damaged ({said}): {advice}") from error


def made_from(path: str | Path, kind: Any) -> Any:
    """Return what a result says of the log that it was made from, of a kind; None where it says nothing."""
    with open_result(path):
        found = (root_of(path) or {}).get(MADE_FROM)
        return None if found is None else of_kind(found, kind, MADE_FROM)


def _states(root: zarr.Group) -> dict[str, StoredState]:
    about: dict[str, Any] = of_kind(root.attrs.asdict(), _ROOT, "the root")
    nodes: dict[str, str] = about["nodes"]
    if not nodes:
        raise ValueError("it holds no state")
    packs = {place: members_of(_group(root, place)) for place in about.get("packed", ())}
    numbers = Counter(nodes.values())
    for place, members in packs.items():
        if len(members) != numbers[place]:
            raise ValueError(f"{place} holds {len(members)} states, expected {numbers[place]}")
    return {n: packs[at].popleft() if at in packs else _Alone(_group(root, at)) for n, at in nodes.items()}


def _group(root: zarr.Group, place: str) -> zarr.Group:
    group = opened(root, place) if place else root
    if not isinstance(group, zarr.Group):
        raise ValueError(f"{place} is not a group")
    return group

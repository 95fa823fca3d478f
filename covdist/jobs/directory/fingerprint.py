"""Notices that a job's input has changed, by shapes and by size and time, or etag, of a sample of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec  # type: ignore[import-untyped]

from covdist.limits import limits
from covdist.logs.remote.urls import tag
from covdist.storage.place import Folder
from covdist.storage.secrets import clean, clean_text

_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "manifest.json")
Stat = Callable[[str], list[object]]  # size, and time or etag, of a file


def array_facts(shape: Sequence[int], dtype: object, chunks: object) -> dict[str, Any]:
    return json.loads(json.dumps({"shape": shape, "dtype": str(dtype), "chunks": chunks}))


def fingerprint(
    arrays: Mapping[str, Mapping[str, Any]], paths: Iterable[str], options: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return a JSON-like fingerprint of arrays, by their ``array_facts``, and of local or remote files or folders.

    At most 1,000 files are looked at in all, and none is read.
    """
    paths = list(paths)
    share = max(1, limits().fingerprint_files // max(1, len(paths)))
    files = {clean_text(path): _files(path, share, dict(options or {})) for path in paths}
    return {"arrays": {name: dict(facts) for name, facts in arrays.items()}, "files": files}


def job_id(question: Mapping[str, Any], plan: object, input_now: Mapping[str, Any]) -> str:
    """Return the id of a job: equal for equal questions about equal inputs."""
    text = json.dumps([clean(question), plan, input_now], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Describe the first difference between two fingerprints in a clause, None where they are equal."""
    for name in _either(before["arrays"], now["arrays"]):
        old, new = before["arrays"].get(name), now["arrays"].get(name)
        if old is None or new is None:
            return f"the array {name} {'is new' if old is None else 'is no longer there'}"
        for fact in _either(old, new):
            if old.get(fact) != new.get(fact):
                return f"the {fact} of {name} was {_text(old.get(fact))} and is now {_text(new.get(fact))}"
    for path in _either(before["files"], now["files"]):
        old, new = before["files"].get(path), now["files"].get(path)
        if old is None or new is None:
            return f"the input {path} {'is new' if old is None else 'is no longer part of it'}"
        if old != new:
            return _changed_files(path, old, new)
    return None


def _changed_files(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    before, now = old["sample"], new["sample"]
    changed = [name for name in _either(before, now) if before.get(name) != now.get(name)]
    if old["count"] != new["count"]:
        return f"{path} had {old['count']:,} files and has now {new['count']:,}"
    if not changed:
        return f"files of {path} have other names than before"
    more = f", and {len(changed) - 1} more of the files looked at" if len(changed) > 1 else ""
    return f"{path.rstrip('/')}{'/' if changed[0] else ''}{changed[0]} was written to since{more}"


def _files(path: str, most: int, options: dict[str, object]) -> dict[str, object]:
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    names, stat = _remote(path, options) if "://" in path else _local(path)
    digest = hashlib.blake2b(os.fsencode("\n".join(names)), digest_size=8).hexdigest()
    return {"count": len(names), "names": digest, "sample": {name: stat(name) for name in _sample(names, most)}}


def _sample(names: list[str], most: int) -> list[str]:
    """Return metadata files first, then evenly spaced others with the first and the last among them."""
    metadata = [name for name in names if name.rsplit("/", 1)[-1] in _METADATA][: max(1, most // 2)]
    rest = sorted(set(names) - set(metadata))
    left = most - len(metadata)
    if left < len(rest):
        rest = [rest[i * (len(rest) - 1) // max(1, left - 1)] for i in range(left)]
    return sorted({*metadata, *rest})


def _local(path: str) -> tuple[list[str], Stat]:
    def stat(name: str) -> list[object]:
        info = os.stat(os.path.join(path, name) if name else path)
        return [info.st_size, info.st_mtime_ns]

    if os.path.isdir(path):
        return sorted(Folder(path).walk()), stat
    return [""] if os.path.exists(path) else [], stat


def _remote(url: str, options: dict[str, object]) -> tuple[list[str], Stat]:
    system, root = fsspec.core.url_to_fs(url, **options)
    root = root.rstrip("/")
    system.invalidate_cache()
    names = sorted("" if path == root else path.removeprefix(f"{root}/") for path in system.find(root))

    def stat(name: str) -> list[object]:
        return list(tag(system.info(f"{root}/{name}" if name else root)))

    return names, stat


def _either(a: Iterable[str], b: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

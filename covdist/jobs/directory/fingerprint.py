"""Says whether an input is still what it was: shapes, and the size and time, or etag, of a sample of its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec  # type: ignore[import-untyped]

from covdist.jobs.directory.secrets import clean

_STATS = 1000
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "manifest.json")
_TAGS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")


def array_facts(shape: Sequence[int], dtype: Any, chunks: Any) -> dict[str, Any]:
    """Return what is known of an array without its files, as JSON."""
    return json.loads(json.dumps({"shape": shape, "dtype": str(dtype), "chunks": chunks}))


def fingerprint(
    arrays: Mapping[str, Mapping[str, Any]], paths: Iterable[str], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a JSON-like fingerprint of a job's input.

    Parameters
    ----------
    arrays : mapping {name: array_facts(...)}
    paths : iterable of str
        Files or folders, local or URLs; at most 1,000 files are looked at in all, none is read.
    options : mapping, optional
        Storage options for fsspec; no part of the fingerprint.
    """
    paths = list(paths)
    share = max(1, _STATS // max(1, len(paths)))
    files = {str(clean(path)): _files(path, share, dict(options or {})) for path in paths}
    return {"arrays": {name: dict(facts) for name, facts in arrays.items()}, "files": files}


def job_id(asked: Mapping[str, Any], plan: Any, found: Mapping[str, Any]) -> str:
    """Return the name of a job: the same for the same question about the same input."""
    text = json.dumps([clean(asked), plan, found], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Name in one sentence what changed between two fingerprints, or return nothing."""
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
    changed = [
        name for name in _either(old["sample"], new["sample"]) if old["sample"].get(name) != new["sample"].get(name)
    ]
    if old["count"] != new["count"]:
        return f"{path} had {old['count']:,} files and has now {new['count']:,}"
    if not changed:
        return f"files of {path} have other names than before"
    more = f", and {len(changed) - 1} more of the files looked at" if len(changed) > 1 else ""
    return f"{path.rstrip('/')}{'/' if changed[0] else ''}{changed[0]} was written to since{more}"


def _files(path: str, most: int, options: dict[str, Any]) -> dict[str, Any]:
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    names, stat = _remote(path, options) if "://" in path else _local(path)
    digest = hashlib.blake2b("\n".join(names).encode(), digest_size=8).hexdigest()
    return {"count": len(names), "names": digest, "sample": {name: stat(name) for name in _sample(names, most)}}


def _sample(names: list[str], most: int) -> list[str]:
    """Metadata first, then files evenly spaced, the first and the last among them."""
    metadata = [name for name in names if name.rsplit("/", 1)[-1] in _METADATA][: max(1, most // 2)]
    rest = sorted(set(names) - set(metadata))
    left = most - len(metadata)
    if left < len(rest):
        rest = [rest[i * (len(rest) - 1) // max(1, left - 1)] for i in range(left)]
    return sorted({*metadata, *rest})


def _local(path: str) -> tuple[list[str], Any]:
    def stat(name: str) -> list[Any]:
        found = os.stat(os.path.join(path, name) if name else path)
        return [found.st_size, found.st_mtime_ns]

    if not os.path.isdir(path):
        return [""] if os.path.exists(path) else [], stat
    names = []
    for folder, _, files in os.walk(path):
        inside = os.path.relpath(folder, path).replace(os.sep, "/")
        names += files if inside == "." else [f"{inside}/{name}" for name in files]
    return sorted(names), stat


def _remote(url: str, options: dict[str, Any]) -> tuple[list[str], Any]:
    system, root = fsspec.core.url_to_fs(url, **options)
    root = root.rstrip("/")
    system.invalidate_cache()
    found = system.find(root)
    names = sorted("" if name == root else name.removeprefix(f"{root}/") for name in found)

    def stat(name: str) -> list[Any]:
        info = system.info(f"{root}/{name}" if name else root)
        return [info.get("size"), *(str(info[tag]) for tag in _TAGS if tag in info)][:2]

    return names, stat


def _either(a: Iterable[str], b: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

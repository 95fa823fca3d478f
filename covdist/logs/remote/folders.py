"""Folders behind URLs: what is in them, as their store tells or a page of a web server lists."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote

from covdist.logs.remote.urls import Url, asking, information
from covdist.logs.remote.visit import visit
from covdist.storage.retry import patiently

_PAGE = "text/html"  # as which web servers list a folder
_MOST_PAGE = 32 << 20  # bytes


def is_folder_behind(url: Url) -> bool:
    """Return whether there is a folder; LogError if its store cannot be asked."""
    try:
        if url.web:
            told = information(url)
            return told.get("mimetype") == _PAGE and (told.get("size") or 0) <= _MOST_PAGE
        with asking(url):
            system, path = url.at()
            return bool(patiently(partial(system.isdir, path)))
    except FileNotFoundError:
        return False


def listed(url: Url) -> tuple[list[str], list[str]]:
    """Return the sorted names of files and of folders in a folder, and nothing of what a page names elsewhere."""
    now = visit()
    if now is not None and url in now.listings:
        return now.listings[url]
    with asking(url):
        system, path = url.at()
        system.invalidate_cache(path)  # what it listed before may have grown
        found = patiently(partial(system.ls, path, detail=True))
    names = sorted_names(url, path, found)
    if now is not None:
        now.listings[url] = names
        now.tell(url, {_name(url, path, each): each for each in found})
    return names


def sorted_names(url: Url, path: str, found: Iterable[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the names of files and of folders that fsspec listed for a path."""
    files, folders = set[str](), set[str]()
    for each in found:
        name = _name(url, path, each)
        if name:
            (folders if each["type"] == "directory" else files).add(name)
    return sorted(files), sorted(folders - files)


def _name(url: Url, folder: str, entry: dict[str, Any]) -> str:
    """Return what is directly in a folder by its name there, else an empty text."""
    start, name = folder.strip("/"), str(entry["name"]).strip("/")
    if url.web:
        start = start.partition("?")[0].rstrip("/")
    inner = name.removeprefix(f"{start}/") if start else name
    if (start and inner == name) or (url.web and not {"?", "#"}.isdisjoint(inner)):
        return ""
    inner = unquote(inner) if url.web else inner
    return "" if "/" in inner or inner in ("", ".", "..") or "\0" in inner else inner

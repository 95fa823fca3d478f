"""Looks for files of a log, in local folders and behind URLs, and opens them: regular files inside the folder only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import FileIO

from covdist.errors import LogError
from covdist.logs.remote.files import RemoteFile
from covdist.logs.remote.folders import is_folder_behind, listed
from covdist.logs.remote.urls import Url, asking
from covdist.storage.retry import patiently

# A pipe must not make us wait, and a link must not lead us away.
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFLNK: "a link",
}  # fmt: skip
_MOST_DEPTH = 100  # of folders behind URLs
OpenFile = FileIO | RemoteFile


def is_url(path: str) -> bool:
    """Return whether a path is an address for fsspec; ``open_log`` has made ``file://`` a local path."""
    return "://" in path


def address(path: str) -> Url:
    """Return the address under which fsspec shows what is in a zip file; of other URLs, the URL itself."""
    url = Url(path)
    return url.zipped if url.last.endswith(".zip") and not url.startswith("zip:") else url


def below(path: str, *names: str) -> str:
    """Return the path or address of what lies below another; names may be empty."""
    return Url(path).below(*names) if is_url(path) else "/".join([path.rstrip("/"), *filter(None, names)])


def above(path: str) -> str:
    """Return the path or address of the folder that a file lies in."""
    return Url(path).above if is_url(path) else os.path.dirname(path)


def last_name(path: str) -> str:
    """Return the name of a file or folder at a path or URL."""
    return Url(path).last if is_url(path) else os.path.basename(os.path.abspath(path))


def absolute(path: str) -> str:
    """Return a path that does not depend on the current folder; of URLs, the URL itself."""
    return path if is_url(path) else os.path.abspath(path)


def real(path: str) -> str:
    """Return a path without links; of URLs, the URL itself."""
    return path if is_url(path) else os.path.realpath(path)


def exists(path: str, names: Sequence[str] = ("",)) -> bool:
    """Return whether a file or folder is there, or one of the names in it; LogError if its store cannot be asked."""
    if not is_url(path):
        return any(os.path.exists(os.path.join(path, name) if name else path) for name in names)
    url = address(path)
    try:
        with asking(url):
            system, _ = url.at()
            system.invalidate_cache()  # what it listed before may have grown
            return any(patiently(partial(system.exists, url.below(name).at()[1])) for name in names)
    except FileNotFoundError:  # of the zip file
        return False


def is_folder(path: str) -> bool:
    """Return whether there is a folder at a path or URL; LogError if its store cannot be asked."""
    return is_folder_behind(Url(path)) if is_url(path) else os.path.isdir(path)


def names_in(folder: str) -> tuple[list[str], list[str]]:
    """Return the sorted names of files and of folders, of those that are no links, in a folder or behind a URL."""
    if is_url(folder):
        return listed(Url(folder))
    entries = _entries(folder)
    files = [each.name for each in entries if _is_file(each)]
    return files, [each.name for each in entries if each.is_dir(follow_symlinks=False)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link to one: of one that leads to itself `DirEntry` raises."""
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def first_bytes(path: str, most: int, follow_links: bool = False) -> bytes:
    """Return what a regular file holds, of more than ``most`` bytes one more."""
    if not is_url(path):
        return read_file(path, most, follow_links)[0]
    with RemoteFile(Url(path)) as file:
        return file.read(most + 1) or b""


def for_library(path: str) -> str | RemoteFile:
    """Return what another library opens: a local path, or a file behind a URL."""
    return RemoteFile(Url(path)) if is_url(path) else path


def will_read(path: str, start: int, size: int) -> None:
    """Start the kernel's read-ahead of a part of a file, if it has one."""
    if hasattr(os, "posix_fadvise") and not is_url(path):
        with suppress(OSError, LogError), open_file(path) as file:
            os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)


def open_file(path: str, follow_links: bool = False, size: int | None = None) -> OpenFile:
    """Open a regular file, unbuffered; LogError at links, pipes, devices and folders, without waiting for them.

    Behind a URL its ``size``, where it is known, is not asked for.
    """
    return RemoteFile(Url(path), size) if is_url(path) else _local_file(path, follow_links)


def _local_file(path: str, follow_links: bool) -> FileIO:
    try:
        return FileIO(_opened_file(path, follow_links)[0], "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise _unopened(path, error) from error


def read_file(path: str, most: int, follow_links: bool = False) -> tuple[bytes, os.stat_result]:
    """Return what a regular file holds, of more than ``most`` bytes one more, and what was known of it before.

    As ``open_file``, in half the time.
    """
    try:
        file, found = _opened_file(path, follow_links)
        try:
            return os.read(file, min(found.st_size, most) + 1), found  # takes memory for all that it is asked for
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: str, error: OSError) -> LogError:
    return LogError(f"{path} cannot be opened ({error}): check the permissions, or restore it.")


def _opened_file(path: str, follow_links: bool) -> tuple[int, os.stat_result]:
    found = (os.stat if follow_links else os.lstat)(path)
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISLNK(found.st_mode):
            raise _link(path)
        raise LogError(
            f"{path} is {_KINDS[stat.S_IFMT(found.st_mode)]} where a file is expected: remove it, or restore the file."
        )
    return os.open(path, _READ if follow_links else _READ | _NO_LINK), found


def open_inside(folder: str, key: str, follow_links: bool = False) -> FileIO:
    """Open a file below a folder, where no folder on the way is a link."""
    if not follow_links:
        for end, character in enumerate(key):
            if character == "/" and os.path.islink(way := os.path.join(folder, key[:end])):
                raise _link(way)
    return _local_file(os.path.join(folder, key), follow_links)


def walk(root: str, is_leaf: Callable[[str], bool], follow_links: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from a root, "", downward, in order, with the sorted names of what is not a folder.

    Folders for which ``is_leaf`` holds are not looked into. A link to a folder is refused; where links are followed,
    one that leads back to a folder on the way to it is left out. Behind a URL there are no links.
    """
    return _walk_behind(Url(root), is_leaf) if is_url(root) else _walk_local(root, is_leaf, follow_links)


def _walk_behind(root: Url, is_leaf: Callable[[str], bool]) -> Iterator[tuple[str, list[str]]]:
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        if inner.count("/") > _MOST_DEPTH:
            raise LogError(f"{root} has more than {_MOST_DEPTH} levels of folders, as no log has: name one of them.")
        if not is_leaf(inner):
            names, folders = listed(root.below(inner))
            yield inner, names
            waiting.extend(f"{inner}/{name}".lstrip("/") for name in reversed(folders))


def _walk_local(root: str, is_leaf: Callable[[str], bool], follow_links: bool) -> Iterator[tuple[str, list[str]]]:
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (os.path.realpath(root),))]
    while waiting:
        inner, way = waiting.pop()
        if is_leaf(inner):
            continue
        names, below = [], []
        for entry in _entries(os.path.join(root, inner)):
            if not _is_folder(entry):
                names.append(entry.name)
            elif not entry.is_symlink():
                below.append((f"{inner}/{entry.name}".lstrip("/"), way))
            elif not follow_links:
                raise _link(entry.path)
            elif (real := os.path.realpath(entry.path)) not in way:
                below.append((f"{inner}/{entry.name}".lstrip("/"), (*way, real)))
        yield inner, names
        waiting.extend(reversed(below))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda each: each.name)
    except OSError as error:
        raise LogError(f"{folder} cannot be looked into ({error}): check the permissions.") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _link(path: str) -> LogError:
    return LogError(
        f"{path} is a link, and may lead out of the log: replace it by what it points to, or read it with "
        "follow_links=True (--follow-links)."
    )

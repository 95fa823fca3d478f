"""Looks for files of a log, in local folders and behind URLs, and opens them: regular files inside the folder only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from io import FileIO

import fsspec  # type: ignore[import-untyped]

from covdist.errors import LogError

# A pipe must not make us wait, and a link must not lead us away.
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFLNK: "a link",
}  # fmt: skip


def is_url(path: str) -> bool:
    """Return whether a path is an address for fsspec; ``open_log`` has made ``file://`` a local path."""
    return "://" in path


def address(path: str) -> str:
    """Return the address under which fsspec shows what is in a zip file; of other URLs, the URL itself."""
    return f"zip::{path}" if path.endswith(".zip") and is_url(path) and not path.startswith("zip:") else path


def below(url: str, *names: str) -> str:
    """Return the address of what lies below a URL; names may be empty."""
    return "/".join([url.rstrip("/"), *filter(None, names)])


def exists(path: str, names: Sequence[str] = ("",)) -> bool:
    """Return whether a file or folder is there, or one of the names in it; LogError if its store cannot be asked."""
    if not is_url(path):
        return any(os.path.exists(os.path.join(path, name) if name else path) for name in names)
    try:
        system, root = fsspec.core.url_to_fs(address(path))
        system.invalidate_cache()  # what it listed before may have grown
        return any(system.exists(f"{root.rstrip('/')}/{name}" if name else root) for name in names)
    except FileNotFoundError:  # of the zip file
        return False
    except Exception as error:  # each store raises errors of its own
        raise LogError(
            f"{path} cannot be looked up ({type(error).__name__}: {error}): check the address, the network and your "
            "permissions, and that the package for its protocol is installed."
        ) from error


def open_file(path: str, follow_links: bool = False) -> FileIO:
    """Open a regular file, unbuffered; LogError at links, pipes, devices and folders, without waiting for them."""
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
    return open_file(os.path.join(folder, key), follow_links)


def walk(root: str, is_leaf: Callable[[str], bool], follow_links: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from a root, "", downward, in order, with the sorted names of what is no folder.

    Folders for which ``is_leaf`` holds are not looked into. A link to a folder is refused; where links are followed,
    one that leads back to a folder on the way to it is left out.
    """
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

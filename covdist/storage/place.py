"""``Place``: small files by names such as ``states/0-1-2``, in a local folder or behind a URL that fsspec knows."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

from covdist.given import path_of
from covdist.kernel.library import compiled, function
from covdist.storage.named import named
from covdist.storage.pages import FAILED, WRITTEN, Data, Parts, write_all, write_at_once
from covdist.storage.remote import PARTIAL, Remote
from covdist.storage.turns import Turns

_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # the last of a link in a circle


def place_at(path: str | os.PathLike[str], options: Mapping[str, object] | None = None, durable: bool = True) -> Place:
    """Return the folder at a path, or the objects at a URL with storage options for fsspec; nothing is written yet."""
    text = path_of(path)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    return Remote(text, dict(options or {})) if "://" in text else Folder(os.path.abspath(text), durable)


class Folder:
    """A local folder; ``durable`` files survive a power cut (fsync), and not only the death of the process."""

    def __init__(self, root: str, durable: bool = True):
        self.root, self._durable = root, durable
        self._turns: dict[str, Turns] = {}  # by name of the file beside

    def __repr__(self) -> str:
        return self.root

    def put(self, name: str, *parts: bytes | memoryview) -> None:
        """Write or replace a file in one step, from one or more buffers; a reader sees all of it or none."""
        self._put(name, Parts(parts))

    def add(self, name: str, data: Data) -> bool:
        """Write a file that nobody reads yet; one that is there is replaced in one step. Not durable.

        Returns whether the system's cache may hold it. At its own name a file is made in less time than by ``put``.
        """
        path = os.path.join(self.root, name)
        if (done := write_at_once(os.fsencode(path), data, True)) != FAILED:
            return done == WRITTEN
        try:
            number = self._opened(path, os.O_EXCL)
        except FileExistsError:
            self._put(name, data)
            return True
        try:
            return write_all(number, data)
        except BaseException:
            _remove(path)
            raise
        finally:
            os.close(number)

    def _put(self, name: str, data: Data) -> None:
        path = os.path.join(self.root, name)
        with self._written(path, data) as written:
            try:
                os.replace(written, path)
            except OSError:
                os.replace(written, self._no_folder(path))

    def swap(self, name: str, data: Data, spare: str) -> None:
        """Replace a file in one step by way of a spare one, which others may share and which stays until ``end_swaps``.

        To make a file anew and give it the name of another, as ``put`` does, takes ten times as long or more, and on
        file systems without a journal each file that goes makes those to come slower for a minute. Yet that is what
        is done soon after the last time: who has opened the file before may not have read it.
        """
        turns = self._turns.get(spare)
        if turns is None:
            turns = self._turns[spare] = Turns(os.path.join(self.root, spare + PARTIAL))
        if turns.too_early():
            self._put(name, data)
        else:
            turns.replace(os.path.join(self.root, name), data)

    def end_swaps(self, spare: str) -> None:
        """Remove the spare file that ``swap`` has left, also that of a process that was killed."""
        self._turns.pop(spare, None)
        _remove(os.path.join(self.root, spare + PARTIAL))

    def write_at(self, name: str, offset: int, data: Data) -> bool:
        """Write into a file, which is made where there is none; neither durable nor in one step.

        Of pages maybe the rest of the last one is written too. Returns whether the system's cache holds it.
        """
        number = self._opened(os.path.join(self.root, name), 0)
        try:
            return data.write(number, offset)
        finally:
            os.close(number)

    def let_go(self, name: str, offset: int, size: int) -> None:
        """Have the system begin to write a part of a file to the disk, and forget what of it is there already."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError), open(os.path.join(self.root, name), "rb") as file:  # it may be gone by now
                os.posix_fadvise(file.fileno(), offset, size, os.POSIX_FADV_DONTNEED)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return as many bytes of a file, fewer where it ends before or is not there."""
        try:
            with open(os.path.join(self.root, name), "rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not exist yet, in one step; of several callers exactly one gets True."""
        path = os.path.join(self.root, name)
        with self._written(path, Parts([data])) as written:
            try:
                os.link(written, path)  # unlike a rename it refuses to replace
            except FileExistsError:
                return False
            finally:
                _remove(written)
        return True

    def begin(self, name: str, data: bytes) -> None:
        """Make the folder with one file in it, in one step, unless something is there already.

        Others never see the folder without its file.
        """
        unfinished = f"{self.root}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            with named(unfinished, self.root):
                Folder(unfinished, self._durable).create(name, data)
                os.rename(unfinished, self.root)  # refuses to replace what is not empty
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not (isinstance(error, OSError) and error.errno in _IN_THE_WAY and self.exists()):
                raise

    def append(self, name: str, data: bytes) -> None:
        """Extend a file; after a crash it may end with a part of ``data``."""
        path = os.path.join(self.root, name)
        self._make_room(path)
        if os.path.lexists(path) and not os.path.isfile(path):
            _set_aside(path)
        with open(path, "a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                # A crash may have left a line without its end.
                data = data if file.read(1) == b"\n" else b"\n" + data
            Parts([data]).write(file.fileno(), file.seek(0, os.SEEK_END))

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes, None where there is no file, but nothing, a folder, a pipe or a link in a circle."""
        path = os.path.join(self.root, name)
        if not _is_file(path):
            return None
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def holds(self, *names: str) -> bool:
        """Return whether there are files of all these names; one look at all takes the interpreter's lock once."""
        paths = [os.path.join(self.root, name) for name in names]
        ended = b"".join([os.fsencode(path) + b"\0" for path in paths])
        return (compiled() and function("are_files")(ended, len(paths)) == 1) or all(map(_is_file, paths))

    def remove(self, name: str) -> None:
        _remove(self._no_folder(os.path.join(self.root, name)))

    def prune(self, folder: str) -> None:
        """Remove a folder and this place, as far as they are empty."""
        with suppress(OSError):
            os.rmdir(os.path.join(self.root, folder))
            os.rmdir(self.root)

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder, without the folder."""
        try:
            names = os.listdir(os.path.join(self.root, folder))
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            return []
        return sorted(name for name in names if not name.endswith(PARTIAL))

    def walk(self) -> Iterator[str]:
        """Return the names of all files, in all folders."""
        for folder, _, names in os.walk(self.root):
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            yield from (name if inside == "." else f"{inside}/{name}" for name in names if not name.endswith(PARTIAL))

    def exists(self) -> bool:
        """Return whether anything is there, an empty folder included."""
        return os.path.lexists(self.root)

    def _make_room(self, path: str) -> None:
        folder = os.path.dirname(path)
        if folder != self.root and os.path.lexists(folder) and not os.path.isdir(folder):
            _set_aside(folder)
        os.makedirs(folder, exist_ok=True)

    def _opened(self, path: str, flags: int) -> int:
        flags |= os.O_WRONLY | os.O_CREAT
        try:
            return os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            self._make_room(path)
            return os.open(path, flags, 0o666)

    @staticmethod
    def _no_folder(path: str) -> str:
        """Return a file's path, after moving aside a folder that is there: it cannot be replaced."""
        if os.path.isdir(path) and not os.path.islink(path):
            _set_aside(path)
        return path

    @contextmanager
    def _written(self, path: str, data: Data) -> Iterator[str]:
        unfinished = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            with named(unfinished, path):
                number = self._opened(unfinished, os.O_EXCL)
                try:
                    write_all(number, data)
                    if self._durable:
                        os.fsync(number)
                finally:
                    os.close(number)
                yield unfinished
        except BaseException:
            with suppress(OSError):  # of the first, which says why
                _remove(unfinished)
            raise
        if self._durable:
            _sync_folder(os.path.dirname(path))


Place = Folder | Remote


def _is_file(path: str) -> bool:
    """Return whether there is a file, or a link to one; PermissionError where a folder does not let us ask."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError:
        raise  # os.path.isfile says no
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise


def _set_aside(path: str) -> None:
    """Rename what is in the way of a file, which may be somebody's."""
    with suppress(FileNotFoundError):  # another process was faster
        os.rename(path, f"{path}.{uuid.uuid4().hex[:8]}.aside")


def _sync_folder(path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

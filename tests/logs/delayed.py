"""An object store in this process that answers after a while, counts what it was asked, and how much at once."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import fsspec
from fsspec.asyn import AsyncFileSystem

_PAGE = 1000  # objects that are listed at once
OLD = timedelta(days=1)


class DelayedFileSystem(AsyncFileSystem):
    """Holds objects by their paths, as S3 does: with etags, and without folders."""

    protocol = "delayed"
    objects: ClassVar[dict[str, tuple[bytes, datetime]]] = {}
    asked: ClassVar[Counter[str]] = Counter()
    listed: ClassVar[dict[str, Any]] = {}  # what listings tell otherwise
    before_cat: ClassVar[Callable[[str], None]] = staticmethod(lambda path: None)
    delay = 0.0
    at_once = most_at_once = 0

    @contextmanager
    def _answering(self, what: str, path: str) -> Any:
        cls = type(self)
        cls.asked[what] += 1
        cls.at_once += 1
        cls.most_at_once = max(cls.most_at_once, cls.at_once)
        try:
            yield self._strip_protocol(path)
        finally:
            cls.at_once -= 1

    def _told(self, path: str) -> dict[str, Any]:
        data, written = self.objects[path]
        etag = hashlib.md5(data).hexdigest()
        return {"name": path, "type": "file", "size": len(data), "ETag": f'"{etag}"', "LastModified": written}

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        with self._answering("info", path) as path:
            await asyncio.sleep(self.delay)
            if path in self.objects:
                return self._told(path)
            if any(each.startswith(f"{path}/") for each in self.objects):
                return {"name": path, "type": "directory", "size": 0}
            raise FileNotFoundError(path)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        with self._answering("ls", path) as path:
            inside = {each: each.removeprefix(f"{path}/") for each in self.objects if each.startswith(f"{path}/")}
            await asyncio.sleep(self.delay * max(1, -(-len(inside) // _PAGE)))
            found = [{**self._told(each), **self.listed} for each, inner in inside.items() if "/" not in inner]
            folders = {f"{path}/{inner.partition('/')[0]}" for inner in inside.values() if "/" in inner}
            found += [{"name": each, "type": "directory", "size": 0} for each in sorted(folders)]
            if not found:
                raise FileNotFoundError(path)
            return found if detail else [each["name"] for each in found]

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self._answering("cat", path) as path:
            self.before_cat(path)
            await asyncio.sleep(self.delay)
            if path not in self.objects:
                raise FileNotFoundError(path)
            return self.objects[path][0][start:end]


def delayed(name: str, files: dict[str, bytes], delay: float = 0.0) -> str:
    """Put files, written long ago, into the store, forget what was asked before, and return the URL of their folder."""
    fsspec.register_implementation("delayed", DelayedFileSystem, clobber=True)
    for inner, data in files.items():
        put(f"{name}/{inner}", data, OLD)
    DelayedFileSystem.delay, DelayedFileSystem.most_at_once = delay, 0
    DelayedFileSystem.asked.clear()
    return f"delayed://{name}"


def put(path: str, data: bytes, ago: timedelta = timedelta()) -> None:
    """Write an object."""
    DelayedFileSystem.objects[path] = data, datetime.now(UTC) - ago

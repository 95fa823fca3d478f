"""``RemoteFile``: a file behind a URL, of which ranges of bytes are read."""

from __future__ import annotations

import io
from collections import OrderedDict
from functools import lru_cache, partial
from typing import Any

from covdist.errors import LogError
from covdist.limits import limits
from covdist.logs.remote.urls import Stamp, Url, asking, information, tag
from covdist.logs.remote.visit import visit
from covdist.storage.retry import patiently

_BLOCK = 1 << 16  # bytes that are fetched where fewer are asked for: headers are read in small pieces
_KEPT = 32  # blocks


class RemoteFile(io.RawIOBase):
    """Reads what is asked for in one request, and keeps blocks of small reads.

    ``size`` spares the request for it. A server that sends no ranges is asked for all of a small file.
    """

    def __init__(self, url: Url, size: int | None = None):
        super().__init__()
        now = visit() if size is None else None
        self._head = None if now is None else now.head(url)
        told = self._head.told if self._head else information(url) if size is None else {"size": size}
        if told.get("type") == "directory":
            raise FileNotFoundError(url)
        if told.get("size") is None:
            raise LogError(
                f"{url}: its server does not tell how large it is, so that no part of it can be asked for: download "
                "it, or serve it by one that does."
            )
        # As it was when it was opened.
        self.url, self.size, self.stamp = url, int(told["size"]), self._head.stamp if self._head else tag(told)
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = self._head.blocks if self._head else OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise OSError(f"byte {start + offset:,} is before the start")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(view.nbytes, self.size - self._place))
        stop, filled = self._place + count, 0
        while filled < count:
            at = self._place + filled
            data = self._from(at, stop)
            if not data:
                break
            view[filled : filled + len(data)] = data
            filled += len(data)
        self._place += filled
        return filled

    def _from(self, at: int, stop: int) -> bytes:
        """Return what begins at a place, at least a part of what is wanted."""
        if self._head and (known := self._head.at(at)):
            return known[: stop - at]
        data = self._range(at, stop) if stop - at >= _BLOCK else self._in_block(at)[: stop - at]
        if self._head:
            self._head.keep(at, data)
        return data

    def _in_block(self, at: int) -> bytes:
        """Return what a block has from a place on."""
        first = at - at % _BLOCK
        if first not in self._blocks:
            self._blocks[first] = self._range(first, min(first + _BLOCK, self.size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(first)
        return self._blocks[first][at - first :]

    def _range(self, start: int, stop: int) -> bytes:
        with asking(self.url):
            system, path = self.url.at()
            if self.url.web:
                data = _from_web(self.url, self.size, start, stop)
            else:
                data = bytes(patiently(partial(system.cat_file, path, start=start, end=stop)))
        if len(data) > stop - start:
            raise LogError(f"{self.url}: its store sent {len(data):,} bytes where {stop - start:,} were asked for.")
        return data


def _from_web(url: Url, size: int, start: int, stop: int) -> bytes:
    try:
        return patiently(partial(_web_range, url, size, start, stop))
    except ValueError as error:  # of fsspec, before it would read all
        most = limits().whole_file_bytes
        if size > most:
            raise LogError(
                f"{url} has {size:,} bytes, and its server sends files as a whole only, which are read up to "
                f"{most:,} bytes: download it, or serve it by one that answers requests for ranges."
            ) from error
        return _whole(url, tag(information(url)))[start:stop]


def _web_range(url: Url, size: int, start: int, stop: int) -> bytes:
    system, path = url.at()
    with system.open(path, "rb", size=size, cache_type="none") as file:
        file.seek(start)
        return bytes(file.read(stop - start))


@lru_cache(maxsize=4)
def _whole(url: Url, stamp: Stamp) -> bytes:
    """Return a small file that cannot be read by ranges, kept as long as it is the same."""
    system, path = url.at()
    return bytes(patiently(partial(system.cat_file, path)))

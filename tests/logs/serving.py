"""What is in a local folder, behind a URL: in fsspec's memory, or sent by a web server of this process."""

from __future__ import annotations

import html
import random
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import quote, unquote

import fsspec

_numbers = count()


def in_memory(path: Path) -> str:
    """Copy a file or folder into fsspec's memory, and return its URL."""
    root = f"/served-{next(_numbers)}/{path.name}"
    memory = fsspec.filesystem("memory")
    for file in [path] if path.is_file() else filter(Path.is_file, path.rglob("*")):
        inner = "" if path.is_file() else f"/{file.relative_to(path)}"
        memory.pipe_file(f"{root}{inner}", file.read_bytes())
    return f"memory:/{root}"


class Server(ThreadingHTTPServer):
    """Sends the files of a folder as they are, and pages that list what is in folders."""

    daemon_threads = True

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.ranges, self.sized, self.lists, self.failing = True, True, True, 0.0
        self.pages: dict[str, str] = {}  # in the place of those that list
        self.asked: list[str] = []
        self.sent = 0  # bytes
        self._luck = random.Random(0)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: Path) -> str:
        """Return the URL of a file or folder below the root."""
        return f"http://127.0.0.1:{self.server_port}/{quote(str(path.relative_to(self.root)))}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client does not read to the end."""

    def fails(self) -> bool:
        return self._luck.random() < self.failing


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET, also of one range."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, whole: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".rstrip())
        place = self.server.root / unquote(self.path.partition("?")[0]).strip("/")
        if self.server.fails():
            self._send(503, b"", {}, whole)
        elif place.is_dir() and self.server.lists:
            names = sorted(f"{each.name}{'/' * each.is_dir()}" for each in place.iterdir())
            links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>' for name in names)
            page = self.server.pages.get(self.path.strip("/"), links)
            self._send(200, page.encode(), {"Content-Type": "text/html"}, whole)
        elif not place.is_file():
            self._send(404, b"", {}, whole)
        else:
            data, told = place.read_bytes(), place.stat()
            headers = {"ETag": f'"{told.st_mtime_ns:x}-{told.st_size:x}"', "Content-Type": "application/octet-stream"}
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked and self.server.ranges:
                first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
                self._send(206, data[first : last + 1], headers, whole)
            else:
                self._send(200, data, headers, whole)

    def _send(self, status: int, data: bytes, headers: dict[str, str], whole: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.sized or status != 200:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if whole:
            self.server.sent += len(data)
            self.wfile.write(data)
        self.close_connection = self.close_connection or not self.server.sized

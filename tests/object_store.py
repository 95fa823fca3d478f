"""A server of this process that is like S3, as far as moto is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
_server = pytest.importorskip("moto.server", reason="moto[server] is not installed")


@contextmanager
def serving(bucket: str) -> Iterator[dict[str, Any]]:
    """Make a bucket, and give the storage options with which it is reached."""
    running = _server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        _, port = running.get_host_and_port()
        found = {"key": "testing1", "secret": "testing2", "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
        s3fs.S3FileSystem(**found).mkdir(bucket)
        yield found
    finally:
        running.stop()

"""The cluster that every contender of a case shares."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import psutil
from distributed import Client, LocalCluster

from covdist.engine.cluster import OF_OWN_CLUSTER

_OURS = tuple(("covdist", name) for name in ("open_log", "cov", "var"))


@contextmanager
def cluster(workers: int, scratch: Path) -> Iterator[Client]:
    memory = int(0.9 * psutil.virtual_memory().total / workers)
    with (
        dask.config.set(OF_OWN_CLUSTER),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(scratch),
            silence_logs=logging.ERROR,
        ) as local,
        Client(local) as client,
    ):
        client.run(_import)
        yield client


def _import() -> None:
    # A tiny first run does not reach every worker; covdist imports what a name needs when it is asked for.
    for module, name in (("dask.array", "cov"), ("xarray", "cov"), ("zarr", "open"), *_OURS):
        with suppress(ImportError, AttributeError):
            getattr(importlib.import_module(module), name)


def tidy(client: Client) -> None:
    """Give freed memory back everywhere, so that no contender's peak contains the one before it."""
    _trim()
    client.run(_trim)


def _trim() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)

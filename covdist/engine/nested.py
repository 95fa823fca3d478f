"""Computing from within a task."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask
from dask.system import CPU_COUNT


@contextmanager
def nested() -> Iterator[Callable[[Any], Any]]:
    """Yield a function that computes a collection from within a task: on the task's cluster, or on threads.

    Meanwhile the task occupies none of its worker's threads.
    """
    if not _in_worker():
        # Not the pool that dask's configuration may name: this task occupies one of its threads.
        with ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT) as pool:
            yield lambda collection: collection.compute(scheduler="threads", pool=pool)
        return
    from distributed import worker_client

    with worker_client() as client:
        yield partial(client.compute, sync=True)


def _in_worker() -> bool:
    if "distributed" not in sys.modules:  # which takes a while to import
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True

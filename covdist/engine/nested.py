"""Computes from within a task, for graphs that depend on the results of other tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import get_worker, worker_client


@contextmanager
def nested() -> Iterator[Callable[[Any], Any]]:
    """Yield a function that computes a collection from within a task: on the task's cluster, or on threads.

    Meanwhile the task occupies none of its worker's threads.
    """
    try:
        get_worker()
    except ValueError:
        # Not the pool that dask's configuration may name: this task occupies one of its threads.
        with ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT) as pool:
            yield lambda collection: collection.compute(scheduler="threads", pool=pool)
    else:
        with worker_client() as client:
            yield partial(client.compute, sync=True)

"""Computes from within a task, for what is known only when other tasks have run."""

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
    """Yield what computes a collection from within a task: on the cluster that runs the task, or on threads.

    Meanwhile the task takes up none of its worker's threads.
    """
    try:
        get_worker()
    except ValueError:
        # Never the pool that dask's configuration may name: this task holds one of its threads.
        with ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT) as pool:
            yield lambda collection: collection.compute(scheduler="threads", pool=pool)
    else:
        with worker_client() as client:
            yield partial(client.compute, sync=True)

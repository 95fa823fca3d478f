"""Raises ClusterError when workers stay paused, or restart in a loop, for lack of memory.

On its own, dask would wait for ever, or start the workers again and again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed

from covdist.engine.plan import human_bytes
from covdist.errors import ClusterError

_LOOK, _PAUSE = 3.0, 0.03  # seconds between two looks at workers, and at futures
_STUCK = 12.0  # seconds without a running task, after which a paused worker is taken to stay paused
_WINDOW, _DEATHS = 30.0, 2  # seconds, and restarts of each worker in them: none lives long enough to finish a task
_FEWEST = 3  # restarts in all; at the fourth dask gives up a task, which may be the driver itself
_RESTARTS = "worker-restart-memory"  # topic of the nannies' events
_BUSY = ("executing", "ready", "waiting", "fetch", "flight")  # states of tasks on a worker that makes progress

logger = logging.getLogger(__name__)


class MemoryWatch:
    """Watches the workers' memory while a run waits for them.

    ``need`` are the bytes that one worker needs by the plan. Events before ``since``, by default now, are ignored.
    """

    def __init__(self, client: Client, need: int, since: float | None = None):
        self._client, self._need, self._since = client, need, time.time() if since is None else since
        self._limits: dict[str, int] = {}
        self._looked, self._ran = -_LOOK, time.monotonic()

    def check(self) -> None:
        """Look at the workers, if the last look was some seconds ago.

        Raises ClusterError if they are paused with no memory that they could free, or killed soon after each start.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK or self._client.status != "running":
            return
        self._looked = now
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            restarts = self._client.get_events(_RESTARTS)
        except OSError:  # the scheduler is gone, and waiting for futures will raise that
            return
        self._limits = {at: one["memory_limit"] for at, one in workers.items() if one["memory_limit"]} or self._limits
        self._check_paused(now, workers)
        self._check_restarts(restarts, len(workers))

    def _check_paused(self, now: float, workers: Mapping[str, Any]) -> None:
        paused = [address for address, worker in workers.items() if worker["status"] == "paused"]
        if not paused or any(map(_makes_progress, workers.values())):
            self._ran = now
            return
        logger.debug("paused for lack of memory, with no task running for %.0f s: %s", now - self._ran, paused)
        if now - self._ran >= _STUCK:
            used = max(workers[address]["metrics"]["memory"] for address in paused)
            more = f" and {len(paused) - 1} more" if len(paused) > 1 else ""
            raise ClusterError(
                f"dask has paused the worker {paused[0]}{more} for lack of memory, {human_bytes(used)} used that "
                f"cannot be freed, and no other task runs: {self._advice}"
            )

    def _check_restarts(self, events: Sequence[tuple[float, Any]], workers: int) -> None:
        since = max(self._since, time.time() - _WINDOW)
        restarts = [event for at, event in events if at > since]
        if restarts:
            logger.debug("%d restarts for lack of memory, the last one %s", len(restarts), restarts[-1])
        if len(restarts) >= max(_FEWEST, _DEATHS * workers):
            raise ClusterError(
                f"dask ended workers for lack of memory {len(restarts)} times in {_WINDOW:.0f} seconds, the last one "
                f"{restarts[-1]['worker']} with {human_bytes(restarts[-1]['rss'])} used: {self._advice}"
            )

    def why(self, error: BaseException | None) -> str | None:
        """Return a sentence if an error comes from a lack of memory, else None."""
        if isinstance(error, KilledWorker):
            return (
                f"{error.allowed_failures + 1} workers died while they ran {error.task}, the last one "
                f"{error.last_worker.address}, most often for lack of memory: {self._advice}, or see the workers' logs"
            )
        if isinstance(error, MemoryError):
            return f"a worker ran out of memory ({error}): {self._advice}"
        return None

    @property
    def _advice(self) -> str:
        limits = f" and the smallest limit is {human_bytes(min(self._limits.values()))}" if self._limits else ""
        return (
            f"a worker needs {human_bytes(self._need)} by the plan{limits}; give workers more with --memory-limit, or "
            "choose fewer columns"
        )


def waited_for(client: Client, futures: Sequence[Future[Any]], need: int) -> list[Any]:
    """Return the futures' results, or raise the error of the first that fails, or what ``MemoryWatch.check`` raises."""
    watch = MemoryWatch(client, need)
    results: dict[Future[Any], Any] = {}  # not called as a type: of older versions of distributed a Future has no []
    completed = as_completed(futures, with_results=True)
    try:
        while not completed.is_empty():
            if completed.has_ready():
                future, result = next(completed)
                if future.cancelled():
                    raise ClusterError(
                        "the dask scheduler is gone, and the run with it: with --job a run can be resumed"
                    )
                results[future] = result
                continue
            if not all(future.done() for future in futures):  # else only results are still to arrive
                watch.check()
            time.sleep(_PAUSE)
    except (KilledWorker, MemoryError) as error:
        raise ClusterError(watch.why(error)) from error
    return [results[future] for future in futures]


def _makes_progress(worker: Mapping[str, Any]) -> bool:
    states = ("executing",) if worker["status"] == "paused" else _BUSY
    return any(worker["metrics"]["task_counts"].get(state) for state in states)

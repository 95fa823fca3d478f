"""Says when workers have too little memory, where dask alone would wait for ever or start them again and again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed

from covdist.engine.plan import human_bytes
from covdist.errors import ClusterError

_LOOK, _PAUSE = 3.0, 0.03  # seconds between two looks at workers, and at futures
_STUCK = 12.0  # seconds without a task that runs, after which a paused worker is taken to be so for good
_WINDOW, _DEATHS = 30.0, 2  # each worker started anew so often within so many seconds: none lives long enough
_FEWEST = 3  # deaths in all; with the fourth dask gives up a task, and the driver on a worker may be that task
_RESTARTS = "worker-restart-memory"  # where nannies tell of them
_BUSY = ("executing", "ready", "waiting", "fetch", "flight")  # what tasks are on a worker that gets on


class MemoryWatch:
    """Watches the workers' memory while a run waits for them.

    Parameters
    ----------
    client : Client
    need : int
        Bytes that one worker needs, by the plan.
    since : float, optional
        Seconds since 1970; what happened before is not this run's, now by default.
    """

    def __init__(self, client: Client, need: int, since: float | None = None):
        self._client, self._need, self._since = client, need, time.time() if since is None else since
        self._limits: dict[str, int] = {}
        self._looked, self._ran = -_LOOK, time.monotonic()

    def check(self) -> None:
        """Look now and then.

        Raises
        ------
        ClusterError
            If workers are paused with nothing to let go of, or are ended for their memory as soon as they start.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK or self._client.status != "running":
            return
        self._looked = now
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            restarts = self._client.get_events(_RESTARTS)
        except OSError:  # the scheduler is gone, which whoever waits for futures will say
            return
        self._limits = {at: one["memory_limit"] for at, one in workers.items() if one["memory_limit"]} or self._limits
        self._check_paused(now, workers)
        self._check_restarts(restarts, len(workers))

    def _check_paused(self, now: float, workers: Mapping[str, Any]) -> None:
        paused = [address for address, worker in workers.items() if worker["status"] == "paused"]
        if not paused or any(map(_gets_on, workers.values())):
            self._ran = now
        elif now - self._ran >= _STUCK:
            used = max(workers[address]["metrics"]["memory"] for address in paused)
            raise ClusterError(
                f"dask has paused {_named(paused)} for lack of memory, {human_bytes(used)} used with nothing to let "
                f"go of, and nothing else runs: {self._advice}"
            )

    def _check_restarts(self, events: Sequence[tuple[float, Any]], workers: int) -> None:
        since = max(self._since, time.time() - _WINDOW)
        found = [event for at, event in events if at > since]
        if len(found) >= max(_FEWEST, _DEATHS * workers):
            raise ClusterError(
                f"dask ended workers for lack of memory {len(found)} times in {_WINDOW:.0f} seconds, the last one "
                f"{found[-1]['worker']} with {human_bytes(found[-1]['rss'])} used: {self._advice}"
            )

    def why(self, error: BaseException | None) -> str | None:
        """Return in a sentence what a lack of memory did, or nothing where an error tells of something else."""
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
    """Return the futures' results, or raise what the first of them that fails does.

    Raises
    ------
    ClusterError
        If workers have too little memory to get anywhere.
    """
    watch, results = MemoryWatch(client, need), dict[Future[Any], Any]()
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
            if not all(future.done() for future in futures):  # else results are on their way
                watch.check()
            time.sleep(_PAUSE)
    except (KilledWorker, MemoryError) as error:
        raise ClusterError(watch.why(error)) from error
    return [results[future] for future in futures]


def _gets_on(worker: Mapping[str, Any]) -> bool:
    states = ("executing",) if worker["status"] == "paused" else _BUSY
    return any(worker["metrics"]["task_counts"].get(state) for state in states)


def _named(addresses: list[str]) -> str:
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return f"the worker {addresses[0]}{more}"

"""``DaskRunner``: runs a job's tasks on a dask cluster; the one file here that knows dask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future as LocalFuture
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future

from covdist.engine.memory_watch import MemoryWatch
from covdist.engine.tree import merge_all
from covdist.errors import ClusterError, CovdistError
from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.events import FINISH, FOLD, LOAD, MERGE, Cancel, Done, Event, Failed, Lost, Missing, Task
from covdist.jobs.machine.tree import Node
from covdist.jobs.rounds import MissingState, there

_PAUSE = 0.03  # seconds between two looks; a shard takes half a second
_LOOK = 1.0  # seconds between two looks for workers, and for who wants the job to end
_PRIORITY = {FOLD: 0, LOAD: 10, MERGE: 20}


@dataclass(frozen=True)
class TaskWork:
    """What the tasks of a job do.

    Parameters
    ----------
    job : str
    directory : Directory
    fold : callable
        ``fold(node)`` returns a function that makes the state of a shard, and its arguments.
    merge : callable
        As for ``engine.tree.tree``.
    dumps : callable
        ``dumps(node)`` returns what turns a state that is to be saved into bytes, nothing for one that is not.
    loads : callable
        ``loads(node)`` returns what turns those bytes into the state again.
    finish : callable
        Makes the result of the roots on disk, unless another round follows; raises MissingState for one that is not
        there.
    need : int
        Bytes that a worker needs, by the plan.
    """

    job: str
    directory: Directory
    fold: Callable[[Node], tuple[Any, ...]]
    merge: Callable[[Any, Any], Any]
    dumps: Callable[[Node], Callable[[Any], bytes] | None]
    loads: Callable[[Node], Callable[[memoryview], Any]]
    finish: Callable[[], None]
    need: int


class DaskRunner:
    """A ``Runner`` on a client's cluster.

    Dask would bring back a state whose worker died by doing all again that led to it. The runner tells the machine,
    which starts from the nearest checkpoint, and takes the state away from dask.

    Parameters
    ----------
    client : Client
    work : Work
    driver : str
        Tells the keys of one driver from those of all others: the same question may be asked in two directories.
    stop : callable
        Asked about once a second whether the job is to end.
    since : float
        Seconds since 1970; when this driver, or the one on a worker whose place it takes, was sent off.
    """

    def __init__(self, client: Client, work: TaskWork, driver: str, stop: Callable[[], bool], since: float):
        self._client, self._work, self._driver, self._stop = client, work, driver, stop
        self._futures: dict[Task, Future[Any] | LocalFuture[None]] = {}
        self._here = ThreadPoolExecutor(1, "covdist-finish")
        self._threads, self._looked = 0, -_LOOK
        self._memory = MemoryWatch(client, work.need, since)

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        """Send a task off; where an input is gone ``events`` says both that and that the task is lost."""
        if task.kind == FINISH:
            self._futures[task] = self._here.submit(self._work.finish)
        elif all(one in self._futures for one in inputs):
            function, *arguments = self._call(task, [self._futures[one] for one in inputs])
            self._futures[task] = self._client.submit(
                function, *arguments, key=self._key(task), priority=_PRIORITY[task.kind], pure=False
            )

    def _call(self, task: Task, states: list[Any]) -> tuple[Any, ...]:
        work, node = self._work, task.node
        if task.kind == LOAD:
            return _load, work.directory, work.job, node, work.loads(node)
        make = work.fold(node) if task.kind == FOLD else (merge_all, work.merge, states)
        dumps = work.dumps(node)
        return make if dumps is None else (_saved, work.directory, work.job, node, dumps, *make)

    def _key(self, task: Task) -> str:
        # The kind comes first: dask's pages group keys by it.
        return f"{task.kind}-{self._work.job}-{task.node.name}-{self._driver}-{task.attempt}"

    def stop(self, task: Task) -> None:
        """Take a task back."""
        future = self._futures.pop(task, None)
        if future is not None:
            future.cancel()

    def drop(self, task: Task) -> None:
        """Let dask forget a state."""
        future = self._futures.pop(task, None)
        if isinstance(future, Future):
            future.release()

    def events(self, running: list[Task], holding: list[Task]) -> Iterable[Event]:
        """Look how the tasks are, after a short pause."""
        time.sleep(_PAUSE)
        if self._client.status not in ("running", "connecting"):
            raise ClusterError(
                "the dask scheduler is gone, and the job with it as far as it is not on disk: "
                f"`covdist resume {self._work.directory.path}` goes on elsewhere"
            )
        if any(task.kind != FINISH for task in running):
            self._memory.check()
        found: list[Event | None] = [self._heard_of(task) for task in running]
        found += [self._lost(task) for task in holding if self._status(task) != "finished"]
        if self._due() and self._stop():
            found.insert(0, Cancel())
        return [event for event in found if event is not None]

    def _status(self, task: Task) -> str:
        future = self._futures.get(task)
        if isinstance(future, LocalFuture):
            return "pending" if not future.done() else "error" if future.exception() else "finished"
        return "lost" if future is None else str(future.status)

    def _heard_of(self, task: Task) -> Event | None:
        status = self._status(task)
        if status == "pending":
            return None
        if status == "finished":
            return Done(task)
        if status != "error":
            return self._lost(task)
        error = self._futures[task].exception()
        self.drop(task)
        if isinstance(error, MissingState):
            return Missing(task, error.node)
        return Failed(task, self._memory.why(error) or _reason(error))

    def _lost(self, task: Task) -> Event:
        self.stop(task)  # dask may be at making it again
        return Lost(task)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        if self._client.status == "running":
            self._threads = sum(self._client.nthreads().values())
        return True

    def slots(self) -> int:
        """Return twice the workers' threads, so that none waits for the driver to hear that it is free."""
        if not self._threads:
            self._due()
        return 2 * self._threads

    def close(self) -> None:
        """Leave nothing behind on the cluster."""
        for task in list(self._futures):
            self.stop(task)
        self._here.shutdown(wait=False)


def _saved(
    directory: Directory, job: str, node: Node, dumps: Callable[[Any], bytes], make: Callable[..., Any], *arguments: Any
) -> Any:
    state = make(*arguments)
    directory.save(job, node, dumps(state))
    return state


def _load(directory: Directory, job: str, node: Node, loads: Callable[[memoryview], Any]) -> Any:
    return loads(there(directory, job, node))


def _reason(error: BaseException | None) -> str:
    return str(error) if isinstance(error, CovdistError) else f"of {type(error).__name__}: {error}"

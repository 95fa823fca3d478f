"""``DaskRunner``: runs a job's tasks on a dask cluster; the only file of these that knows dask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future as LocalFuture
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import Any, TypeVar

from distributed import Client, Future

from covdist.engine.memory_watch import MemoryWatch
from covdist.engine.task_names import letters
from covdist.engine.tree import merge_all
from covdist.errors import ClusterError, CovdistError
from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.events import FINISH, FOLD, LOAD, MERGE, Cancel, Done, Event, Failed, Lost, Missing, Task
from covdist.jobs.machine.tree import Node
from covdist.jobs.rounds import MissingState, checkpoint, state_of
from covdist.state.base import merged

S = TypeVar("S")
Call = tuple[Callable[..., object], *tuple[object, ...]]  # a function and its arguments

_POLL_SECONDS = 0.03  # between two looks at the tasks; a shard takes half a second
_LOOK_SECONDS = 1.0  # between two looks for workers and for requests to stop
_PRIORITY = {FOLD: 0, LOAD: 10, MERGE: 20}


@dataclass(frozen=True)
class TaskWork:
    """The functions that the tasks of a job run."""

    job: str
    directory: Directory
    fold: Callable[[Node], Call]  # gives the function that computes a shard's state
    dumps: Callable[[Node], Callable[[Any], bytes] | None]  # ... that turns a state into bytes, None: it is not saved
    loads: Callable[[Node], Callable[[memoryview], object]]  # ... that turns those bytes into the state again
    finish: Callable[[], None]  # writes the result from roots on disk unless a round follows; raises MissingState
    need: int  # bytes that a worker needs by the plan
    label: Callable[[Node], str]  # gives the path of the array that a node is of


class DaskRunner:
    """A ``Runner`` on a client's cluster.

    Where a worker dies, dask would recompute its states from the start. The runner cancels those tasks and reports
    the loss to the machine, which goes on from the nearest checkpoint. ``driver`` is part of all task keys, so that
    drivers of the same question in several directories do not share tasks. ``stop`` is asked about once a second.
    ``since`` is when this driver was sent, in seconds since 1970; where dask runs it again, when the first was.
    """

    def __init__(self, client: Client, work: TaskWork, driver: str, stop: Callable[[], bool], since: float):
        self._client, self._work, self._driver, self._stop = client, work, driver, stop
        self._futures: dict[Task, Future[object] | LocalFuture[None]] = {}
        self._local = ThreadPoolExecutor(1, "covdist-finish")
        self._threads, self._looked = 0, -_LOOK_SECONDS
        self._memory = MemoryWatch(client, work.need, since)

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        """Submit a task; where an input is gone, ``events`` reports both the input and the task as lost."""
        if task.kind == FINISH:
            self._futures[task] = self._local.submit(self._work.finish)
        elif all(needed in self._futures for needed in inputs):
            function, *arguments = self._call(task, [self._futures[needed] for needed in inputs])
            self._futures[task] = self._client.submit(
                function, *arguments, key=self._key(task), priority=_PRIORITY[task.kind], pure=False
            )

    def _call(self, task: Task, states: Sequence[object]) -> Call:
        work, node = self._work, task.node
        if task.kind == LOAD:
            return _load, work.directory, work.job, node, work.loads(node)
        compute: Call = work.fold(node) if task.kind == FOLD else (merge_all, merged, states)
        dumps = work.dumps(node)
        return compute if dumps is None else (_saved, work.directory, work.job, node, dumps, *compute)

    def _key(self, task: Task) -> str:
        # Dask's dashboard groups keys by their first words.
        words = [task.kind, *filter(None, [letters(self._work.label(task.node))])]
        return f"{'-'.join(words)}-{self._work.job}-{task.node.name}-{self._driver}-{task.attempt}"

    def stop(self, task: Task) -> None:
        future = self._futures.pop(task, None)
        if future is not None:
            future.cancel()

    def drop(self, task: Task) -> None:
        """Release a task's state."""
        future = self._futures.pop(task, None)
        if isinstance(future, Future):
            future.release()

    def events(self, running: list[Task], holding: list[Task]) -> Iterable[Event]:
        """Return the events of these tasks, after a short pause."""
        time.sleep(_POLL_SECONDS)
        if self._client.status not in ("running", "connecting"):
            raise ClusterError(
                "the dask scheduler is gone, and the job with it as far as it is not on disk: "
                f"`covdist resume {quote(self._work.directory.path)}` goes on elsewhere"
            )
        if any(task.kind != FINISH for task in running):
            self._memory.check()
        events = [event for task in running if (event := self._event(task)) is not None]
        events += [self._lost(task) for task in holding if self._status(task) != "finished"]
        return [Cancel(), *events] if self._look_due() and self._stop() else events

    def _status(self, task: Task) -> str:
        future = self._futures.get(task)
        if isinstance(future, LocalFuture):
            return "pending" if not future.done() else "error" if future.exception() else "finished"
        return "lost" if future is None else str(future.status)

    def _event(self, task: Task) -> Event | None:
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
        self.stop(task)  # dask may already recompute it
        return Lost(task)

    def _look_due(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        if self._client.status == "running":
            self._threads = sum(self._client.nthreads().values())
        return True

    def slots(self) -> int:
        """Return twice the number of the workers' threads, so that none is idle until the driver looks again."""
        if not self._threads:
            self._look_due()
        return 2 * self._threads

    def close(self) -> None:
        for task in list(self._futures):
            self.stop(task)
        self._local.shutdown(wait=False)


def _saved(
    directory: Directory, job: str, node: Node, dumps: Callable[[S], bytes], compute: Callable[..., S],
    *arguments: object,
) -> S:  # fmt: skip
    state = compute(*arguments)
    directory.save(job, node, dumps(state))
    return state


def _load(directory: Directory, job: str, node: Node, loads: Callable[[memoryview], S]) -> S:
    return state_of(loads, partial(checkpoint, directory, job), node)


def _reason(error: BaseException | None) -> str:
    return str(error) if isinstance(error, CovdistError) else f"of {type(error).__name__}: {error}"

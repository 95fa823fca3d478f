"""What the workers at hand have room for: asked before a graph is built, and heeded while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Condition
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import dask
from dask.typing import Key

from covdist.engine.dask_private import put_together
from covdist.engine.fork import after_fork
from covdist.engine.plan import PROCESS_BYTES, human_bytes
from covdist.errors import PlanError
from covdist.kernel.library import kind, other_kernel

if TYPE_CHECKING:
    from distributed import Client

_ON_CLIENT = (None, "dask.distributed", "distributed")  # what dask's configuration calls its scheduler
_asked: WeakKeyDictionary[Client, set[str]] = WeakKeyDictionary()  # the workers whose kernel is known


class Room(NamedTuple):
    """What a worker has."""

    memory: int  # bytes
    threads: int


def client_here() -> Client | None:
    """Return the client that would compute a collection now; None where its scheduler cannot be asked from here."""
    if "distributed" not in sys.modules or dask.config.get("scheduler", None) not in _ON_CLIENT:
        return None
    from distributed import Client

    try:
        client = Client.current()
    except ValueError:
        return None
    return None if client.asynchronous or client.status != "running" else client


def check_kernels(client: Client) -> None:
    """Raise ClusterError where a worker folds with another kernel than this process; each is asked once."""
    asked = _asked.setdefault(client, set())
    new = client.scheduler_info(n_workers=-1)["workers"].keys() - asked
    # One without covdist says so itself, when it is given a task.
    for name, each in client.run(kind, workers=list(new), on_error="ignore").items() if new else ():
        if each != kind():
            raise other_kernel(f"worker {name}", each, kind())
    asked |= new


def least_room(client: Client) -> Room | None:
    """Return that of the worker with the least memory a thread; None without workers with a limit.

    What workers hold already is not taken off: what of it are results dask spills to disk where a task needs the
    memory, and a choice that followed the moment's use would give the same call other bits from one minute to the next.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    rooms = [Room(worker["memory_limit"], worker["nthreads"]) for worker in workers if worker["memory_limit"]]
    return min(rooms, key=lambda room: (room.memory / room.threads, room.threads), default=None)


def check_whole(size: int, first: Key, count: int) -> None:
    """Raise PlanError in a worker that is to put together an array of so many bytes and has no room for it.

    ``first`` is the key of one of its ``count`` pieces.
    """
    if "distributed" not in sys.modules:
        return
    from distributed import get_worker, worker_client

    try:
        limit = get_worker().memory_manager.memory_limit
    except ValueError:  # not in a worker
        return
    need = PROCESS_BYTES + 2 * size
    if limit is None or need <= limit:
        return
    with worker_client() as client:
        together = client.run_on_scheduler(put_together, first, count)
    if together:
        raise PlanError(
            f"the whole matrix takes {human_bytes(size)}, and to put it together a worker needs {human_bytes(need)} "
            f"but has {human_bytes(limit)}: write it with .to_zarr(...), read parts of it, such as by .isel(...), or "
            "compute it on this machine, by .compute(scheduler='threads')"
        )


class _Running:
    """Counts what the tasks take that run in this process at the same time."""

    def __init__(self) -> None:
        self.bytes, self.changed = 0, Condition()


_running = _Running()


def within(room: int, need: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that takes ``need`` bytes as soon as it fits into ``room`` beside others, or is alone."""
    running = _running
    with running.changed:
        running.changed.wait_for(lambda: running.bytes == 0 or running.bytes + need <= room)
        running.bytes += need
    try:
        return function(*arguments)
    finally:
        with running.changed:
            running.bytes -= need
            running.changed.notify_all()


@after_fork
def _forget_after_fork() -> None:
    global _running
    _running = _Running()

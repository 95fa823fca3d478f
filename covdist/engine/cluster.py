"""Finds the cluster to run on, or starts one on this machine's loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import dask
from distributed import Client, LocalCluster, Security
from distributed.comm.core import connect

from covdist.engine.plan import human_bytes
from covdist.engine.tls import TLS
from covdist.errors import ClusterError
from covdist.limits import limits

logger = logging.getLogger(__name__)

# Failures reach the caller as exceptions; of dask's own log lines only those on memory say more.
_WORKER_LOGGING = {"distributed.nanny.pre-spawn-environ.DASK_LOGGING": {"distributed.worker.memory": "warning"}}
_PATIENCE = 7  # seconds; with the start of the process, a wrong address is reported within ten


@contextmanager
def cluster(
    *,
    scheduler: str | None = None,
    scheduler_file: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    memory_limit: str | int = "auto",
    tls: tuple[str, str, str] | None = None,
) -> Iterator[Client]:
    """Yield a client of a named scheduler, or of a LocalCluster that ends with the block.

    Parameters
    ----------
    scheduler, scheduler_file : str, optional
        Address (``tcp://host:8786``), or the file that ``dask scheduler --scheduler-file`` writes.
    workers, threads : int
        Processes, by default one per core, and threads in each.
    memory_limit : str or int
        Of each worker: bytes, ``"4GiB"``, or ``"auto"``.
    tls : tuple of str, optional
        Files of authority, certificate and key for a named scheduler; by default those of dask's configuration.

    Raises
    ------
    ClusterError
        If no scheduler answers within a few seconds, or it has no workers.
    """
    if scheduler_file is not None:
        scheduler = _address(scheduler_file)
    with ExitStack() as stack:
        if scheduler is not None:
            yield stack.enter_context(_connected(scheduler, tls))
            return
        stack.enter_context(dask.config.set(_WORKER_LOGGING))
        with _interrupts_deferred():
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                memory_limit=memory_limit,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        logger.debug("started %s", local)
        yield client


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C until the workers have started; they inherit the block, so that only this process handles it."""
    resource_tracker.ensure_running()  # started later, it would lift the block in the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _address(scheduler_file: str) -> str:
    try:
        return str(json.loads(Path(scheduler_file).read_text())["address"])
    except FileNotFoundError:
        fault = "does not exist"
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = f"names no scheduler ({type(error).__name__}: {error})"
    raise ClusterError(
        f"scheduler file {scheduler_file} {fault}: start `dask scheduler --scheduler-file {scheduler_file}` first, "
        "or name an address with --scheduler"
    )


def _connected(scheduler: str, tls: tuple[str, str, str] | None) -> Client:
    security = Security() if tls is None else TLS(*tls).security(scheduler)
    try:
        # First without a client: one that fails halfway stays the process's default client.
        asyncio.run(_answers(scheduler, security))
        with dask.config.set({"distributed.comm.timeouts.connect": _PATIENCE}):
            client = Client(scheduler, timeout=_PATIENCE, security=security)
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:  # the last two from TLS
        raise ClusterError(
            f"no dask scheduler answers at {scheduler} within {_PATIENCE} seconds ({error}): check the address, "
            "that `dask scheduler` runs there, and that both ends use TLS with the same authority, or neither does"
        ) from error
    patience = limits().worker_wait_seconds
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        limit = least_memory(client)  # of workers that are paused
        client.close()
        has = "no workers" if limit is None else f"only workers paused for lack of memory ({human_bytes(limit)})"
        raise ClusterError(
            f"the dask scheduler at {scheduler} has {has} after {patience:g} seconds: start one with "
            f"`dask worker {scheduler}{'' if limit is None else ' --memory-limit'}`"
        ) from error
    logger.debug("connected to the scheduler at %s", scheduler)
    return client


async def _answers(scheduler: str, security: Security) -> None:
    comm = await connect(scheduler, timeout=_PATIENCE, **security.get_connection_args("client"))
    await comm.close()


def least_memory(client: Client) -> int | None:
    """Return the smallest memory limit of the workers, in bytes; None if there are none with a limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((worker["memory_limit"] for worker in workers if worker["memory_limit"]), default=None)

"""Finds the cluster to run on and checks what runs there, or starts one on this machine's loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Security
from distributed.comm.core import connect

from covdist.engine.plan import human_bytes
from covdist.engine.room import check_kernels
from covdist.errors import ClusterError
from covdist.limits import limits

logger = logging.getLogger(__name__)

OF_OWN_CLUSTER = {
    # Failures reach the caller as exceptions; of dask's own log lines only those on memory say more.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING": {"distributed.worker.memory": "warning"},
    # What the dashboard shows of event loops and lines of code took 4 % of the time of two cores.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
}
_PATIENCE = 7  # seconds; with the start of the process, a wrong address is reported within ten
_SAME = ("covdist", "dask", "distributed", "numpy")  # packages on which messages or results depend


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

    ``tls`` are PEM files of a named scheduler's authority, this client's certificate and its key; by default those of
    dask's configuration. Raises ClusterError if no scheduler answers within a few seconds, or it has no workers.
    """
    if scheduler_file is not None:
        scheduler = _address(scheduler_file)
    with ExitStack() as stack:
        if scheduler is not None:
            yield stack.enter_context(_connected(scheduler, tls))
            return
        stack.enter_context(dask.config.set(OF_OWN_CLUSTER))
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
    place = Path(scheduler_file)
    try:
        if place.exists() and not place.is_file():  # a pipe would make us wait
            raise ValueError("no file")
        return str(json.loads(place.read_text(encoding="utf-8"))["address"])
    except FileNotFoundError:
        fault = "does not exist"
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = f"names no scheduler ({type(error).__name__}: {error})"
    raise ClusterError(
        f"scheduler file {scheduler_file} {fault}: start `dask scheduler --scheduler-file {scheduler_file}` first, "
        "or name an address with --scheduler"
    )


def _connected(scheduler: str, tls: tuple[str, str, str] | None) -> Client:
    security = Security() if tls is None else _security(scheduler, *tls)
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


def _security(scheduler: str, authority: str, certificate: str, key: str) -> Security:
    if "://" in scheduler and not scheduler.startswith("tls://"):
        raise ClusterError(
            f"{scheduler} is an address without TLS, but certificates were given: write it with tls://, or leave "
            "the certificates out"
        )
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(f"{authority} holds no certificate authority ({error}): pass its ca.pem") from error
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(
            f"{certificate} and {key} are not a certificate and its key ({error}): pass what the same run of "
            "make-certs.sh made"
        ) from error
    return Security(tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)


async def _answers(scheduler: str, security: Security) -> None:
    comm = await connect(scheduler, timeout=_PATIENCE, **security.get_connection_args("client"))
    await comm.close()


def least_memory(client: Client) -> int | None:
    """Return the smallest memory limit of the workers, in bytes; None if there are none with a limit."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return min((worker["memory_limit"] for worker in workers if worker["memory_limit"]), default=None)


def check_versions(client: Client) -> None:
    """Raise ClusterError where client, scheduler and workers would misunderstand each other."""
    versions: Any = client.get_versions(packages=["covdist"])
    here = _relevant(versions["client"])
    workers = {f"worker {name}": each for name, each in versions["workers"].items()}
    for name, each in {"the scheduler": versions["scheduler"], **workers}.items():
        for package, version in _relevant(each).items():
            if version != here[package]:
                raise ClusterError(
                    f"{name} has {package} {version or '(none)'} but here it is {here[package]}: "
                    "install the same on client, scheduler and workers"
                )
    check_kernels(client)


def _relevant(about: dict[str, Any]) -> dict[str, str | None]:
    packages = about["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in _SAME}}

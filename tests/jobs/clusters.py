"""Real schedulers, workers and drivers as processes that can be killed, and logs that take a while to fold."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import zarr
from click.testing import CliRunner
from distributed import Client, Security

import covdist
from covdist.cli import main
from covdist.jobs.job import Job
from covdist.jobs.states import dump_state
from tests.cli.running import COVDIST, DASK, PATIENCE

CHUNK, WIDTH, WRITTEN = 25, 4, 100


def patchy_log(path: Path, chunks: int = 40_000) -> Path:
    """A log of which few chunks were ever written: many shards, some seconds of one core, and no space."""
    rng = np.random.default_rng(3)
    array = zarr.open_group(path, mode="w").create_array(
        "fc1/activation", shape=(chunks * CHUNK, WIDTH), chunks=(CHUNK, WIDTH), dtype="f8",
        dimension_names=("sample", "unit"),
    )  # fmt: skip
    for start in range(0, chunks * CHUNK, chunks // WRITTEN * CHUNK):
        array[start : start + CHUNK] = rng.normal(1e3, 1, (CHUNK, WIDTH))
    return path


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Cluster:
    """A scheduler and workers on loopback, one thread each; with TLS where there are certificates."""

    def __init__(self, place: Path, workers: int, certs: Path | None, limit: str, nanny: bool):
        self.place, self.file, self._certs = place, place / "scheduler.json", certs
        self._limits = ["--memory-limit", limit, *([] if nanny else ["--no-nanny"])]
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        until(self.file.exists)
        self.workers = [self.add_worker() for _ in range(workers)]
        # Commands wait ten seconds for a first worker, and no longer.
        with self.client() as client:
            until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == workers)

    def _start(self, role: str, *words: str) -> subprocess.Popen[bytes]:
        command = [DASK, role, "--host", "127.0.0.1", "--no-dashboard", *words]
        if self._certs is not None:
            own = self._certs / role
            command += ["--protocol", "tls", "--tls-ca-file", str(self._certs / "ca.pem")]
            command += ["--tls-cert", f"{own}.pem", "--tls-key", f"{own}-key.pem"]
        with (self.place / f"{role}.txt").open("ab") as lines:
            return subprocess.Popen(command, stdout=lines, stderr=lines, cwd=self.place)

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def client(self) -> Client:
        own = (
            {}
            if self._certs is None
            else {
                "tls_ca_file": str(self._certs / "ca.pem"),
                "require_encryption": True,
                "tls_client_cert": str(self._certs / "client.pem"),
                "tls_client_key": str(self._certs / "client-key.pem"),
            }
        )
        return Client(self.address, security=Security(**own), set_as_default=False)

    def add_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "--nthreads", "1", *self._limits, "--scheduler-file", str(self.file))

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


@contextlib.contextmanager
def cluster(
    place: Path, workers: int = 2, certs: Path | None = None, *, limit: str = "auto", nanny: bool = False
) -> Iterator[Cluster]:
    place.mkdir(exist_ok=True)
    found = Cluster(place, workers, certs, limit, nanny)
    try:
        yield found
    finally:
        found.end()


@contextlib.contextmanager
def driver(*words: object) -> Iterator[subprocess.Popen[str]]:
    """`covdist` as a process; whatever is left of it and its workers is killed in the end."""
    process = subprocess.Popen(
        [COVDIST, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    family = [psutil.Process(process.pid)]
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family += family[0].children(recursive=True)
        process.kill()
        process.communicate()
        for one in family[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


def idle(found: Cluster) -> None:
    """Wait until no worker is at a task, be it one that was cancelled."""
    with found.client() as client:
        until(lambda: not any(client.run(lambda dask_worker: len(dask_worker.state.executing)).values()))


def saved(path: Path) -> int:
    """Count the checkpoints of a job that may not have begun."""
    return len(list((path / "states").glob("*[0-9]"))) if (path / "states").is_dir() else 0


def bits(path: Path) -> bytes:
    """Return the state of a result or of a finished job, to the last bit."""
    return dump_state(covdist.load(path).state)


def shards(path: Path) -> int:
    return sum(tree.shards for tree in Job(path).directory.trees())


def folds_started(path: Path) -> int:
    """Folds that the last driver started."""
    return int(Job(path).directory.progress()["folds_started"])


def called(*words: object, code: int = 0) -> str:
    """Run a command that starts nothing, in this process."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output

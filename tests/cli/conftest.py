from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from tests.child import child
from tests.jobs.clusters import until

from . import logs
from .running import DASK, PATIENCE


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def log(folder: Path) -> logs.Log:
    return logs.healthy(folder / "log.zarr")


@pytest.fixture(scope="session")
def nan_log(folder: Path) -> logs.Log:
    return logs.with_nan(folder / "nan.zarr")


@pytest.fixture(scope="session")
def endless_log(folder: Path) -> logs.Log:
    return logs.endless(folder / "endless.zarr")


@pytest.fixture(scope="package")
def scheduler_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a scheduler with one worker: two processes of their own, shared by all tests here, and ended
    after them: idle they cost a tenth of a core."""
    place = tmp_path_factory.mktemp("cluster")
    file = place / "scheduler.json"
    scheduler = [DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = [DASK, "worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    with _process([*scheduler, "--scheduler-file", str(file)], place):
        until(file.exists)
        with _process([*worker, "--scheduler-file", str(file), "--local-directory", str(place)], place):
            with Client(scheduler_file=str(file), set_as_default=False) as client:
                client.wait_for_workers(1, timeout=PATIENCE)  # a command waits ten seconds for one
            yield file


@pytest.fixture(scope="package")
def scheduler(scheduler_file: Path) -> str:
    return str(json.loads(scheduler_file.read_text())["address"])


@contextlib.contextmanager
def _process(command: list[str], place: Path) -> Iterator[None]:
    with (place / "log.txt").open("ab") as lines, child(command, stdout=lines, stderr=lines):
        yield

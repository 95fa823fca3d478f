"""Processes that read what was opened in another, and one that reads what may crash it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.logs.serving import Server
from tests.logs.trying import Trying


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls and "dtype" in metafunc.fixturenames:
        metafunc.parametrize("dtype", metafunc.cls.dtypes)  # those that the format knows


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return what serves the test's folder; skipped without the package by which fsspec asks web servers."""
    pytest.importorskip("aiohttp")
    with Server(tmp_path) as running:
        yield running
        running.shutdown()


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def tried() -> Iterator[Trying]:
    trying = Trying()
    yield trying
    trying.close()

"""Processes that read what was opened in another, and one that reads what may crash it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.logs.trying import Trying


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls and "dtype" in metafunc.fixturenames:
        metafunc.parametrize("dtype", metafunc.cls.dtypes)  # those that the format knows


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def tried() -> Iterator[Trying]:
    trying = Trying()
    yield trying
    trying.close()

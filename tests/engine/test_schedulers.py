"""The same data and options give the same bits, wherever and however often tasks run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import covdist
from covdist.logs.dask_arrays import to_dask
from tests.jobs import folded
from tests.jobs.clusters import until
from tests.jobs.folded import Folds

from .fake import FakeSource

# So many chunks that the plan makes eight shards of little data.
ROWS, CHUNK, COLUMNS = 30_300, 3, 5
SOURCE = FakeSource((ROWS, COLUMNS), (CHUNK, COLUMNS))
WEIGHTS = np.linspace(0.5, 1.5, ROWS)


class HoledSource(FakeSource):
    """Single holes, a column that begins late, and a gap over several shards."""

    def __init__(self) -> None:
        super().__init__((ROWS, COLUMNS), (CHUNK, COLUMNS))
        self.token += "-holed"

    def read_chunk(self, index: tuple[int, ...], buffer: np.ndarray | None = None) -> np.ndarray:
        rows = super().read_chunk(index, buffer)
        number = index[0] * CHUNK + np.arange(len(rows))
        rows[number % 7 == 3, 1] = rows[number < ROWS // 2, 2] = rows[abs(number - 12_000) < 6_000, 3] = np.nan
        return rows


def x() -> da.Array:
    return to_dask(SOURCE)


def holed() -> da.Array:
    return to_dask(HoledSource())


def results(array: da.Array) -> tuple[covdist.Moments, ...]:
    return covdist.moments(array, weights=WEIGHTS), covdist.moments(array, by=np.arange(ROWS) % 3)


@pytest.fixture(scope="module")
def expected() -> covdist.Moments:
    return covdist.moments(x()).compute(scheduler="synchronous")


def assert_same_bits(found: covdist.Moments, expected: covdist.Moments) -> None:
    ours, its = found.dataset, expected.dataset
    assert ours.data_vars.keys() == its.data_vars.keys()
    for name in ours:
        assert ours[name].values.tobytes() == its[name].values.tobytes(), name
    for reading in ("cov", "corr"):
        assert getattr(found, reading)().values.tobytes() == getattr(expected, reading)().values.tobytes()


@contextmanager
def processes(workers: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


SOME = [1, 2, pytest.param(4, marks=pytest.mark.slow)]
SLOWLY = [pytest.param(workers, marks=pytest.mark.slow) for workers in (1, 2, 4)]


@pytest.fixture(scope="module")
def workers(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many processes, for all tests that want as many."""
    with processes(request.param):
        yield request.param


def test_the_plan_has_shards_to_share():
    plan = covdist.plan(x())
    assert plan.shards >= 8
    assert plan.tasks > plan.shards


def test_the_result_is_right(expected):
    values = SOURCE.values().astype(np.longdouble)
    np.testing.assert_allclose(expected.cov(), np.cov(values.T, ddof=0).astype(float), rtol=1e-12)


def test_threads(expected):
    assert_same_bits(covdist.moments(x()).compute(scheduler="threads", num_workers=4), expected)


def test_a_persisted_state(expected):
    assert_same_bits(covdist.moments(x()).persist(scheduler="threads").compute(), expected)


@pytest.mark.parametrize("workers", SOME, indirect=True)
def test_processes(workers, expected):
    assert_same_bits(covdist.moments(x()).compute(), expected)


@cache
def filled() -> covdist.Moments:
    """What threads make of it, too."""
    expected = covdist.moments(holed(), missing="interpolate").compute(scheduler="synchronous")
    assert expected.dataset["nans"].values.tolist() == [0, (ROWS + 3) // 7, ROWS // 2, 11_999, 0]
    assert_same_bits(covdist.moments(holed(), missing="interpolate").compute(scheduler="threads"), expected)
    return expected


@pytest.mark.parametrize("workers", SLOWLY[1:], indirect=True)
def test_gaps_filled_in_processes(workers):
    assert_same_bits(covdist.moments(holed(), missing="interpolate").compute(), filled())


@cache
def weighted_and_grouped() -> list[covdist.Moments]:
    return [m.compute(scheduler="synchronous") for m in results(x())]


@pytest.mark.parametrize("workers", SLOWLY, indirect=True)
def test_weights_and_groups_in_processes(workers):
    for found, alone in zip(results(x()), weighted_and_grouped(), strict=True):
        assert_same_bits(found.compute(), alone)


def many() -> da.Array:
    return to_dask(FakeSource((150_000, 3), (3, 3)))


@cache
def of_several_levels() -> covdist.Moments:
    """What threads make of it, too."""
    assert covdist.plan(many()).depth >= 2
    expected = covdist.moments(many()).compute(scheduler="synchronous")
    assert_same_bits(covdist.moments(many()).compute(scheduler="threads"), expected)
    return expected


@pytest.mark.parametrize("workers", SLOWLY, indirect=True)
def test_a_tree_of_several_levels(workers):
    assert_same_bits(covdist.moments(many()).compute(), of_several_levels())


def a_fold_is_done(client: Client) -> bool:
    tasks = list(client.cluster.scheduler.tasks.items())
    return any(str(key).startswith("fold-") and task.state == "memory" for key, task in tasks)


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_worker(which, expected, tmp_path, monkeypatch):
    folds = Folds(tmp_path / "folds", most=1)
    for name, value in folds.environment.items():
        monkeypatch.setenv(name, value)
    with dask.config.set({"distributed.worker.preload": [folded.__file__]}), processes(2) as client:
        future = client.compute(covdist.moments(x()))
        until(lambda: a_fold_is_done(client))
        victim = sorted(client.run(os.getpid).values())[which]
        os.kill(victim, signal.SIGKILL)
        folds.release()
        assert_same_bits(future.result(), expected)
        assert victim not in client.run(os.getpid).values()

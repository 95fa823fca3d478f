"""What is chosen where the workers of the client at hand have little memory."""

from __future__ import annotations

import asyncio
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import Barrier

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import covdist
from covdist.engine.room import client_here, least_room, within
from covdist.errors import PlanError

GIB = 1 << 30
LOCAL = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": "127.0.0.1:0"}
# Workers within this process, whose memory is not theirs alone, only say what they have.
ONLY_SAID = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
IN_HERE = {**LOCAL, "processes": False}


def _wide(columns: int, rows: int = 200) -> da.Array:
    return da.random.default_rng(0).normal(size=(rows, columns), chunks=(min(rows // 4, 500), columns)).astype("f4")


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set(ONLY_SAID),
        LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="1GiB", **IN_HERE) as local,
    ):
        yield local


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        yield client


def test_the_strategy_looks_at_the_workers(client):
    assert covdist.plan(_wide(14_000)).strategy == "tiles"
    assert "of 1 GiB" in covdist.plan(_wide(14_000)).reason
    assert covdist.moments(_wide(14_000)).layout.kind == "tiles"
    assert covdist.cov(_wide(14_000), matrix="auto").chunks[0][0] < 1000
    assert covdist.plan(_wide(5_000)).strategy == "memory"


def test_without_a_client_that_computes_it_nothing_changes(client):
    with dask.config.set(scheduler="threads"):
        assert covdist.plan(_wide(14_000)).strategy == "memory"
    assert covdist.plan(np.zeros((2, 14_000), np.float32)).strategy == "memory"  # is computed here
    assert covdist.plan(_wide(14_000), memory="8GiB").strategy == "memory"


def test_after_a_client_has_closed_nothing_changes(cluster):
    with Client(cluster):
        pass
    assert covdist.plan(_wide(14_000)).strategy == "memory"


def test_keys_are_the_same_wherever_a_plan_is_made(client):
    found = covdist.cov(_wide(14_000)).data.name
    with dask.config.set(scheduler="threads"):
        assert covdist.cov(_wide(14_000), memory="1GiB").data.name == found
    assert covdist.cov(_wide(14_000)).data.name == found


@pytest.mark.parametrize(
    "call",
    [
        lambda: covdist.moments(_wide(14_000), by=np.arange(200) % 2),
        lambda: covdist.cov(_wide(14_000), by=np.arange(200) % 2),
        lambda: covdist.cov(_wide(14_000), matrix="memory"),
        lambda: covdist.cov(_wide(12_000), _wide(12_000)),
        lambda: covdist.spectrum(_wide(14_000), 2, method="exact"),
    ],
    ids=["moments by", "cov by", "memory", "cross", "spectrum"],
)
def test_what_cannot_fit_is_refused_with_both_numbers(client, call):
    with pytest.raises(PlanError, match=r"a worker needs [\d.]+ GiB .* but has 1 GiB: give workers more memory"):
        call()


def test_a_spectrum_is_sketched_where_the_matrix_does_not_fit(client):
    tall = _wide(8_000, 20_000)
    with dask.config.set(scheduler="threads"):
        assert covdist.spectrum(tall, 2).attrs["method"] == "exact"
    assert covdist.spectrum(tall, 2).attrs["method"] == "sketch"
    assert "of 1 GiB" in covdist.spectrum(tall, 2).attrs["reason"]


def test_threads_of_a_worker_share_its_memory():
    tall = _wide(8_000, 100_000)  # more than one shard, so that threads fold at the same time
    with _threads(4, "2GiB"):
        assert least_room(client_here()) == (2 * GIB, 4)
        assert covdist.plan(tall).strategy == "tiles"
        assert covdist.plan(tall).peak(4) <= 2 * GIB
        assert covdist.plan(tall, matrix="memory", memory="64GiB").peak_bytes < 2 * GIB


def test_what_one_thread_can_hold_is_not_refused_where_there_are_more():
    with _threads(4, "1GiB"):
        covdist.cov(_wide(8_000), _wide(2_000))  # four folds and a merge would take 1.4 GiB
        assert covdist.plan(_wide(14_000)).strategy == "tiles"


def _threads(count: int, limit: str):
    stack = ExitStack()
    stack.enter_context(dask.config.set(ONLY_SAID))
    local = LocalCluster(n_workers=1, threads_per_worker=count, memory_limit=limit, **IN_HERE)
    stack.enter_context(Client(stack.enter_context(local)))
    return stack


def test_no_more_folds_run_at_once_than_fit():
    running, most = [], []

    def fold(number: int) -> int:
        running.append(number)
        most.append(len(running))
        together.wait(60)
        time.sleep(0.01)
        running.remove(number)
        return number

    for room, expected in ((250, 2), (1000, 8), (50, 1), (-1, 1)):
        most.clear()
        together = Barrier(expected)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(partial(within, room, 100, fold), range(16))) == list(range(16))
        assert max(most) == expected


def test_the_bits_are_those_of_the_same_strategy_without_a_cluster():
    x = _wide(3_000, 2_000)
    with covdist.limits.changed(least_shard_seconds=0.01), dask.config.set(scheduler="threads"):
        in_memory = covdist.cov(x)[:90].compute()
        in_tiles = covdist.cov(x, memory="330MiB")[:90].compute()
    with covdist.limits.changed(least_shard_seconds=0.01):
        with _threads(2, "8GiB"):
            np.testing.assert_array_equal(covdist.cov(x)[:90].compute(), in_memory)
        with _threads(1, "330MiB"):
            assert covdist.moments(x).matrix is not None
            np.testing.assert_array_equal(covdist.cov(x)[:90].compute(), in_tiles)


def test_a_whole_matrix_larger_than_a_worker_is_refused_before_rows_are_read():
    made = []

    def block(block_info=None):
        made.append(block_info)
        return np.ones(block_info[None]["chunk-shape"], np.float32)

    x = da.map_blocks(block, chunks=((50,) * 4, (4_000,)), dtype="f4", meta=np.empty((0, 0), "f4"))
    with _threads(1, "400MiB"):
        for matrix in (covdist.cov(x), covdist.corr(x), covdist.cov(x, matrix="memory", memory="8GiB")):
            for compute in (
                matrix.compute,
                lambda matrix=matrix: matrix.values,
                lambda matrix=matrix: dask.compute(matrix, covdist.var(x)),
                lambda matrix=matrix: dask.compute([matrix.data, matrix.data + 1]),
            ):
                with pytest.raises(PlanError, match=r"takes 122 MiB, .* needs 494 MiB but has 400 MiB: write it"):
                    compute()
        assert len(made) <= 60  # for each of the twelve those of the first band, at most, and for three those of var
        matrix = covdist.cov(x)
        assert float(matrix[:50].sum()) == 0
        assert float(matrix.persist()[-1, -1]) == 0
        assert matrix.compute(scheduler="threads").shape == (4_000, 4_000)


def test_without_workers_nothing_waits():
    with LocalCluster(n_workers=0, **IN_HERE) as local, Client(local):
        assert least_room(client_here()) is None
        assert covdist.cov(_wide(14_000)).shape == (14_000, 14_000)


def test_with_an_asynchronous_client_nothing_waits():
    async def build():
        local = LocalCluster(n_workers=1, memory_limit="1GiB", **IN_HERE, asynchronous=True)
        async with local, Client(local, asynchronous=True):
            return covdist.cov(_wide(14_000)).shape

    with dask.config.set(scheduler=None):  # an asynchronous client leaves its own behind
        assert asyncio.run(asyncio.wait_for(build(), 60)) == (14_000, 14_000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("reading", "columns", "limit", "threads"),
    [
        (covdist.cov, 16_000, "1.2GiB", 1),
        (covdist.cov, 14_000, "520MiB", 1),
        (covdist.cov, 14_000, "900MiB", 2),
        (covdist.corr, 30_000, "2GiB", 1),
    ],
)
def test_wide_matrices_come_out_of_small_workers(reading, columns, limit, threads):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            LocalCluster(n_workers=2, threads_per_worker=threads, memory_limit=limit, **LOCAL) as local,
            Client(local) as client,
        ):
            x = _wide(columns)
            found = reading(x)
            part = found.isel(unit=slice(0, 3), unit_2=slice(columns - 3, columns)).values
            total = found[:8_000].data.sum().compute()
            assert not client.get_events("worker-restart-memory")
    rows = np.asarray(x, float)
    centred = rows - rows.mean(axis=0)
    if reading is covdist.corr:
        centred /= centred.std(axis=0)
    np.testing.assert_allclose(part, centred[:, :3].T @ centred[:, -3:] / len(rows), atol=1e-12)
    np.testing.assert_allclose(total, (centred[:, :8_000].sum(axis=1) * centred.sum(axis=1)).mean(), rtol=1e-9)

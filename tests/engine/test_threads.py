"""Work on groups is shared among the threads that a task has, with the same results whatever their number."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
from dask.system import CPU_COUNT
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.engine.threads import of_caller, of_task, sharing
from covdist.errors import CovdistError
from covdist.kernel import threads
from covdist.results.deferred import by_group
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances


@pytest.fixture(autouse=True)
def for_few(monkeypatch):
    """Share however little there is to do."""
    monkeypatch.setattr(threads, "_LEAST", 1)


def with_threads(count, function):
    with threads.allowed(lambda: count):
        return function()


@given(st.data())
def test_same_bits_and_errors_with_any_number_of_threads(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, by = rng.normal(size=(90, 4)), rng.integers(0, data.draw(st.integers(1, 12)), 90)
    weights = data.draw(st.sampled_from([None, rng.integers(0, 3, 90), rng.random(90)]))
    for _ in range(data.draw(st.integers(0, 2))):
        x[data.draw(st.integers(0, 89)), 1] = data.draw(st.sampled_from([np.nan, np.inf, 1e308, 0.0]))
    if weights is not None and data.draw(st.booleans()):
        weights = weights.astype(float)
        weights[[7, 50]] = -1.5, -2.5
    missing = data.draw(st.sampled_from(["raise", "drop", "pairwise", "interpolate", "propagate"]))
    ddof = data.draw(st.sampled_from([0, 5, 20]))  # leaves nothing to divide by in some groups

    def found():
        try:
            m = covdist.moments(x, by=by, weights=weights, missing=missing)
            return m.dataset, m.var(ddof), m.cov(ddof), m.corr()
        except CovdistError as error:
            return type(error), str(error)

    alone = with_threads(1, found)
    for count in (2, 3):
        shared = with_threads(count, found)
        assert [type(each) for each in shared] == [type(each) for each in alone]
        assert all(a == b if isinstance(a, str | type) else a.identical(b) for a, b in zip(alone, shared, strict=True))


def test_answers_of_several_dtypes():
    accumulator = Grouped.accumulator(lambda: Variances.accumulator(1))
    accumulator.add(np.arange(6.0)[:, None], by=np.arange(6) // 2)
    state = accumulator.state()

    def rows_or_mean(each):
        return each.rows() if each.mean()[0] < 1 else each.mean()

    for count in (1, 2):
        found = with_threads(count, lambda: by_group(state, rows_or_mean, (5, 1)))
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found[:, 0], [2, 2.5, 4.5, np.nan, np.nan])


def test_values_beyond_float64_do_not_warn_in_other_threads():
    x = np.array([1e300, -1e300] * 4)[:, None]
    found = with_threads(2, lambda: covdist.var(x, by=np.arange(8) // 2).values)
    assert found.ravel().tolist() == [np.inf] * 4


def test_threads_of_a_pool():
    def asked(**options):
        return dask.compute(dask.delayed(of_task)(), **options)[0]

    assert asked(scheduler="threads", num_workers=3) == 3
    assert asked(scheduler="threads", num_workers=1) == 1
    assert asked(scheduler="synchronous") == 1
    assert asked(scheduler="threads") == CPU_COUNT
    with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):
        assert asked(scheduler="threads") == 2


def test_threads_of_a_worker():
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "n_workers": 1}
    for count in (1, 2):
        with Client(**options, threads_per_worker=count) as client:
            assert client.submit(of_task).result() == client.submit(of_caller).result() == count


def test_threads_of_a_caller():
    assert of_caller() == CPU_COUNT
    for option, count in (({"num_workers": 3}, 3), ({"scheduler": "synchronous"}, 1)):
        with dask.config.set(option):
            assert of_caller() == count


def test_what_runs_at_the_same_time_shares_the_threads():
    counts, first_is_in, second_is_out = [], threading.Event(), threading.Event()

    def first():
        with sharing(lambda: 4), sharing(lambda: 100):  # the outer one stands, and counts once
            counts.append(threads._allowed.get()())
            first_is_in.set()
            second_is_out.wait()
            counts.append(threads._allowed.get()())

    def second():
        first_is_in.wait()
        with sharing(lambda: 4):
            counts.append(threads._allowed.get()())
        second_is_out.set()

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(first), pool.submit(second)]:
            each.result()
    assert counts == [4, 2, 4]


def test_folds_and_readings_are_shared(monkeypatch):
    started = []
    plain = threads.ThreadPoolExecutor
    monkeypatch.setattr(threads, "ThreadPoolExecutor", lambda count, name: started.append(count) or plain(count, name))
    x, by = np.random.default_rng(0).normal(size=(90, 4)), np.arange(90) % 9
    with dask.config.set(num_workers=3):
        m = covdist.moments(x, by=by)
        lazy = covdist.moments(da.from_array(x, chunks=30), by=by)
        assert started == [2, 2]  # fold, and state
        m.cov()
        assert started == [2, 2, 2]
        lazy.compute(scheduler="threads", num_workers=2)
        assert started == [2, 2, 2, 1, 1]
        lazy.cov().compute(scheduler="synchronous")
        assert started == [2, 2, 2, 1, 1]

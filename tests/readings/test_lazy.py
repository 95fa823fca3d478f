"""Lazy in, lazy out; nothing is read before it must be, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import covdist
from covdist.limits import changed

from .counting import Counted

VALUES = np.random.default_rng(0).normal(size=(40, 4))
EPOCH = np.arange(40) // 10


def _squares(x: Any) -> Any:
    return x.copy(data=VALUES**2) if isinstance(x, xr.DataArray) else VALUES**2


READINGS = {
    "cov": covdist.cov,
    "corr": covdist.corr,
    "var": covdist.var,
    "cross": lambda x, **options: covdist.cov(x, _squares(x), **options),
    "gradient_stats": covdist.gradient_stats,
    "moments": covdist.moments,
    "dataset": lambda x, **options: covdist.moments(x, **options).dataset,
}
each_reading = pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)


def named(data: Any) -> xr.DataArray:
    return xr.DataArray(data, dims=("step", "unit"), coords={"epoch": ("step", EPOCH)})


@each_reading
@pytest.mark.parametrize("by", [None, "epoch"])
@pytest.mark.parametrize("chunks", [(7, 4), (10, 2)], ids=str)
def test_building_reads_nothing(reading, by, chunks):
    counted = Counted(VALUES, *chunks)
    lazy = reading(named(counted.array), dim="step", by=by)
    assert dask.is_dask_collection(lazy)
    assert not counted.made
    lazy.compute(scheduler="synchronous")
    assert counted.made == counted.every


def test_planning_reads_nothing():
    counted = Counted(VALUES, 7, 4)
    assert covdist.plan(counted.array).work.pieces == 6
    assert not counted.made


@each_reading
def test_numpy_in_computed_out(reading):
    for x, dim in [(VALUES, 0), (named(VALUES), "step")]:
        assert not dask.is_dask_collection(reading(x, dim=dim))


@pytest.mark.parametrize("by", [None, "epoch"])
def test_results_of_the_same_array_share_one_pass(by):
    counted = Counted(VALUES, 7, 4)
    x = named(counted.array)
    options = {"dim": "step", "by": by, "weights": np.linspace(1, 2, 40)}
    results = covdist.cov(x, **options), covdist.cov(x, ddof=1, **options), covdist.corr(x, **options)
    values = dask.compute(*results, covdist.moments(x, **options), scheduler="synchronous")
    assert counted.made == counted.every
    xr.testing.assert_identical(values[0], values[-1].cov())


def test_readings_of_one_state_share_one_pass():
    counted = Counted(VALUES, 7, 4)
    m = covdist.moments(counted.array)
    dask.compute(m.mean(), m.std(), m.cov(), m.corr(), m, scheduler="synchronous")
    assert counted.made == counted.every


def keys(**options: Any) -> set[Any]:
    x = named(da.from_array(VALUES, chunks=(7, 4), name="values"))
    return set(covdist.moments(x, dim="step", **options).__dask_graph__())


OPTIONS: dict[str, Any] = {
    "none": lambda: {},
    "weights": lambda: {"weights": np.linspace(1, 2, 40)},
    "other weights": lambda: {"weights": np.linspace(1, 3, 40)},
    "the same as frequencies": lambda: {"weights": np.ones(40, int)},
    "the same as reliabilities": lambda: {"weights": np.ones(40)},
    "by name": lambda: {"by": "epoch"},
    "other groups": lambda: {"by": (EPOCH + 1) % 3},
    "the same groups, other order": lambda: {"by": EPOCH[::-1].copy()},
    "missing": lambda: {"missing": "drop"},
    "y": lambda: {"y": named(da.from_array(VALUES[:, :2], chunks=(7, 4), name="y"))},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_same_call_makes_the_same_keys(options):
    first = keys(**options())
    # Something else lies where the first call's arrays were.
    assert [keys(weights=np.random.default_rng(i).random(40)) for i in range(3)]
    assert keys(**options()) == first


def test_other_options_make_other_keys():
    found = {name: keys(**options()) for name, options in OPTIONS.items()}
    for name, its in found.items():
        for other in found.keys() - {name}:
            assert its.isdisjoint(found[other]), (name, other)


def test_weights_changed_in_place_make_other_keys():
    weights = np.ones(40)
    before = keys(weights=weights)
    weights[3] = 2
    assert keys(weights=weights).isdisjoint(before)


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        yield client


def test_numpy_arrays_are_not_sent_to_the_current_client(client):
    scheduler = client.cluster.scheduler
    before = scheduler.transition_counter
    for reading in READINGS.values():
        reading(VALUES, dim=0)
        reading(named(VALUES), dim="step", by="epoch")
    assert scheduler.transition_counter == before


def test_the_current_client_computes_what_is_lazy(client):
    scheduler = client.cluster.scheduler
    before = scheduler.transition_counter
    m = covdist.moments(da.from_array(VALUES, chunks=(7, 4))).persist()
    np.testing.assert_allclose(m.cov().compute(), np.cov(VALUES.T, ddof=0), rtol=1e-12)
    assert scheduler.transition_counter > before


@pytest.mark.parametrize("after", [lambda x: x, lambda x: x + 1, lambda x: x[3:, 1:]], ids=["as it is", "more", "part"])
def test_what_a_cluster_keeps_is_folded_there(client, after):
    kept = after(da.from_array(VALUES, chunks=(7, 3)).persist())
    values = after(VALUES)
    for options in ({}, {"matrix": "tiles"}, {"missing": "interpolate"}):
        np.testing.assert_allclose(covdist.cov(kept, **options).compute(), np.cov(values.T, ddof=0), rtol=1e-12)
    np.testing.assert_allclose(covdist.var(kept).compute(), values.var(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(covdist.fill(kept).compute(), values)
    spectrum = covdist.spectrum(kept, 2, method="dual")["eigenvalue"].compute()
    np.testing.assert_allclose(spectrum, np.linalg.eigvalsh(np.cov(values.T, ddof=0))[:-3:-1], rtol=1e-10)
    lazy = after(da.from_array(VALUES, chunks=(7, 3)))
    for found in dask.compute(covdist.cov(kept), covdist.cov(lazy)):  # keys of theirs are not mixed up
        np.testing.assert_allclose(found, np.cov(values.T, ddof=0), rtol=1e-12)


@pytest.mark.parametrize("height", [1, 3, 4])
@pytest.mark.parametrize("by", [None, "epoch"])
@pytest.mark.parametrize("reading", [covdist.cov, covdist.corr], ids=["cov", "corr"])
def test_a_large_matrix_is_made_in_chunks_of_rows_and_the_same(reading, by, height):
    with changed(matrix_chunk_bytes=height * 4 * 8):
        lazy = reading(named(da.from_array(VALUES, chunks=(10, -1))), dim="step", by=by)
    assert lazy.chunks[-2] == {1: (1, 1, 1, 1), 3: (3, 1), 4: (4,)}[height]
    xr.testing.assert_identical(lazy.compute(), reading(named(VALUES), dim="step", by=by))

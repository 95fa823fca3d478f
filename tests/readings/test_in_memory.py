"""What is in memory and fits one shard is folded by the calling thread: as through dask's graph, without one."""

from __future__ import annotations

import threading
from contextlib import suppress

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.highlevelgraph import HighLevelGraph
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist import plugins
from covdist.errors import CovdistError, DataError, NonFiniteError
from covdist.limits import changed
from covdist.numerics.accumulator import RowsAccumulator
from covdist.results.accepted import assembled

rng = np.random.default_rng(12)
X, Y = rng.normal(1e3, 1, size=(60, 5)), rng.normal(size=(60, 5)).astype("f4")
GROUPS, WEIGHTS = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
READINGS = {
    "moments": lambda x, y, **options: covdist.moments(x, y, **options).dataset,
    "fast": lambda x, y, **options: covdist.moments(x, y, precision="fast", **options).dataset,
    "cov": covdist.cov,
    "corr": covdist.corr,
    "columns": lambda x, y, **options: covdist.cov(x, x if y is None else y, pairs="columns", **options),
    "var": lambda x, y, **options: covdist.var(x, ddof=1, **options),
    "std": lambda x, y, **options: covdist.std(x, **options),
    "gradient_stats": lambda x, y, **options: covdist.gradient_stats(x, **options),
}
each_reading = pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)


def lazy(array: np.ndarray | None) -> da.Array | None:
    return None if array is None else da.from_array(array, chunks=-1)


def result(function, *arguments, **options):
    """Return what a call returns, computed, or the type and the sentence of its error."""
    try:
        return function(*arguments, **options).compute(scheduler="synchronous")
    except CovdistError as error:
        return type(error), str(error)


def same(a, b) -> bool:
    if isinstance(a, tuple) or isinstance(b, tuple):
        return a == b
    # A fit and a smallest eigenvalue are only told where the rows are in memory.
    return a.drop_attrs().identical(b.drop_attrs()) and a.attrs.items() >= b.attrs.items()


@given(st.data())
def test_same_bits_and_errors_as_by_a_graph(data):
    reading = READINGS[data.draw(st.sampled_from(list(READINGS)))]
    x, y = X.copy(), data.draw(st.sampled_from([None, Y]))
    holes = data.draw(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 4)), max_size=8))
    for place in holes:
        x[place] = data.draw(st.sampled_from([np.nan, np.inf, 0.0, 1e200, 1e-320]))
    options = {
        "missing": data.draw(st.sampled_from(plugins.names("missing"))),
        "inf": data.draw(st.sampled_from(["raise", "missing"])),
        "by": data.draw(st.sampled_from([None, GROUPS])),
        "weights": data.draw(st.sampled_from([None, WEIGHTS, WEIGHTS / 2])),
    }
    assert same(result(reading, x, y, **options), result(reading, lazy(x), lazy(y), **options))


@pytest.fixture
def no_graphs(monkeypatch):
    def refused(*arguments, **options):
        raise AssertionError("a graph for what one shard holds")

    monkeypatch.setattr(HighLevelGraph, "__init__", refused)


@each_reading
@pytest.mark.parametrize("missing", plugins.names("missing"))
@pytest.mark.parametrize("by", [None, GROUPS], ids=["all", "by"])
@pytest.mark.usefixtures("no_graphs")
def test_no_graph(reading, missing, by):
    with_a_hole = X.copy()
    with_a_hole[3, 2] = np.nan if missing != "raise" else 1
    with suppress(DataError):  # of what a policy does not serve
        reading(with_a_hole, Y, missing=missing, by=by)


@pytest.mark.usefixtures("no_graphs")
def test_no_graph_for_what_xarray_and_lists_hold():
    named = xr.DataArray(X, dims=["step", "unit"], coords={"unit": list("abcde")})
    expected = covdist.cov(X)
    np.testing.assert_array_equal(covdist.cov(named, dim="step"), expected)
    np.testing.assert_array_equal(covdist.cov(X.tolist()), expected)
    np.testing.assert_array_equal(covdist.cov(named.to_pandas()), expected)


@pytest.mark.parametrize("data", [X, lazy(X), X.astype(object)], ids=["numpy", "dask", "objects"])
def test_names_without_coordinates(data):
    found = assembled(data, ["step", "unit"], "x", {"ddof": 0})
    assert found.identical(xr.DataArray(data, dims=["step", "unit"], name="x", attrs={"ddof": 0}))
    assert (found.assign_coords(unit=range(5)) + found).identical(found.assign_coords(unit=range(5)) * 2)
    assert found.indexes == {}
    assert assembled(data, ["step", "unit"]).name is None


def test_only_one_shard_stays_in_the_calling_thread(monkeypatch):
    threads, plain = set(), RowsAccumulator.add

    def noting(*arguments, **vectors):
        threads.add(threading.current_thread())
        return plain(*arguments, **vectors)

    rows = rng.normal(size=(3_000_000, 1))
    monkeypatch.setattr(RowsAccumulator, "add", noting)
    small = covdist.var(X)
    assert threads == {threading.current_thread()}
    threads.clear()
    with changed(least_shard_seconds=1e-4):
        covdist.var(rows)
        np.testing.assert_array_equal(covdist.var(X), small)
    assert threads - {threading.current_thread()}


@changed(strip_columns=2)
def test_strips_of_columns_in_memory_are_one_result_in_memory():
    found = covdist.var(X)
    assert found.chunks is None
    assert found.identical(covdist.var(lazy(X)).compute())


def test_dask_arrays_stay_lazy():
    assert covdist.cov(lazy(X)).chunks is not None
    assert covdist.moments(lazy(X)).deferred.lazy


@each_reading
def test_a_bad_value_is_named(reading):
    x = X.copy()
    x[7, 2] = np.nan
    with pytest.raises(NonFiniteError, match="x holds nan at row 7, column 2"):
        reading(x, None)

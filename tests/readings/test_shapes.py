"""Arrays of any number of axes, and which of them count the samples."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist

from .containers import assert_close, exact, named, quick, rows, wrapped


def expected_cov(values: np.ndarray, **weights: np.ndarray) -> np.ndarray:
    return np.cov(exact(values), ddof=0, **weights)


def lazy(values: np.ndarray, *chunks: int) -> da.Array:
    return da.from_array(values, chunks=chunks)


@quick
@given(st.data())
def test_one_axis_is_one_variable(data):
    values = data.draw(rows(columns=1))[:, 0]
    x = data.draw(wrapped(values, ("sample",)))
    found = covdist.cov(x, dim="sample" if named(x) else 0)
    assert found.dims == ()
    assert_close(found, expected_cov(values), float(expected_cov(values)))


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_one_variable_with_several(kind):
    values = np.random.default_rng(0).normal(size=(20, 3))
    x = values if kind == "numpy" else lazy(values, 6, 2)
    assert_close(covdist.cov(x[:, 0], x), expected_cov(values)[0], 10)
    assert_close(covdist.cov(x, x[:, 0]), expected_cov(values)[:, 0], 10)
    assert_close(covdist.cov(x[:, 0], x[:, 1]), expected_cov(values)[0, 1], 10)


@quick
@given(st.data())
def test_samples_may_run_along_any_axis(data):
    values = data.draw(rows())
    x = data.draw(wrapped(values.T, ("unit", "sample")))
    found = covdist.cov(x, dim="sample" if named(x) else data.draw(st.sampled_from([1, -1])))
    assert_close(found, np.atleast_2d(expected_cov(values)), 1e4)


@quick
@given(st.data())
def test_several_feature_dims_are_stacked(data):
    n, a, b = (data.draw(st.integers(1, 4)) for _ in range(3))
    values = np.random.default_rng(0).normal(size=(n, a, b))
    x = data.draw(wrapped(values, ("sample", "row", "column")))
    found = covdist.cov(x, dim="sample" if named(x) else 0)
    assert_close(found, np.atleast_2d(expected_cov(values)), 10)
    if named(x):
        assert found.dims == ("row_column", "row_column_2")


def cube() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6, 2)), rng.random((4, 6))


@quick
@given(st.data())
def test_several_sample_dims(data):
    values = cube()[0]
    order = data.draw(st.sampled_from(list(permutations(range(3)))))
    dims = tuple(("run", "step", "unit")[axis] for axis in order)
    x = data.draw(wrapped(values.transpose(order), dims))
    axes = ("run", "step") if named(x) else (order.index(0), order.index(1))
    assert_close(covdist.cov(x, dim=axes), expected_cov(values.reshape(24, 3)), 10)


COMBINED = {
    "both lazy": (lambda a: lazy(a, 2, 2, 3), lambda b: lazy(b, 3, 4, 1)),
    "x lazy": (lambda a: lazy(a, 2, 2, 3), np.asarray),
    "y lazy": (np.asarray, lambda b: lazy(b, 2, 2, 2)),
}


@pytest.mark.parametrize(("wrap_x", "wrap_y"), COMBINED.values(), ids=COMBINED)
def test_several_sample_dims_of_x_and_y(wrap_x, wrap_y):
    x, y, _ = cube()
    expected = np.cov(exact(x.reshape(24, 3)), exact(y.reshape(24, 2)), ddof=0)[:3, 3:]
    assert_close(covdist.cov(wrap_x(x), wrap_y(y), dim=(0, 1)), expected, 10)


WEIGHTED: dict[str, tuple[Any, Any]] = {
    "both lazy": (lambda a: lazy(a, 2, 2, 3), lambda w: lazy(w, 3, 4)),
    "x lazy": (lambda a: lazy(a, 2, 2, 3), np.asarray),
    "weights lazy": (np.asarray, lambda w: lazy(w, 2, 2)),
    "named, other order": (
        lambda a: xr.DataArray(lazy(a, 2, 2, 3), dims=("run", "step", "unit")),
        lambda w: xr.DataArray(w.T, dims=("step", "run")),
    ),
}


@pytest.mark.parametrize(("wrap_x", "wrap_w"), WEIGHTED.values(), ids=WEIGHTED)
def test_several_sample_dims_with_weights(wrap_x, wrap_w):
    values, _, weights = cube()
    x = wrap_x(values)
    found = covdist.cov(x, dim=("run", "step") if named(x) else (0, 1), weights=wrap_w(weights))
    assert_close(found, expected_cov(values.reshape(24, 3), aweights=weights.ravel()), 10)


def test_groups_over_several_sample_dims():
    values, _, _ = cube()
    x = xr.DataArray(lazy(values, 2, 2, 3), dims=("run", "step", "unit"), coords={"step": np.arange(6) // 2})
    found = covdist.cov(x, dim=("run", "step"), by="step")
    for group in range(3):
        part = values[:, 2 * group : 2 * group + 2].reshape(8, 3)
        assert_close(found.sel(step=group), expected_cov(part), 10)


def test_lists_are_arrays():
    assert covdist.cov([[1, 2], [3, 6]]).values.tolist() == [[1, 2], [2, 4]]

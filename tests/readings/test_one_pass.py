"""What is asked for together is read once, with the bits it has alone; wide arrays come in strips."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.limits import changed

from .counting import Counted


@pytest.fixture
def log():
    rows = np.random.default_rng(0).normal(size=(4000, 60)) + 5
    counted = Counted(rows, 50, 60)
    return xr.DataArray(counted.array, dims=("sample", "unit")), counted


ASKED = {
    "cov and var": lambda x: (covdist.cov(x, dim="sample"), covdist.var(x, dim="sample")),
    "var and corr": lambda x: (covdist.var(x, dim="sample"), covdist.corr(x, dim="sample")),
    "cov and gradients": lambda x: (covdist.cov(x, dim="sample"), covdist.gradient_stats(x, dim="sample")),
    "moments and var": lambda x: (covdist.moments(x, dim="sample"), covdist.var(x, dim="sample")),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_one_pass_for_all(log, asked):
    x, counted = log
    dask.compute(*asked(x), scheduler="threads")
    assert counted.made == counted.every


def test_variances_have_the_same_bits_with_and_without_a_matrix(log):
    x, _ = log
    var, cov = dask.compute(covdist.var(x, dim="sample"), covdist.cov(x, dim="sample"))
    alone = covdist.var(x, dim="sample").compute()
    np.testing.assert_array_equal(var, alone)
    np.testing.assert_array_equal(np.diag(cov), alone)


@pytest.fixture
def narrow_strips():
    with changed(strip_columns=8, derived_columns=4):
        yield


@pytest.mark.parametrize("chunk", [3, 8, 60])
def test_strips_give_what_the_whole_gives(narrow_strips, chunk):
    rows = np.random.default_rng(1).normal(size=(300, 60)) + 2
    x = xr.DataArray(da.from_array(rows, chunks=(70, chunk)), dims=("step", "param"), coords={"param": np.arange(60)})
    assert covdist.plan(x, dim="step", variances_only=True).strips > 1
    np.testing.assert_allclose(covdist.var(x, dim="step"), rows.var(axis=0), rtol=1e-13)
    stats = covdist.gradient_stats(x, dim="step")
    assert len(stats["variance"].data.chunks[0]) > 1
    stats = stats.compute()
    np.testing.assert_allclose(stats["layer_variance"], rows.var(), rtol=1e-12)
    np.testing.assert_allclose(stats["layer_norm"], np.sqrt((rows**2).sum(axis=1).mean()), rtol=1e-12)
    np.testing.assert_array_equal(stats["param"], np.arange(60))


def test_strips_by_group(narrow_strips):
    rows, groups = np.random.default_rng(2).normal(size=(90, 40)), np.arange(90) % 3
    x = xr.DataArray(da.from_array(rows, chunks=(20, 8)), dims=("step", "param"))
    found = covdist.var(x, dim="step", by=groups)
    for group in range(3):
        np.testing.assert_allclose(found.sel(group=group), rows[groups == group].var(axis=0), rtol=1e-13)

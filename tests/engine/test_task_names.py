"""Tasks are named by what they do, as far as dask's dashboard shows names."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.utils import key_split
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.engine.task_names import letters


def shown_for(lazy) -> set[str]:
    return {key_split(key) for key in dict(lazy.__dask_graph__())}


def rows(name: str) -> xr.DataArray:
    return xr.DataArray(da.zeros((400_000, 512), chunks=(10_000, 512)), dims=("sample", "unit"), name=name)


def test_folds_and_merges_name_the_array():
    found = shown_for(covdist.moments(rows("activation"), dim="sample"))
    assert {"fold-activation", "merge-activation"} <= found
    found = shown_for(covdist.moments(rows("input"), rows("grad_norm"), dim="sample"))
    assert {"fold-input-grad-norm", "merge-input-grad-norm"} <= found
    assert "fold-moments" in shown_for(covdist.moments(rows("7"), dim="sample"))


def test_readings_name_what_is_read():
    with dask.config.set({"optimization.fuse.active": False}):
        assert "read-correlation" in shown_for(covdist.corr(rows("activation"), dim="sample"))


@pytest.mark.parametrize("name", ["<script>", "a b\x1b[31m", "層", "x" * 500, "deadbeef", "1/2"])
def test_odd_names_make_tasks_that_run(name):
    x = xr.DataArray(np.eye(4), dims=("sample", "unit"), name=name).chunk(sample=2)
    np.testing.assert_array_equal(covdist.moments(x, dim="sample").compute().mean(), 0.25)


@given(st.text(max_size=90))
def test_letters_are_what_dask_shows(name):
    found = letters(name)
    assert len(found) <= 40
    assert all(word.isalpha() for word in found.split("-") if found)

"""What is told of rows: which values are missing, and what a plan reads of them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .drawing import X, by_epoch, drawn, rows


def test_missing_values_by_column_group_and_row():
    x = X.copy()
    x[:40, 2] = np.nan
    x[5, 0] = np.inf
    counted = covdist.plot.missing(covdist.moments(x, missing="drop", inf="missing"))
    np.testing.assert_allclose([bar.get_height() for bar in counted.patches], [1 / 120, 0, 1 / 3, 0, 0, 0])
    assert counted.get_title() == "Missing values: 41 of 720"
    by = covdist.plot.missing(by_epoch(x, missing="pairwise", inf="missing")).images[0].get_array()
    np.testing.assert_allclose(by[:, 2], [1, 0, 0])
    for given in (rows(x), rows(x).chunk(sample=7)):
        ax = covdist.plot.missing(given)
        np.testing.assert_array_equal(ax.images[0].get_array(), ~np.isfinite(x))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("unit (6)", "sample (120)")
    long = xr.DataArray(np.where(np.arange(1100) < 550, np.nan, 1.0), dims="step")
    ax = covdist.plot.missing(long)
    assert ax.get_title() == "Missing values: 550 of 1,100, means of 3 × 1"
    assert ax.images[0].get_array()[:183].min() == 1
    with pytest.raises(DataError, match="dim='epochs' is not a dim of the rows"):
        covdist.plot.missing(long, dim="epochs")


def test_a_plan_beside_what_was_measured():
    plan = covdist.plan(da.zeros((1000, 8), chunks=(100, 8)))
    ax = drawn(covdist.plot.plan(plan, measured={"bytes_read": 5000, "peak_bytes": 2**20}))
    assert [bar.get_width() for bar in ax.patches][:2] == [plan.bytes_read, plan.peak_bytes]
    assert ax.lines[0].get_xdata().tolist() == [5000, 2**20]
    two = covdist.plot.plan({"a": plan, "b": plan})
    assert [bar.get_width() for bar in two.patches][:2] == [2 * plan.bytes_read, plan.peak_bytes]
    with pytest.raises(DataError, match="measured has seconds"):
        covdist.plot.plan(plan, measured={"seconds": 1})

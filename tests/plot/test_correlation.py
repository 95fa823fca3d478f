"""Matrices: the order and colours of their columns, blocks of wide ones, and what is no matrix."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .drawing import RNG, X, by_epoch, drawn, rows, texts


def test_correlations_are_in_clustered_order_with_symmetric_colours():
    x = RNG.normal(size=(200, 3))[:, [0, 1, 2, 0, 1, 2]] + 0.1 * RNG.normal(size=(200, 6))
    ax = covdist.plot.correlation(covdist.moments(x))
    (image,) = ax.images
    order = [int(text) for text in texts(ax.get_xticklabels())]
    assert sorted(order) == list(range(6))
    assert [{order[i] % 3 for i in (j, j + 1)} for j in (0, 2, 4)] == [{order[j] % 3} for j in (0, 2, 4)]
    np.testing.assert_array_equal(image.get_array(), covdist.corr(x).values[np.ix_(order, order)])
    assert image.get_clim() == (-1, 1)
    assert ax.get_xlabel() == "unit (6, clustered)"
    given = covdist.plot.correlation(covdist.corr(x), order="given")
    np.testing.assert_array_equal(given.images[0].get_array(), covdist.corr(x))


def test_other_matrices_have_limits_of_their_own():
    cov = covdist.cov(X * 1e-100)
    ax = covdist.plot.correlation(cov)
    most = float(abs(cov).max())
    assert ax.images[0].get_clim() == (-most, most)
    assert ax.get_title() == "Covariance"


def test_wide_matrices_are_averaged_in_blocks_and_say_so():
    x = RNG.normal(size=(50, 1100))
    ax = covdist.plot.correlation(covdist.moments(x), order="given")
    corr = np.corrcoef(x.T)
    assert ax.get_title() == "Correlation, means of 3 × 3"
    image = ax.images[0].get_array()
    assert image.shape == (367, 367)
    np.testing.assert_allclose(image[1, 5], corr[3:6, 15:18].mean())
    np.testing.assert_allclose(image[366, 366], corr[1098:, 1098:].mean())
    assert ax.images[0].get_clim()[1] == np.abs(image[~np.eye(367, dtype=bool)]).max()


def test_very_wide_lazy_matrices_are_averaged_before_they_are_computed():
    lazy = xr.DataArray(da.ones((5000, 5000), chunks=500), dims=("unit", "unit_2"), name="corr")
    ax = covdist.plot.correlation(lazy)
    assert (ax.get_title(), ax.get_xlabel()) == ("Corr, means of 10 × 10", "unit (5,000)")
    assert ax.images[0].get_array().shape == (500, 500)


@pytest.mark.parametrize("missing", ["propagate", "pairwise"])
def test_columns_without_values_are_grey_and_last(missing):
    x = X.copy()
    x[:, 1] = np.nan
    x[:, 3] = 2.0
    ax = drawn(covdist.plot.correlation(covdist.moments(x, missing=missing)))
    assert texts(ax.get_xticklabels())[-2:] == ["1", "3"]
    assert np.ma.getmaskarray(ax.images[0].get_array())[:, -2:].all()
    everything = covdist.moments(np.full((5, 3), np.nan), missing=missing)
    assert np.ma.getmaskarray(drawn(covdist.plot.correlation(everything)).images[0].get_array()).all()
    drawn(covdist.plot.spectrum(everything)) if missing == "propagate" else None


def test_one_column_and_x_with_y():
    assert covdist.moments(X[:, 0]).plot().images[0].get_array().tolist() == [[1.0]]
    assert covdist.moments(X, X[:, 0]).plot().images[0].get_array().shape == (6, 1)
    ax = covdist.moments(X, X[:, [5, 0]]).plot()
    np.testing.assert_allclose(
        np.sort(ax.images[0].get_array(), axis=None), np.sort(covdist.corr(X, X[:, [5, 0]]), None)
    )


def test_groups_share_an_order_and_many_are_left_out():
    grid = by_epoch().plot()
    assert len({tuple(texts(panel.get_xticklabels())) for panel in grid.axs.flat}) == 1
    many = covdist.moments(X, by=np.arange(120) // 4)
    grid = covdist.plot.spectrum(many)
    assert len([panel for panel in grid.axs.flat if panel.get_visible()]) == 12
    assert grid.fig.get_suptitle() == "Spectrum (12 of 30 groups)"
    assert grid.axs.flat[11].get_title() == "group 29"
    two = covdist.moments(rows(label=("sample", np.arange(120) % 2)), dim="sample", by=("epoch", "label")).plot()
    assert two.axs.flat[1].get_title() == "epoch 0, label 1"


@pytest.mark.parametrize("bad", [covdist.var(X), covdist.corr(X, X, pairs="columns"), xr.DataArray(np.array([["a"]]))])
def test_what_is_no_matrix_is_refused(bad):
    with pytest.raises(DataError, match="draws a matrix of numbers along the last two dims, found"):
        covdist.plot.correlation(bad)


def test_states_without_a_matrix_are_refused():
    with pytest.raises(DataError, match="needs a state of kind"):
        covdist.moments(X, state="variances").plot()
    with pytest.raises(DataError, match="found the dims"):
        covdist.moments(X, X, state="columnwise").plot()
    with pytest.raises(DataError, match="order='sorted'"):
        covdist.moments(X).plot(order="sorted")


@pytest.mark.filterwarnings("error")
def test_matrices_with_infinite_values_keep_the_order_of_the_others():
    """Everything was alike beside infinity."""
    x = np.column_stack([X[:, 0], 1e200 * X[:, 1], X[:, 2], -X[:, 0]])
    matrix = covdist.corr(x)
    matrix[1, 1] = np.inf
    ax = covdist.plot.correlation(matrix)
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert abs(names.index("0") - names.index("3")) == 1

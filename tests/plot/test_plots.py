"""Each plot: on which axes it draws, panels of groups, what it refuses, and by what names it is found."""

from __future__ import annotations

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from xarray.plot.facetgrid import FacetGrid

import covdist
from covdist import plugins
from covdist.errors import DataError

from .drawing import LOG, X, by_epoch, drawn, rows, texts

ODD = ["a$x$", "_own", "<script>alert(1)</script>", "\x1b[31mred", "$", "\\frac{$", "%&#^{}~"]
GIVEN = {
    "correlation": covdist.moments(X),
    "drift": by_epoch(),
    "gradients": {"fc1": covdist.moments(X * 1e-6), "head": covdist.moments(X)},
    "health": covdist.health(LOG, by=()).compute(),
    "missing": covdist.moments(X, missing="drop"),
    "plan": covdist.plan(da.zeros((1000, 8), chunks=(100, 8))),
    "similarity": covdist.similarity({"fc1": X, "fc2": X[:, :2]}),
    "spectrum": covdist.moments(X),
}
GROUPED = {
    "correlation": by_epoch(),
    "gradients": {"fc1": by_epoch(X * 1e-6), "head": by_epoch()},
    "health": covdist.health(LOG, by="epoch").compute(),
    "similarity": covdist.similarity({"fc1": rows(), "fc2": rows()[:, :2]}, dim="sample", by="epoch"),
    "spectrum": by_epoch(),
}


@pytest.mark.parametrize("name", plugins.names("plot"))
def test_each_draws_on_given_axes_or_new_ones_with_title_and_labels(name):
    plot = getattr(covdist.plot, name)
    figure, ax = plt.subplots()
    assert plot(GIVEN[name], ax=ax) is ax
    new = drawn(plot(GIVEN[name]))
    assert isinstance(new, Axes)
    assert new.figure is not figure
    assert new.get_title()
    assert new.get_ylabel() or texts(new.get_yticklabels())


@pytest.mark.parametrize("name", GROUPED)
def test_groups_have_a_panel_each(name):
    grid = drawn(getattr(covdist.plot, name)(GROUPED[name]))
    assert isinstance(grid, FacetGrid)
    assert [panel.get_title() for panel in grid.axs.flat] == ["epoch 0", "epoch 1", "epoch 2"]
    with pytest.raises(DataError, match="ax= has room for one picture, found groups by 'epoch'"):
        getattr(covdist.plot, name)(GROUPED[name], ax=plt.subplots()[1])


@pytest.mark.parametrize("name", plugins.names("plot"))
@pytest.mark.parametrize("given", [None, 3, "fc1", {}, xr.Dataset()], ids=str)
def test_what_is_nothing_of_the_kind_is_refused_in_a_sentence(name, given):
    with pytest.raises(DataError, match="found"):
        getattr(covdist.plot, name)(given)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", plugins.names("plot"))
def test_a_missing_package_is_named_with_the_extra(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(DataError, match=r"plots need the package matplotlib .*: pip install 'covdist\[plot\]'"):
        getattr(covdist.plot, name)(GIVEN[name])


def test_names_are_found_and_complete():
    assert set(plugins.names("plot")) == set(covdist.plot.__all__) == set(GIVEN)
    assert set(GIVEN) <= set(dir(covdist.moments(X).plot))
    assert all(callable(getattr(covdist.plot, name)) for name in GIVEN)
    with pytest.raises(AttributeError, match="there is no plot 'corelation', only correlation, drift"):
        covdist.moments(X).plot.corelation  # noqa: B018


def test_methods_of_moments_draw_the_same():
    m = covdist.moments(X)
    np.testing.assert_array_equal(m.plot().images[0].get_array(), covdist.plot.correlation(m).images[0].get_array())
    np.testing.assert_array_equal(m.plot.spectrum(k=3).lines[0].get_ydata(), m.spectrum(3)["eigenvalue"])


def test_odd_names_are_text():
    layers = {name: covdist.moments(X[:, i : i + 2]) for i, name in enumerate(ODD[:5])}
    shown = ["a$x$", "_own", "<script>alert(1)</script>"[:11] + "…" + "<script>alert(1)</script>"[-12:]]
    ax = drawn(covdist.plot.gradients(layers))
    assert texts(ax.get_xticklabels())[:3] == shown
    assert texts(ax.get_xticklabels())[3:] == [r"\x1b[31mred", "$"]
    assert not any(each.get_parse_math() for each in ax.get_xticklabels())
    dims = {"$u$": ODD, "$u$_2": ODD}
    ax = drawn(
        covdist.plot.correlation(xr.DataArray(np.eye(7), dims=list(dims), coords=dims, name="$r$"), order="given")
    )
    assert texts(ax.get_yticklabels())[:2] == ODD[:2]
    assert (ax.get_title(), ax.title.get_parse_math()) == ("$r$", False)
    drift = drawn(covdist.plot.drift({name: by_epoch(X[:, :2]) for name in ODD}))
    assert texts(drift.get_legend().get_texts())[:2] == ["a$x$", "_own"]

"""Layers beside each other, and what changes from group to group: health, similarity, drift."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .drawing import EPOCH, LOG, X, by_epoch, drawn, rows, texts


def test_health_has_a_colour_and_a_number_for_each_question():
    ax = drawn(covdist.plot.health(LOG, by=()))
    found = covdist.health(LOG, by=())
    colours = ax.images[0].get_array()
    assert colours.shape == (3, 5)
    assert (colours[:, 0] == np.where(found["vanishing"], 2, 1)).all()
    assert (colours[:, 2] == 0).all()  # without bounds nobody knows what is saturated
    assert texts(ax.texts)[0] == f"{float(found['relative'][0]):.1e}"
    assert texts(ax.get_legend().get_texts()) == ["fine", "a finding", "not known"]


def test_similarity_is_in_the_order_of_depth():
    expected = covdist.similarity(LOG)
    ax = covdist.plot.similarity(LOG)
    np.testing.assert_array_equal(ax.images[0].get_array(), expected)
    assert texts(ax.texts)[1] == f"{float(expected[0, 1]):.2f}"
    assert ax.get_title() == "Similarity of layers (cka)"
    assert covdist.plot.similarity(LOG, method="procrustes").get_title().endswith("(procrustes)")
    with pytest.raises(DataError, match="method is of"):
        covdist.plot.similarity(expected, method="cca")
    with pytest.raises(DataError, match="layers with layers"):
        covdist.plot.similarity(xr.DataArray([1.0]))


def test_drift_is_the_distance_from_each_group_to_the_next():
    m = by_epoch(X + EPOCH[:, None] ** 2)
    shift, distance, corr = (line.get_ydata() for line in covdist.plot.drift(m).lines)
    for number in (0, 1):
        a, b = m.sel(epoch=number), m.sel(epoch=number + 1)
        found = covdist.compare(a, b)
        np.testing.assert_allclose([shift[number], corr[number]], [found["mean_shift"], found["corr_change"]])
        np.testing.assert_allclose(distance[number], np.sqrt(covdist.frechet(a, b) / a.var().sum()))
    tiny = covdist.plot.drift(by_epoch(1e-200 * (X + EPOCH[:, None] ** 2)))
    np.testing.assert_allclose(tiny.lines[0].get_ydata(), shift)
    assert len(tiny.lines) == 2
    assert len(covdist.plot.drift(by_epoch(state="variances")).lines) == 1


def test_drift_of_layers_many_groups_and_refusals():
    ax = covdist.plot.drift({"a": by_epoch(), "b": by_epoch(X[:, :2]), "c": covdist.moments(X)})
    assert texts(ax.get_legend().get_texts()) == ["a", "b"]
    many = covdist.plot.drift(covdist.moments(np.tile(X, (5, 1)), by=np.arange(600) // 2))
    assert many.get_title() == "Drift, each group from the one before (200 of 300 groups)"
    both = rows(label=("sample", np.arange(120) % 2))
    with pytest.raises(DataError, match=r"add up those of the others, such as by m.merge\('label'\)"):
        covdist.plot.drift(covdist.moments(both, dim="sample", by=("epoch", "label")))
    with pytest.raises(DataError, match="two or more groups"):
        covdist.plot.drift(covdist.moments(X))

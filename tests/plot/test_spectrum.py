"""Spectra: eigenvalues, the edge of noise, error bars."""

from __future__ import annotations

import numpy as np
import pytest

import covdist

from .drawing import X, by_epoch, drawn, texts


def test_a_spectrum_has_its_eigenvalues_and_the_edge_of_noise():
    found = covdist.moments(X).spectrum(6)
    ax = covdist.plot.spectrum(found)
    line, edge = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), found["eigenvalue"])
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert set(edge.get_ydata()) == {float(found["marchenko_pastur_edge"])}
    assert texts(ax.get_legend().get_texts()) == ["eigenvalue", "Marchenko-Pastur edge"]
    assert f"effective rank {float(found['effective_rank']):.3g}" in ax.get_title()


def test_blocks_give_error_bars():
    m = covdist.moments(X, blocks=8)
    ax = drawn(covdist.plot.spectrum(m, k=3))
    expected = m.jackknife("spectrum", 3)["eigenvalue_error"].values
    (bars,) = (each for each in ax.collections)
    heights = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    values = m.merge("block").spectrum(3)["eigenvalue"].values
    np.testing.assert_allclose(heights, expected + np.minimum(expected, 0.9 * values))
    assert "standard error" in texts(ax.get_legend().get_texts())
    of_epochs = covdist.plot.spectrum(by_epoch(blocks=4))
    assert [panel.get_title() for panel in of_epochs.axs.flat] == ["epoch 0", "epoch 1", "epoch 2"]


@pytest.mark.parametrize("x", [np.ones((5, 3)), np.zeros((2, 2))])
def test_constant_columns_have_no_spectrum(x):
    ax = drawn(covdist.plot.spectrum(covdist.moments(x)))
    assert texts(ax.texts) == ["no eigenvalue above 0"]
    assert not ax.lines


def test_tiny_columns_are_drawn_by_roots_and_few_rows_without_rounding():
    ax = drawn(covdist.plot.spectrum(covdist.moments(X * 1e-200)))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1e-200 * covdist.moments(X).spectrum(6)["std"], rtol=1e-10)
    few = covdist.plot.spectrum(covdist.moments(X[:3]))
    assert len(few.lines[0].get_ydata()) == 2

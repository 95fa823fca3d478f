"""Gradients of layers, of epochs and of parameters."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

from .drawing import EPOCH, LOG, X, by_epoch, drawn, texts


def test_gradients_from_the_input_to_the_output_with_the_band_where_they_vanish():
    stats = covdist.gradient_stats(LOG, dim="step")
    expected = stats["layer_norm"].values / np.sqrt(5)
    health = covdist.health(LOG, by=())
    moments = {name: covdist.moments(LOG[name]["gradient"], dim="step") for name in ("fc1", "fc2", "head")}
    for given in (LOG, stats, health, moments):
        ax = drawn(covdist.plot.gradients(given, **({"dim": "step"} if given is LOG else {})))
        rms, std, mean = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(rms, expected)
        np.testing.assert_allclose(rms**2, std**2 + mean**2)
        assert texts(ax.get_xticklabels()) == ["fc1", "fc2", "head"]
        band = ax.patches[-1]
        np.testing.assert_allclose(band.get_y() + band.get_height(), expected[-1] / 100)
        assert expected[0] < band.get_y() + band.get_height() < expected[2]


def test_gradients_of_one_layer_over_epochs_and_parameters():
    ax = covdist.plot.gradients(by_epoch())
    assert ax.get_xlabel() == "epoch"
    expected = [np.sqrt((X[epoch == EPOCH] ** 2).mean()) for epoch in range(3)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected)
    ax = covdist.plot.gradients(covdist.gradient_stats(X))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sort(np.sqrt((X**2).mean(axis=0)))[::-1])
    many = covdist.plot.gradients(covdist.moments(np.ones((1100, 2)), by=np.arange(1100)))
    assert (many.get_title(), len(many.lines[0].get_ydata())) == ("Gradients by group, means of 3", 367)


def test_gradients_that_are_zero_or_tiny():
    ax = drawn(covdist.plot.gradients({"a": covdist.moments(np.zeros((3, 2)))}))
    assert texts(ax.texts) == ["no gradient other than 0"]
    tiny = drawn(covdist.plot.gradients({name: covdist.moments(X * 1e-300) for name in "ab"}))
    assert 0 < tiny.lines[0].get_ydata()[0] < 1e-299
    with pytest.raises(DataError, match="vanishing=2 is not a share"):
        covdist.plot.gradients(LOG, vanishing=2)
    with pytest.raises(DataError, match=r"dim is of covdist\.gradient_stats"):
        covdist.plot.gradients(covdist.moments(X), dim="step")

"""Numbers near the ends of float64's range, on axes and in words: matplotlib's own margins and ticks leave it."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

import covdist

SIZES = [5e-324, 1e-300, 1.0, 1.5e308]
PAIRS = [pair for pair in product(SIZES, SIZES) if pair[0] != pair[1]]
X = np.random.default_rng(0).uniform(-1, 1, size=(40, 6))

pytestmark = pytest.mark.filterwarnings("error")


def log(first, last):
    sizes = {"first": (first, last), "last": (last, first)}
    return xr.DataTree.from_dict(
        {
            name: xr.Dataset({"gradient": (("step", "p"), X * own), "activation": (("step", "unit"), X * other)})
            for name, (own, other) in sizes.items()
        }
    )


def drawn(picture):
    """Draw, and return the texts; none of them speaks of infinity."""
    picture.figure.savefig(BytesIO())
    found = [each.get_text() for each in picture.figure.findobj(Text)]
    assert not [each for each in found if re.search(r"(?<![a-z])(inf|nan)", each)]
    return found


@pytest.mark.parametrize(("first", "last"), PAIRS)
def test_gradients_of_layers_and_parameters(first, last):
    both = covdist.moments(np.concatenate([X * first, X * last], axis=1))
    states = {name: covdist.moments(X * size) for name, size in (("first", first), ("last", last))}
    groups = covdist.moments(np.concatenate([X * first, X * last]), by=np.repeat([0, 1], 40))
    for given in (states, both, groups, covdist.health(log(first, last))):
        ax = covdist.plot.gradients(given)
        drawn(ax)
        low, high = ax.get_ylim()
        values = np.concatenate([line.get_ydata() for line in ax.lines])
        assert 0 <= low <= np.nanmin(values) <= np.nanmax(values) <= high < np.inf


@pytest.mark.parametrize("size", SIZES)
def test_a_size_alone(size):
    marks = [each for each in drawn(covdist.plot.gradients(covdist.moments(X * size))) if each.startswith("1e")]
    assert len(marks) > 1 or 1e-300 < size < 1e300


@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_a_spectrum_whose_squares_are_too_large_has_roots(scale):
    ax = covdist.plot.spectrum(covdist.moments(X * scale))
    drawn(ax)
    expected = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) / np.sqrt(40)
    np.testing.assert_allclose(ax.lines[0].get_ydata() / scale, expected, rtol=1e-10)
    assert ax.get_legend().get_texts()[0].get_text() == "root of the eigenvalue"


@pytest.mark.parametrize(("first", "last"), PAIRS)
def test_spectra_drifts_and_health(first, last):
    drawn(covdist.plot.spectrum(covdist.moments(np.concatenate([X * first, X * last], axis=1))))
    drawn(covdist.plot.drift(covdist.moments(np.concatenate([X * first, X * last]), by=np.repeat([0, 1], 40))))
    found = covdist.health(log(first, last))
    assert np.isfinite(found["rms"]).all()
    assert "inf" not in found["advice"].item()
    texts = drawn(covdist.plot.health(found))
    assert (">1e308" in texts) == bool(np.isinf(found["relative"]).any())


def test_gradients_without_noise():
    found = covdist.health(xr.DataTree.from_dict({"fc": xr.Dataset({"gradient": (("step", "p"), np.ones((9, 2)))})}))
    ax = covdist.plot.gradients(found)
    drawn(ax)
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), [1.0])

"""Shrunk covariances against scikit-learn's figures and the formulas of the papers, written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
METHODS = ["oas", "ols", "rblw"]
each_method = pytest.mark.parametrize("method", METHODS)


def expected_intensity(method: str, x: np.ndarray) -> float:
    """Return the formulas of Chen et al. (2010) and of Belrose et al. (2023), with matrices and traces in full."""
    n, p = x.shape
    s = np.cov(x.T, ddof=0)
    trace, of_square = np.trace(s), np.trace(s @ s)
    if method == "oas":
        top, bottom = of_square / p**2 + (trace / p) ** 2, (n + 1) * (of_square / p**2 - (trace / p) ** 2 / p)
    elif method == "rblw":
        top, bottom = (n - 2) / n * of_square + trace**2, (n + 2) * (of_square - trace**2 / p)
    else:
        target = trace / p * np.eye(p)
        norm = (target**2).sum()
        top, bottom = trace**2 * norm / n, of_square * norm - np.trace(s @ target) ** 2
    return min(top / bottom, 1.0)


def shrunk(s: np.ndarray, share: float) -> np.ndarray:
    return (1 - share) * s + share * np.trace(s) / len(s) * np.eye(len(s))


@each_method
@pytest.mark.parametrize(("rows", "columns"), [(50, 8), (20, 30), (200, 40), (4, 3)])
def test_formulas(method, rows, columns):
    x = RNG.normal(size=(rows, columns)) @ RNG.normal(size=(columns, columns)) + 100
    found = covdist.moments(x).shrink(method)
    share = expected_intensity(method, x)
    assert found.attrs["shrinkage"] == pytest.approx(share, rel=1e-11)
    np.testing.assert_allclose(found, shrunk(np.cov(x.T, ddof=0), share), rtol=1e-10)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.trace(found), np.trace(np.cov(x.T, ddof=0)), rtol=1e-12)
    with_ddof = covdist.moments(x).shrink(method, ddof=1)
    np.testing.assert_allclose(with_ddof, found * rows / (rows - 1), rtol=1e-12)


def test_scikit_learn():
    """Figures of scikit-learn 1.9.1's ``OAS`` and ``EmpiricalCovariance``."""
    x = ((np.arange(45) ** 2 * 7) % 23).reshape(15, 3) * np.array([1.0, 3.0, 1.0])
    x[:, 2] += x[:, 0]
    m = covdist.moments(x)
    oas = [
        [76.08289154248668, 37.8939866658195, 36.9883215840628],
        [37.8939866658195, 243.27106474757028, 59.13513161311288],
        [36.9883215840628, 59.13513161311288, 118.63715482105414],
    ]
    inverse = [
        [0.015928627923825333, -0.0014496303571283127, -0.004243604213532958],
        [-0.0014496303571283127, 0.0048093069725641145, -0.0019452557448048579],
        [-0.004243604213532958, -0.0019452557448048574, 0.010721740197954433],
    ]
    plain = [
        [0.07480512447720068, -0.003648743984250652, -0.03585504605396421],
        [-0.0036487439842506513, 0.004779457238170444, -0.0020754661121864413],
        [-0.03585504605396422, -0.0020754661121864418, 0.029847519779811153],
    ]
    np.testing.assert_allclose(m.shrink("oas"), oas, rtol=1e-12)
    assert m.shrink("oas").attrs["shrinkage"] == pytest.approx(0.32524952518127687, rel=1e-12)
    np.testing.assert_allclose(m.precision(shrink="oas"), inverse, rtol=1e-12)
    np.testing.assert_allclose(m.precision(), plain, rtol=1e-11)


@each_method
@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e30])
def test_any_scale(method, unit):
    x = RNG.normal(size=(30, 4))
    m = covdist.moments(x * unit)
    found = m.shrink(method)
    assert found.attrs["shrinkage"] == pytest.approx(expected_intensity(method, x), rel=1e-11)
    plain = covdist.moments(x)
    np.testing.assert_allclose(m.logdet(shrink=method), plain.logdet(shrink=method) + 8 * np.log(unit), rtol=1e-12)
    np.testing.assert_allclose(m.partial_corr(shrink=method), plain.partial_corr(shrink=method), rtol=1e-10)


@each_method
def test_what_is_its_own_target_and_what_is_constant(method):
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = covdist.moments(x).shrink(method)
    np.testing.assert_allclose(found, np.eye(2) / 2, rtol=1e-15)
    assert found.attrs["shrinkage"] == 1
    still = covdist.moments(np.ones((4, 3))).shrink(method)
    np.testing.assert_array_equal(still, np.zeros((3, 3)))
    one = covdist.moments(x[:, 0]).shrink(method)
    np.testing.assert_allclose(one, 0.5)


@each_method
def test_weights_count_as_the_rows_that_they_are_worth(method):
    x = RNG.normal(size=(20, 6))
    times = RNG.integers(1, 4, 20)
    twice = covdist.moments(x, weights=times).shrink(method)
    repeated = covdist.moments(np.repeat(x, times, axis=0)).shrink(method)
    xr.testing.assert_allclose(twice, repeated, rtol=1e-11)
    assert twice.attrs["shrinkage"] == pytest.approx(repeated.attrs["shrinkage"], rel=1e-11)
    scaled = covdist.moments(x, weights=np.full(20, 0.125)).shrink(method)
    assert scaled.attrs["shrinkage"] == pytest.approx(expected_intensity(method, x), rel=1e-11)


def test_groups_and_lazily():
    x, by = RNG.normal(size=(40, 5)), np.arange(40) % 2
    counted = Counted(x, 10, 5)
    m = covdist.moments(counted.array, by=by)
    lazy = m.shrink("oas")
    assert lazy.chunks is not None
    assert "shrinkage" not in lazy.attrs
    found = lazy.compute()
    shares = [expected_intensity("oas", x[by == group]) for group in range(2)]
    np.testing.assert_allclose(found["shrinkage"], shares, rtol=1e-11)
    done = m.compute()
    counted.made.clear()
    eager = done.shrink("oas")
    assert not counted.made
    np.testing.assert_allclose(eager.attrs["shrinkage"], shares, rtol=1e-11)
    np.testing.assert_array_equal(eager, found)
    assert eager.attrs["long_name"] == "shrunk covariance"


def test_what_cannot_be_shrunk_says_so():
    x = RNG.normal(size=(10, 3))
    with pytest.raises(
        DataError, match="method of shrinkage='oass' is unknown: pass one of 'ledoit-wolf', 'oas', 'ols', 'rblw'"
    ):
        covdist.moments(x).shrink("oass")
    with pytest.raises(DataError, match="NaN or infinity"):
        covdist.moments(np.where(x == x[0, 0], np.nan, x), missing="propagate").shrink()
    with pytest.raises(DataError, match="kind full, found a variances state"):
        covdist.moments(x, state="variances").shrink()
    with pytest.raises(DataError, match="nothing to divide by"):
        covdist.moments(x).shrink(ddof=10)
    with pytest.raises(DataError, match="shrink reads moments"):
        covdist.shrink(x)

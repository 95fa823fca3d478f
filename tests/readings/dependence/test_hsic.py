"""The kernels' criterion, by features: beside the kernels themselves, and as a test of independence."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist

import covdist
from covdist.errors import DataError, NonFiniteError
from covdist.numerics.dependence.kernels import chi2_tail, median_distance
from readings.counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = X[:, :2] ** 2 + 0.1 * RNG.normal(size=(300, 2))
NUMBERS = ["hsic", "normalised", "p_value"]


def by_kernels(x: np.ndarray, y: np.ndarray, widths: np.ndarray) -> tuple[float, float]:
    """Return tr(KHLH)/n², and the same over the norms of both centred kernels."""
    centre = np.eye(len(x)) - 1 / len(x)
    kernels = [np.exp(-(cdist(each, each) ** 2) / (2 * width**2)) for each, width in zip((x, y), widths, strict=True)]
    first, second = (centre @ kernel @ centre for kernel in kernels)
    product = np.sum(first * second)
    return product / len(x) ** 2, product / np.linalg.norm(first) / np.linalg.norm(second)


def computed(found):
    return found.compute(scheduler="synchronous")


def test_features_come_near_the_kernels():
    found = covdist.hsic(X, Y, features=256)
    between = cdist(X, X)[np.triu_indices(300, 1)]
    np.testing.assert_allclose(found["bandwidth"][0], np.median(between), rtol=1e-12)  # all rows are in the sample
    expected = by_kernels(X, Y, found["bandwidth"].values)
    np.testing.assert_allclose([found["hsic"], found["normalised"]], expected, rtol=0.15)


@pytest.mark.parametrize("bandwidth", [None, 2.0, (1.0, 3.0)])
@pytest.mark.parametrize("chunks", [(70, 3), (300, 1), (20, 3)])
def test_any_chunks_are_the_same(bandwidth, chunks):
    whole = covdist.hsic(X, Y, bandwidth=bandwidth, features=32)
    x, y = da.from_array(X, chunks=chunks), da.from_array(Y, chunks=(90, 1))
    for pair in ((x, y), (x, Y), (X, y)):
        lazy = covdist.hsic(*pair, bandwidth=bandwidth, features=32)
        assert all(dask.is_dask_collection(lazy[name]) for name in NUMBERS)
        found = computed(lazy)
        for name in NUMBERS:
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-8)


def test_scale_and_place_do_not_matter():
    whole = covdist.hsic(X, Y, features=32)
    for other in (covdist.hsic(X * 1e-160, Y * 1e100, features=32), covdist.hsic(-X, Y, features=32)):
        np.testing.assert_allclose(other["hsic"], whole["hsic"], rtol=1e-6)


WHOLE = RNG.integers(0, 50, (300, 2))
OF_WHOLE = WHOLE[:, :1] ** 2 + RNG.integers(0, 5, (300, 1))


@pytest.mark.parametrize("place", [2**52, 2**60, -(2**62), 2**63 - 50, 1e15, 1e10], ids=str)
@pytest.mark.parametrize("bandwidth", [None, 20.0])
def test_rows_far_from_0(place, bandwidth):
    """As float64 they were equal, or their cosines those of rounded numbers."""
    options = {"features": 32, "bandwidth": bandwidth}
    whole = covdist.hsic(WHOLE, OF_WHOLE, **options)
    for rows in (WHOLE + place, da.from_array(WHOLE + place, chunks=(70, 1))):
        found = computed(covdist.hsic(rows, OF_WHOLE, **options).chunk())
        for name in [*NUMBERS, "bandwidth"]:
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-9)


def test_the_largest_unsigned_integers():
    whole = covdist.hsic(WHOLE, OF_WHOLE, features=32)
    found = covdist.hsic(WHOLE.astype(np.uint64) + np.uint64(2**64 - 50), OF_WHOLE, features=32)
    np.testing.assert_allclose(found["hsic"], whole["hsic"], rtol=1e-12)


@pytest.mark.parametrize("exponent", [1018, 1000, -1000, -1074])
def test_sizes_at_the_ends(exponent):
    """The bandwidth of subnormal numbers is one itself: those of that bandwidth are compared."""
    found = covdist.hsic(np.ldexp(WHOLE.astype(float), exponent), OF_WHOLE, features=32)
    width, other = np.ldexp(found["bandwidth"].values, [-exponent, 0])
    whole = covdist.hsic(WHOLE, OF_WHOLE, features=32, bandwidth=(width, other))
    for name in NUMBERS:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-9)


@pytest.mark.parametrize("size", [1e300, 1.5e308])
@pytest.mark.parametrize("unit", [1.0, 1e-300])
def test_one_row_far_from_all_others(size, unit):
    """Beside it the squares of all distances were lost, or the largest was infinite."""
    near, far = WHOLE * unit, WHOLE * unit
    near[5, 0], far[5, 0] = 1e9 * unit, size
    expected, found = (covdist.hsic(rows, OF_WHOLE, features=512) for rows in (near, far))
    np.testing.assert_allclose(found["bandwidth"], expected["bandwidth"], rtol=1e-12)
    np.testing.assert_allclose(found["hsic"], expected["hsic"], rtol=0.01)


def test_distances_beyond_float64():
    ends = np.where(np.arange(300)[:, None] % 2, 1.7e308, -1.7e308) * np.ones((1, 3))
    found, expected = (covdist.hsic(rows, OF_WHOLE, features=32) for rows in (ends, np.ldexp(ends, -900)))
    assert found["bandwidth"][0] == np.finfo(float).max < 2.0**900 * float(expected["bandwidth"][0])
    assert np.isfinite(found["normalised"])


def test_bandwidths_that_no_row_is_near_to():
    found = covdist.hsic(WHOLE * 1.0, OF_WHOLE, features=512, bandwidth=(1e-310, 600.0))
    assert 0 < float(found["normalised"]) < 0.6


def test_p_values_are_uniform_without_dependence_and_small_with_it():
    rng = np.random.default_rng(11)
    label = np.repeat(np.arange(400), 100)  # so many tests in one call
    x, other = rng.normal(size=(40_000, 2)), rng.exponential(size=(40_000, 1))
    nothing = covdist.hsic(x, other, by=label, features=32)["p_value"]
    assert scipy.stats.kstest(nothing, "uniform").pvalue > 0.01
    assert 0.02 < (nothing < 0.05).mean() < 0.09
    bent = x[:, :1] ** 2 + rng.normal(size=(40_000, 1))
    assert (covdist.hsic(x[:, :1], bent, by=label, features=32)["p_value"] < 0.05).mean() > 0.9
    pearson = covdist.corr(x[:, 0], bent[:, 0])
    assert abs(float(pearson)) < 0.02


@pytest.mark.parametrize("freedom", [1, 3, 50])
def test_the_tail_of_equal_weights_is_that_of_chi2(freedom):
    for value in [*scipy.stats.chi2.isf([0.99, 0.7, 0.5, 0.1, 1e-3, 1e-9], freedom).tolist(), float(freedom)]:
        found, expected = chi2_tail(value * 1e-30, np.full(freedom, 1e-30)), scipy.stats.chi2.sf(value, freedom)
        np.testing.assert_allclose(found, expected, rtol=0.1 if expected < 0.01 else 1, atol=0.01)
    assert chi2_tail(0.0, np.ones(freedom)) == 1


def test_groups_and_missing_values():
    label = np.arange(300) % 2
    both = covdist.hsic(X, Y, by=label, bandwidth=1.5, features=32)
    alone = covdist.hsic(X[1::2], Y[1::2], bandwidth=1.5, features=32)
    for name in NUMBERS:
        np.testing.assert_allclose(both[name][1], alone[name], rtol=1e-8)
    x = X.copy()
    x[3, 2] = np.nan
    dropped = covdist.hsic(x, Y, missing="drop", bandwidth=1.5, features=32)
    without = covdist.hsic(np.delete(X, 3, axis=0), np.delete(Y, 3, axis=0), bandwidth=1.5, features=32)
    np.testing.assert_allclose(dropped["hsic"], without["hsic"], rtol=1e-10)
    with pytest.raises(NonFiniteError, match=r"features of x with y holds nan at row 3"):
        covdist.hsic(x, Y, features=32)
    assert np.isnan(covdist.hsic(x, Y, missing="propagate", features=32)["p_value"])
    with pytest.raises(DataError, match="would make others"):
        covdist.hsic(x, Y, missing="maxent")


def test_equal_rows_have_no_dependence():
    found = covdist.hsic(X, np.ones((300, 1)), features=32)
    assert float(found["hsic"]) < 1e-30
    assert np.isnan(found["normalised"])
    assert np.isnan(found["p_value"])
    assert median_distance(np.ones((5, 2))) == median_distance(np.empty((0, 2))) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_nothing_is_read_before_it_must_be(times):
    x, y = Counted(X, 70, 3), Counted(Y, 70, 2)
    lazy = covdist.hsic(x.array, y.array, features=32, bandwidth=1.0 if times == 1 else None)
    assert not x.made
    assert not y.made
    computed(lazy)
    for each in (x, y):
        assert {key: count / times for key, count in each.made.items()} == each.every


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": 3}, "features=3 is not an even number"),
        ({"features": "many"}, "features='many' is not an even number"),
        ({"bandwidth": 0}, "bandwidth=0 is not a distance"),
        ({"bandwidth": (1, 2, 3)}, "is not a distance"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(DataError, match=words):
        covdist.hsic(X, Y, **options)

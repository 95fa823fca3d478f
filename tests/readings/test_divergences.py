"""Kullback-Leibler, Jeffreys, Bhattacharyya and CORAL: against the formulas with matrices in full, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(n, 5)) @ RNG.normal(size=(5, 5)) + RNG.normal(size=5) for n in (50, 40))
inverted = ["kl_divergence", "jeffreys", "bhattacharyya"]
each_reading = pytest.mark.parametrize("name", [*inverted, "coral"])
each_divergence = pytest.mark.parametrize("name", inverted)


def textbook(name: str, x: np.ndarray, y: np.ndarray, ddof: float = 0) -> float:
    a, b = (np.cov(each.T, ddof=ddof) for each in (x, y))
    step = y.mean(axis=0) - x.mean(axis=0)
    if name == "coral":
        return float(np.linalg.norm(a - b) ** 2 / (4 * len(a) ** 2))
    if name == "jeffreys":
        return textbook("kl_divergence", x, y, ddof) + textbook("kl_divergence", y, x, ddof)
    of_a, of_b = (np.linalg.slogdet(each)[1] for each in (a, b))
    if name == "kl_divergence":
        inverse = np.linalg.inv(b)
        return float(np.trace(inverse @ a) - len(a) + of_b - of_a + step @ inverse @ step) / 2
    mean = (a + b) / 2
    return float(step @ np.linalg.solve(mean, step) / 8 + (np.linalg.slogdet(mean)[1] - (of_a + of_b) / 2) / 2)


def found(name: str, x: np.ndarray, y: np.ndarray, **options: object) -> float:
    return float(getattr(covdist, name)(covdist.moments(x), covdist.moments(y), **options))


@each_reading
@pytest.mark.parametrize("ddof", [0, 1])
def test_formulas(name, ddof):
    assert found(name, A, B, ddof=ddof) == pytest.approx(textbook(name, A, B, ddof), rel=1e-11)
    assert found(name, B, A, ddof=ddof) == pytest.approx(textbook(name, B, A, ddof), rel=1e-11)


@each_reading
def test_labels(name):
    one = getattr(covdist, name)(covdist.moments(A), covdist.moments(B))
    assert (one.name, one.dims) == (name, ())
    assert one.attrs["ddof"] == 0
    assert one.attrs["units"]
    assert one.attrs["long_name"]


@quick
@given(st.integers(0, 2**32 - 1))
def test_laws(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 6))
    x, y = (rng.normal(size=(20, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width) for _ in "ab")
    basis = rng.normal(size=(width, width)) + 3 * np.eye(width)
    for name in inverted:
        there = found(name, x, y)
        assert there >= 0
        assert found(name, x, x) == pytest.approx(0, abs=1e-20)
        assert found(name, x @ basis + 7, y @ basis + 7) == pytest.approx(there, rel=1e-6)  # no coordinates count
        if name != "kl_divergence":
            assert found(name, y, x) == pytest.approx(there, rel=1e-8)
    assert found("coral", x, x + 9) == pytest.approx(0, abs=1e-25)
    assert found("coral", x, x) == 0


@each_divergence
@pytest.mark.parametrize("unit", [1e-200, 1e-160, 1e150])
def test_units_of_columns_make_no_difference(name, unit):
    scale = np.array([1.0, unit, 1.0, 1.0, 1 / unit])
    assert found(name, A * scale, B * scale) == pytest.approx(found(name, A, B), rel=1e-10)


def test_coral_at_any_scale():
    for unit in (2.0**-200, 1e-70, 1e70):
        assert found("coral", A * unit, B * unit) / unit**4 == pytest.approx(textbook("coral", A, B), rel=1e-11)
    tiny = np.array([[-1.0], [1.0]]) * 2.0**-60
    found_far = found("coral", tiny, np.zeros((2, 1)) + 1e30)  # the means' distance is no unit of the covariances
    assert found_far == (2.0**-120) ** 2 / 4


@each_divergence
def test_large_means(name):
    x, y = A - A.mean(axis=0), B - B.mean(axis=0) + 0.5
    assert found(name, x + 1e6, y + 1e6) == pytest.approx(found(name, x, y), rel=1e-8)


def test_nearly_equal_ones_keep_their_digits():
    centred = A - A.mean(axis=0)
    wider = covdist.moments(centred * (1 + 2.0**-20))
    a = covdist.moments(centred)
    t = np.log1p(2.0**-20)  # of five axes, deviations apart by a factor of exp(t)
    assert float(covdist.kl_divergence(a, wider)) == pytest.approx(5 * (np.expm1(-2 * t) + 2 * t) / 2, rel=1e-3)
    assert float(covdist.bhattacharyya(a, wider)) == pytest.approx(5 * np.log(np.cosh(t)) / 2, rel=1e-3)


@each_reading
def test_groups_weights_and_lazily(name):
    by, by_b = np.arange(50) % 2, np.arange(40) % 2
    counted = Counted(A, 20, 5)
    read = getattr(covdist, name)
    a, b = covdist.moments(counted.array, by=by), covdist.moments(B, by=by_b)
    lazy = read(a, b)
    assert lazy.chunks is not None
    expected = [textbook(name, A[by == g], B[by_b == g]) for g in range(2)]
    np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-9)
    done = a.compute()
    counted.made.clear()
    xr.testing.assert_identical(read(done, b), lazy.compute())
    counted.made.clear()
    read(done, b)
    assert not counted.made
    times = RNG.integers(1, 4, 40)
    weighted = read(covdist.moments(A), covdist.moments(B, weights=times))
    assert float(weighted) == pytest.approx(textbook(name, A, np.repeat(B, times, axis=0)), rel=1e-10)


@each_divergence
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (A[:4], B, "m_a: the covariance of 5 columns is singular: its rank is at most 3, .* pass shrink='oas'"),
        (A, np.where(np.arange(5) == 2, 7.0, B), r"m_b: .* singular: pivot 2 is 0\.0e\+00.*pass shrink='oas'"),
        (A, B[:, :4], r"takes two states of the same columns, m_a is of unit \(5\) and m_b of unit \(4\)"),
    ],
)
def test_what_has_none_says_so(name, a, b, said):
    with pytest.raises(DataError, match=said):
        found(name, a, b)


@each_divergence
def test_shrunk_ones_of_few_rows(name):
    x, y = A[:4], B[:5]
    assert np.isfinite(found(name, x, y, shrink="oas"))
    with pytest.raises(DataError, match="shrink='oass' is unknown"):
        found(name, x, y, shrink="oass")
    groups = covdist.moments(A, by=np.arange(50) < 3)
    np.testing.assert_array_equal(np.isnan(getattr(covdist, name)(groups, covdist.moments(B))), [False, True])


def test_coral_of_singular_covariances_and_nan():
    assert found("coral", A[:2], B[:3]) == pytest.approx(textbook("coral", A[:2], B[:3]), rel=1e-11)
    x = A.copy()
    x[0, 0] = np.nan
    assert np.isnan(float(covdist.coral(covdist.moments(x, missing="propagate"), covdist.moments(B))))

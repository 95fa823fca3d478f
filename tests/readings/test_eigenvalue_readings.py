"""Numbers that sum up eigenvalues, against numpy's singular values and the formulas written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 12)) * np.arange(1, 13.0) ** -1 + RNG.normal(size=12)
VALUES = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1]
READINGS = ["effective_rank", "participation_ratio", "stable_rank", "marchenko_pastur_edge", "rankme"]
each_reading = pytest.mark.parametrize("name", READINGS)


def entropy_rank(sizes: np.ndarray) -> float:
    shares = sizes / sizes.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def test_of_the_covariance():
    m = covdist.moments(X)
    expected = {
        "effective_rank": entropy_rank(VALUES),
        "participation_ratio": VALUES.sum() ** 2 / np.sum(VALUES**2),
        "stable_rank": VALUES.sum() / VALUES[0],
        "marchenko_pastur_edge": VALUES.mean() * (1 + np.sqrt(12 / 80)) ** 2,
    }
    spectrum = m.spectrum(3)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(m, name)(), value, rtol=1e-12)
        assert getattr(m, name)() == spectrum[name]  # one word, one number


def test_stable_rank_of_every_method():
    for method in ("exact", "dual"):
        found = covdist.spectrum(X, 2, method=method)["stable_rank"]
        np.testing.assert_allclose(found, VALUES.sum() / VALUES[0], rtol=1e-12)
    sketched = covdist.spectrum(X, 2, method="sketch")["stable_rank"]
    np.testing.assert_allclose(sketched, VALUES.sum() / VALUES[0], rtol=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e-200, 1e-30, 1e150])
@pytest.mark.parametrize("shift", [0.0, 1.0, 1e3])
def test_rankme_is_the_entropy_of_singular_values(shift, unit):
    found = covdist.moments((X + shift) * unit).rankme()
    np.testing.assert_allclose(found, entropy_rank(np.linalg.svd(X + shift, compute_uv=False)), rtol=1e-10)


def test_rankme_of_dependent_columns_and_of_few_rows():
    dependent = np.column_stack([X, X[:, :3] @ [1.0, 2.0, 3.0]])
    for x in (dependent, X[:5], X[:1], np.ones((4, 3))):
        sizes = np.linalg.svd(x, compute_uv=False)
        sizes = sizes[sizes > 1e-12 * sizes[0]]
        np.testing.assert_allclose(covdist.moments(x).rankme(), entropy_rank(sizes), rtol=1e-10)


def test_rankme_differs_from_the_effective_rank():
    m = covdist.moments(X + 10)
    assert float(m.rankme()) < 2
    assert float(m.effective_rank()) == pytest.approx(entropy_rank(VALUES))


@each_reading
def test_groups_lazy_labels_and_no_reading_of_data(name):
    counted, by = Counted(X, 20, 12), np.arange(80) % 2
    m = covdist.moments(counted.array, by=by)
    lazy = getattr(m, name)()
    assert lazy.chunks is not None
    m, found = m.compute(), lazy.compute()
    counted.made.clear()
    assert found.identical(getattr(covdist, name)(m))
    assert not counted.made
    for group in range(2):
        np.testing.assert_allclose(found[group], getattr(covdist.moments(X[by == group]), name)(), rtol=1e-12)
    assert found.name == name
    assert found.attrs["units"]
    assert found.attrs["long_name"]


@each_reading
def test_what_has_none(name):
    x = np.where(X[0, 0] == X, np.nan, X)
    assert np.isnan(getattr(covdist.moments(x, missing="propagate"), name)())
    for m, found in ((covdist.moments(X, X), "both"), (covdist.moments(X, missing="pairwise"), "pairwise")):
        with pytest.raises(DataError, match=f"kind full, found a {found} state"):
            getattr(m, name)()
    with pytest.raises(DataError, match=f"{name} reads moments"):
        getattr(covdist, name)(X)


# ---- power laws


def plainly_fitted(values: np.ndarray) -> tuple[float, float, int, float]:
    """Return exponent, lower end, size and distance by the recipe of Clauset et al. (2009), section 3."""
    best = (np.inf, 0.0, 0.0, 0)
    for lower in np.sort(values)[:-1]:
        tail = np.sort(values[values >= lower])
        alpha = 1 + len(tail) / np.log(tail / lower).sum()
        fitted = 1 - (tail / lower) ** (1 - alpha)
        distance = max(abs(fitted[i] - i / len(tail)) for i in range(len(tail)))
        best = min(best, (distance, alpha, lower, len(tail)))
    return best[1], best[2], best[3], best[0]


@pytest.mark.parametrize("unit", [1.0, 1e-100])
def test_power_law_is_fitted_as_its_authors_do(unit):
    found = covdist.moments(X * unit).power_law()
    alpha, lower, tail, distance = plainly_fitted(VALUES)
    np.testing.assert_allclose(found["alpha"], alpha, rtol=1e-10)
    np.testing.assert_allclose(found["lower"] / unit / unit, lower, rtol=1e-10)
    np.testing.assert_allclose(found["upper"] / unit / unit, VALUES[0], rtol=1e-10)
    np.testing.assert_allclose(found["distance"], distance, rtol=1e-8)
    np.testing.assert_allclose(found["alpha_error"], (alpha - 1) / np.sqrt(tail), rtol=1e-10)
    assert found["tail"] == tail


def test_power_law_of_a_known_tail():
    """Uncorrelated columns whose variances are Pareto's quantiles; signs that are orthogonal keep them exact."""
    size, alpha = 256, 2.5
    signs = np.array([[1.0]])
    while len(signs) < size:
        signs = np.block([[signs, signs], [signs, -signs]])
    variances = (1 - (np.arange(size - 1) + 0.5) / (size - 1)) ** (-1 / (alpha - 1))
    found = covdist.moments(signs[:, 1:] * np.sqrt(variances)).power_law()
    np.testing.assert_allclose(found["alpha"], alpha, atol=3 * float(found["alpha_error"]))
    assert found["tail"] > 200


def test_power_law_of_groups_and_of_too_few_eigenvalues():
    m = covdist.moments(X, by=np.where(np.arange(80) < 3, "few", "many"))
    found = m.power_law()
    assert np.isnan(found["alpha"].sel(group="few"))
    xr.testing.assert_allclose(found.sel(group="many", drop=True), covdist.moments(X[3:]).power_law())
    assert found["alpha"].attrs["long_name"] == "exponent of the power law"
    with pytest.raises(DataError, match="needs 3 eigenvalues that are not zero, found 2 of 12: fold more rows"):
        covdist.moments(X[:3]).power_law()
    equal = covdist.moments(np.vstack([np.eye(3), -np.eye(3)])).power_law()
    assert not np.isfinite(equal["alpha"])
    gaps = covdist.moments(np.where(X[0, 0] == X, np.nan, X), missing="propagate")
    assert np.isnan(gaps.power_law()["alpha"])

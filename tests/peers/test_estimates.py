"""Estimates that other libraries make too: their own figures, and the libraries themselves where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import covdist

from .data import X as PLAIN

RNG = np.random.default_rng(0)
LARGER = np.cumsum(RNG.normal(size=(150, 10)) @ RNG.normal(size=(10, 10)), axis=0) * 5 + RNG.normal(size=10) * 20
LAG = 2
X = PLAIN @ np.array([[1.0, 2.0, 0.0], [0.0, 5.0, 1.0], [0.0, 0.0, 0.5]])


def sklearn(kind: str, what: str) -> Callable[[np.ndarray], np.ndarray]:
    def ask(x: np.ndarray) -> np.ndarray:
        module = pytest.importorskip("sklearn.covariance")
        return getattr(getattr(module, kind)().fit(x), what)

    return ask


def leace(x: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("concept_erasure.shrinkage")
    return module.optimal_linear_shrinkage(torch.from_numpy(np.cov(x.T, ddof=0)), len(x)).numpy()


def deeptime(reversible: bool, bessel: bool) -> Callable[[np.ndarray], np.ndarray]:
    def ask(x: np.ndarray) -> np.ndarray:
        module = pytest.importorskip("deeptime.covariance")
        options = {"compute_c0t": True, "remove_data_mean": True, "reversible": reversible}
        return module.Covariance(LAG, bessels_correction=bessel, **options).fit(x).fetch_model().cov_0t

    return ask


def statsmodels(adjusted: bool) -> Callable[[np.ndarray], np.ndarray]:
    def ask(x: np.ndarray) -> np.ndarray:
        module = pytest.importorskip("statsmodels.tsa.stattools")
        return np.array([module.acovf(column, adjusted=adjusted, fft=False)[LAG] for column in x.T])

    return ask


def svdvals(x: np.ndarray) -> float:
    torch = pytest.importorskip("torch")
    sizes = torch.linalg.svdvals(torch.from_numpy(x))
    return float(torch.exp(torch.distributions.Categorical(sizes).entropy()))


def pytorch_ood(x: np.ndarray) -> np.ndarray:
    """Scores are half the square of the distance by the sum of scatters, which has 1e-6 added to its diagonal."""
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("pytorch_ood.detector")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        detector = module.Mahalanobis(None).fit_features(torch.from_numpy(x), torch.from_numpy(labels(x)))
        return detector.predict_features(torch.from_numpy(x[:, :, None])).numpy()
    finally:
        torch.set_default_dtype(before)


def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[: len(x) // 2], x[len(x) // 2 :]


def both(x: np.ndarray) -> list[covdist.Moments]:
    return [covdist.moments(each) for each in halves(x)]


def pytorch_fid(x: np.ndarray) -> float:
    module = pytest.importorskip("pytorch_fid.fid_score")
    of_both = ((each.mean(axis=0), np.cov(each.T)) for each in halves(x))
    return float(module.calculate_frechet_distance(*(figure for each in of_both for figure in each)))


def torchmetrics(x: np.ndarray) -> float:
    torch, module = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.image.fid")
    of_both = ((each.mean(axis=0), np.cov(each.T)) for each in halves(x))
    return float(module._compute_fid(*(torch.from_numpy(figure) for each in of_both for figure in each)))


def hotelling(x: np.ndarray) -> list[float]:
    found = pytest.importorskip("statsmodels.stats.multivariate").test_mvmean_2indep(*halves(x))
    return [found.t2, found.statistic, found.pvalue]


def box(x: np.ndarray) -> list[float]:
    module = pytest.importorskip("statsmodels.stats.multivariate")
    found = module.test_cov_oneway([np.cov(each.T) for each in halves(x)], [len(each) for each in halves(x)])
    return [found.statistic_base, found.statistic_chi2, found.pvalue_chi2, found.statistic_f, found.pvalue_f]


def numbers(read: Any, *names: str) -> list[float]:
    return [float(read[name]) for name in names or read]


def labels(x: np.ndarray) -> np.ndarray:
    return np.arange(len(x)) % 3


def scores(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    distances = covdist.mahalanobis(x, covdist.moments(x, by=by))
    return (distances.min("group") ** 2 / (2 * len(x))).to_numpy()


def norms(x: np.ndarray) -> covdist.Moments:
    return covdist.moments(x, state="norms")


class Case(NamedTuple):
    ours: Callable[[np.ndarray], Any]
    theirs: Callable[[np.ndarray], Any]
    figures: Any  # of the library, for ``X``
    tolerance: float


CASES = {
    "sklearn LedoitWolf": Case(
        lambda x: norms(x).shrink("ledoit-wolf"),
        sklearn("LedoitWolf", "covariance_"),
        [
            [5.314597809772058, 5.069813771876388, 0.3113812956775289],
            [5.069813771876388, 57.28749839159137, 9.73760943900479],
            [0.3113812956775289, 9.73760943900479, 6.018129493081029],
        ],
        1e-10,
    ),
    "sklearn LedoitWolf, its inverse": Case(
        lambda x: norms(x).precision(shrink="ledoit-wolf"),
        sklearn("LedoitWolf", "precision_"),
        [
            [0.20848525054269015, -0.022920870802129845, 0.026299879491021298],
            [-0.022920870802129845, 0.026597972282356698, -0.04185080028540502],
            [0.0262998794910213, -0.04185080028540501, 0.23252033026969396],
        ],
        1e-10,
    ),
    "sklearn OAS": Case(
        lambda x: covdist.moments(x).shrink("oas"),
        sklearn("OAS", "covariance_"),
        [
            [7.163322825459666, 4.536025255347519, 0.2785967068595794],
            [4.536025255347519, 53.66412152157126, 8.712359926721401],
            [0.2785967068595794, 8.712359926721401, 7.792781347413528],
        ],
        1e-10,
    ),
    "sklearn OAS, its inverse": Case(
        lambda x: covdist.moments(x).precision(shrink="oas"),
        sklearn("OAS", "precision_"),
        [
            [0.1482129719409835, -0.01425503776906023, 0.01063848326040193],
            [-0.01425503776906023, 0.024137809605125824, -0.026476538907689345],
            [0.010638483260401928, -0.026476538907689348, 0.1575444293176259],
        ],
        1e-10,
    ),
    "sklearn EmpiricalCovariance, its inverse": Case(
        lambda x: covdist.moments(x).precision(),
        sklearn("EmpiricalCovariance", "precision_"),
        [
            [1.309260248699453, -0.3499616522003534, 1.2473618795523902],
            [-0.3499616522003534, 0.15263216113014716, -0.5726430593339824],
            [1.2473618795523904, -0.5726430593339824, 2.507027708785288],
        ],
        1e-10,
    ),
    "concept-erasure optimal_linear_shrinkage": Case(
        lambda x: covdist.moments(x).shrink("ols"),
        leace,
        [
            [4.895820093718384, 5.190728853303193, 0.3188077409900749],
            [5.190728853303193, 58.108274589864614, 9.969851468238916],
            [0.3188077409900749, 9.969851468238916, 5.616131010861452],
        ],
        1e-08,
    ),
    "deeptime Covariance": Case(
        lambda x: covdist.autocov(x, LAG, ddof=1),
        deeptime(reversible=False, bessel=True),
        [
            [-1.1111111111111112, -1.6666666666666667, 0.3333333333333333],
            [-3.3333333333333335, -35.55555555555556, -4.229166666666667],
            [-0.25, -8.458333333333336, -1.3151041666666667],
        ],
        1e-10,
    ),
    "deeptime Covariance, reversible": Case(
        lambda x: covdist.autocov(x, LAG, estimator="reversible"),
        deeptime(reversible=True, bessel=False),
        [[-1.0, -2.25, 0.0375], [-2.25, -32.5625, -5.953125], [0.0375, -5.953125, -1.2892187499999999]],
        1e-10,
    ),
    "deeptime Covariance, reversible, corrected": Case(
        lambda x: covdist.autocov(x, LAG, estimator="reversible", ddof=1),
        deeptime(reversible=True, bessel=True),
        [
            [-1.0526315789473684, -2.3684210526315788, 0.039473684210526314],
            [-2.3684210526315788, -34.276315789473685, -6.266447368421052],
            [0.039473684210526314, -6.266447368421052, -1.3570723684210524],
        ],
        1e-10,
    ),
    "statsmodels acovf": Case(
        lambda x: np.diagonal(covdist.autocov(x, LAG, estimator="series")),
        statsmodels(adjusted=False),
        [-0.78125, -26.001157407407415, -1.0595341435185184],
        1e-10,
    ),
    "statsmodels acovf, adjusted": Case(
        lambda x: np.diagonal(covdist.autocov(x, LAG, estimator="series", ddof=LAG)),
        statsmodels(adjusted=True),
        [-0.9375, -31.201388888888896, -1.2714409722222222],
        1e-10,
    ),
    "torch svdvals, their entropy": Case(
        lambda x: covdist.moments(x).rankme(),
        svdvals,
        1.6469540742675266,
        1e-10,
    ),
    "pytorch-fid": Case(
        lambda x: covdist.frechet(*both(x), ddof=1),
        pytorch_fid,
        5.952730261443236,
        1e-06,
    ),
    "torchmetrics FrechetInceptionDistance": Case(
        lambda x: covdist.frechet(*both(x), ddof=1),
        torchmetrics,
        5.952730261443122,
        1e-06,
    ),
    "statsmodels test_mvmean_2indep": Case(
        lambda x: numbers(covdist.mean_shift(*both(x)), "t2", "f", "p_value"),
        hotelling,
        [8.92721485575077, 2.380590628200205, 0.14531848260577643],
        1e-10,
    ),
    "statsmodels test_cov_oneway": Case(
        lambda x: numbers(covdist.equal_covariance(*both(x))),
        box,
        [6.3175249600688375, 4.2643293480464655, 0.6409536825859306, 0.702002057411816, 0.6480933586602667],
        1e-10,
    ),
    "pytorch-ood Mahalanobis": Case(
        lambda x: scores(x, labels(x)),
        pytorch_ood,
        [
            0.18258498380479546,
            0.03174430112995934,
            0.13157539751654268,
            0.03354143897214521,
            0.11776977872418753,
            0.1307784117841193,
            0.042308706912687594,
            0.06230073366113184,
            0.18683579347404206,
            0.22535863236542597,
            0.05181160588838988,
            0.10261684718581297,
        ],
        1e-06,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_figures(name):
    """Computed once, with the versions that ``tests.peers`` names."""
    case = CASES[name]
    np.testing.assert_allclose(case.ours(X), case.figures, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("name", CASES)
def test_live(name):
    case = CASES[name]
    np.testing.assert_allclose(case.theirs(X), case.figures, rtol=case.tolerance, atol=case.tolerance)
    for x in (LARGER, LARGER[:40]):
        theirs = case.theirs(x)
        size = np.abs(theirs).max()
        np.testing.assert_allclose(case.ours(x), theirs, rtol=case.tolerance, atol=case.tolerance * size)


def test_distances_of_digits():
    """pytorch-ood's ``Mahalanobis`` on scikit-learn's digits, less the pixels that hardly ever vary."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    x, by = digits.data[:, digits.data.std(axis=0) > 1], digits.target
    torch, module = pytest.importorskip("torch"), pytest.importorskip("pytorch_ood.detector")
    detector = module.Mahalanobis(None).fit_features(torch.from_numpy(x), torch.from_numpy(by))
    detector.precision = torch.linalg.inv(detector.cov.double())
    expected = detector.predict_features(torch.from_numpy(x[:, :, None])).numpy()
    np.testing.assert_allclose(scores(x, by), expected, rtol=1e-6)

"""What readings give says what it is and in which units, so that ``.plot()`` labels its axes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist import plugins

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) + 1
Y = X[:, :2] + RNG.normal(size=(60, 2))
GROUPS = np.arange(60) % 3
ABOUT_ROWS = {"erase", "fill"}  # keep the attributes of the rows
NO_ARRAYS = {"between", "expanding", "moments", "plan", "rolling", "within"}  # give moments, or a plan


def m(x=X, y=None, **options):
    return covdist.moments(x, y, **options)


def log():
    layers = {
        name: xr.Dataset({"gradient": (("step", "param"), X), "activation": (("sample", "unit"), Y)}) for name in "ab"
    }
    return xr.DataTree.from_dict(layers)


CALLS = {
    "autocorr": lambda: m(state="serial(lags=3)").autocorr(),
    "autocorr_time": lambda: m(state="serial(lags=3)").autocorr_time(),
    "autocov": lambda: covdist.autocov(X, 1),
    "cca": lambda: m(y=Y).cca(),
    "cka": lambda: m(y=Y).cka(),
    "corr": lambda: [
        covdist.corr(X), covdist.corr(X, Y), covdist.corr(X, method="spearman"), covdist.corr(X, missing="pairwise"),
    ],
    "cov": lambda: [
        covdist.cov(X), covdist.cov(X, Y), covdist.cov(X, 2 * X, pairs="columns"), covdist.cov(X, missing="pairwise"),
        covdist.cov(X, 2 * X, pairs="columns", missing="pairwise"),
    ],
    "distance_corr": lambda: covdist.distance_corr(X),
    "effective_sample_size": lambda: m(blocks=8).effective_sample_size(),
    "ekfac": lambda: covdist.ekfac(m(), m(Y)),
    "ekfac_scale": lambda: covdist.ekfac_scale(X, Y, covdist.ekfac(m(), m(Y)), dim=0),
    "gradient_cosine": lambda: m(by=GROUPS).gradient_cosine(),
    "gradient_stats": lambda: [covdist.gradient_stats(X), covdist.gradient_stats(log(), dim="step").to_dataset()],
    "health": lambda: covdist.health(log()),
    "hsic": lambda: covdist.hsic(X, Y),
    "initial_scale": lambda: covdist.initial_scale({"a": m(), "b": m()}, order=["a", "b"]),
    "jackknife": lambda: m(blocks=8).jackknife("corr"),
    "kfac": lambda: covdist.kfac(m(), m(Y)),
    "kurtosis": lambda: covdist.kurtosis(X),
    "leace": lambda: covdist.leace(m(y=Y), m()),
    "mahalanobis": lambda: covdist.mahalanobis(X, m()),
    "maximal_corr": lambda: covdist.maximal_corr(X),
    "procrustes": lambda: m(y=Y).procrustes(),
    "project": lambda: covdist.project(X, m().spectrum(2)),
    "prune": lambda: m().prune(np.ones((1, 4)), units=[2]),
    "pwcca": lambda: m(y=Y).pwcca(),
    "rv_coefficient": lambda: m(y=Y).rv_coefficient(),
    "sign_agreement": lambda: m(state="signs").sign_agreement(),
    "similarity": lambda: covdist.similarity({"a": X, "b": Y}),
    "skewness": lambda: covdist.skewness(X),
    "smallest_eigenvalue": lambda: m(missing="pairwise").smallest_eigenvalue(),
    "spectrum": lambda: [covdist.spectrum(X, 2), covdist.spectrum(X, 2, method="sketch", by=GROUPS)],
    "standardise": lambda: covdist.standardise(X, m()),
    "svcca": lambda: m(y=Y).svcca(),
    "whiten": lambda: covdist.whiten(X, m()),
}  # fmt: skip
OF_TWO = ("bhattacharyya", "compare", "coral", "direction_coverage", "equal_covariance", "frechet", "jeffreys",
          "kl_divergence", "mean_shift")  # fmt: skip


NAMES = [name for name in dir(covdist) if name in plugins.names("readings")] + ["smallest_eigenvalue"]


@cache
def read(name):
    call = CALLS.get(name, lambda: getattr(m(), name)())
    found = getattr(covdist, name)(m(), m(X + 1)) if name in OF_TWO else call()
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABOUT_ROWS | NO_ARRAYS])
def test_readings_say_what_they_are_in_which_units(name):
    for found in read(name):
        arrays = found.data_vars.values() if isinstance(found, xr.Dataset) else [found]
        assert arrays
        for array in arrays:
            said = array.attrs.get("long_name", ""), array.attrs.get("units", "")
            assert all(isinstance(text, str) and text for text in said), f"{array.name}: {said}"


def test_the_state_itself_and_groups_too():
    for state in (m(), m(by=GROUPS)):
        for array in (state.mean(), state.count, state.rows, state.std(), state.var(), state.cov(), state.corr()):
            assert {"long_name", "units"} <= array.attrs.keys(), array.name


def test_attributes_of_one_result_are_not_those_of_another():
    covdist.cov(X).attrs["long_name"] = m().count.attrs["units"] = "mine"
    assert covdist.cov(X).attrs["long_name"] == "covariance"
    assert m().count.attrs["units"] == "rows"

"""The names that users and editors see."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import covdist
from covdist import plugins
from covdist.errors import DataError

PUBLIC = {
    "CovdistError", "Job", "Moments", "Plan", "Recorder", "autocorr", "autocorr_time", "autocov", "between",
    "bhattacharyya", "bins", "cca", "cka", "compare", "condition_number", "coral", "corr", "corr_interval", "cov",
    "direction_coverage", "distance_corr", "effective_rank", "effective_sample_size", "ekfac", "ekfac_scale",
    "equal_covariance", "erase", "expanding", "export", "fill", "frechet", "gradient_cosine", "gradient_stats",
    "health", "hsic", "initial_scale", "jackknife", "jeffreys", "kfac", "kl_divergence", "kurtosis", "leace",
    "load", "logdet", "mahalanobis", "marchenko_pastur_edge", "maximal_corr", "mean_shift", "moments",
    "noise_scale", "open_log", "partial_corr", "participation_ratio", "plan", "plot", "power_law", "precision",
    "procrustes", "project", "prune", "pwcca", "rankme", "redundant", "report", "rolling", "rv_coefficient",
    "second_moment", "shrink", "sign_agreement", "similarity", "skewness", "spectrum", "stable_rank", "standardise",
    "std", "submit", "svcca", "update", "var", "whiten", "within",
}  # fmt: skip


def test_names_complete():
    assert set(dir(covdist)) == set(covdist.__all__) == PUBLIC
    assert all(getattr(covdist, name).__doc__ for name in PUBLIC)
    assert {"cov", "skewness", "save", "spectrum", "scaled"} <= set(dir(covdist.moments([[1.0], [2.0]])))


def test_all_of_them_can_be_imported_by_a_star():
    code = "from covdist import *; print(cov([[1.0], [3.0]]).item())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1.0"]


@pytest.mark.parametrize("name", ["cvo", "readings_", "interpolated"])
def test_other_names_are_said_not_to_exist(name):
    with pytest.raises(AttributeError, match=f"module 'covdist' has no attribute '{name}'"):
        getattr(covdist, name)


def test_a_reading_whose_package_is_missing_says_which(monkeypatch):
    def find(room, name):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(plugins, "find", find)
    with pytest.raises(ImportError, match="matplotlib"):
        covdist.cov  # noqa: B018
    with pytest.raises(ImportError, match="matplotlib"):
        covdist.moments([[1.0], [2.0]]).cov()


def test_the_package_is_silent_unless_asked(caplog):
    with caplog.at_level(logging.DEBUG, logger="covdist"):
        covdist.plan([[1.0], [2.0]])
    assert any(record.name.startswith("covdist.") for record in caplog.records)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("covdist").handlers)


def test_a_state_by_any_of_its_names():
    x = [[1.0, 2.0], [3.0, 5.0]]
    assert covdist.moments(x, state="variances").layout.kind == "variances"
    assert covdist.moments(x, state=("full", "higher")).layout.kind == "together"
    unread = "cannot be read: write a name such as 'full', or with numbers 'lagged"
    refused = {"fulll": "there is no state 'fulll'", "lagged(": unread, "lagged(lag=two)": unread, "cross": "x and y"}
    for state, words in refused.items():
        with pytest.raises(DataError, match=words):
            covdist.moments(x, state=state)

"""Canonical correlations beside those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import covdist

decomposition = pytest.importorskip("sklearn.cross_decomposition")


def test_canonical_correlations():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 4)) * [1.0, 5.0, 0.2, 1.0]
    y = x @ rng.normal(size=(4, 3)) + rng.normal(size=(300, 3)) * [1.0, 3.0, 9.0]
    ours = covdist.cca(covdist.moments(x, y))
    variates = decomposition.CCA(n_components=3, max_iter=5000, tol=1e-14).fit_transform(x, y)
    theirs = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(each.T for each in variates), strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)

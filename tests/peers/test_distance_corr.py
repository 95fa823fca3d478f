"""Distance correlations are those of statsmodels."""

from __future__ import annotations

import numpy as np
import pytest

import covdist


def test_of_statsmodels():
    measures = pytest.importorskip("statsmodels.stats.dist_dependence_measures")
    x = np.round(np.random.default_rng(0).normal(size=(300, 3)), 1)
    x[:, 1] += x[:, 0] ** 2
    found = covdist.distance_corr(x)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(found[i, j], measures.distance_correlation(x[:, i], x[:, j]), rtol=1e-10)

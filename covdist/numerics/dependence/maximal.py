"""Maximal correlation of two columns, over smooth functions of their ranks."""

from __future__ import annotations

import numpy as np

from covdist.numerics.dependence.ranks import doubled_ranks

_LEAST = 1e-8  # of the largest singular value: what is less is rounding, as of a column with few different values


def rank_functions(column: np.ndarray, features: int) -> np.ndarray:
    """Return an orthonormal basis (rows, at most features) of the centred cosines of a column's ranks."""
    share = (doubled_ranks(column) / len(column) + 1) / 2
    cosines = np.cos(np.pi * np.outer(share, np.arange(1, features + 1)))
    basis, sizes, _ = np.linalg.svd(cosines - cosines.mean(axis=0), full_matrices=False)
    return np.asarray(basis[:, sizes > max(_LEAST * sizes[0], 1e-12)])


def largest_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return the largest canonical correlation of two orthonormal bases; NaN where one is of a constant column."""
    if not (x.shape[1] and y.shape[1]):
        return np.nan
    return 1.0 if x is y else min(float(np.linalg.norm(x.T @ y, 2)), 1.0)

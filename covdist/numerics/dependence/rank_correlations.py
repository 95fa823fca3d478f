"""Correlations of the ranks of a sample's rows, which may weigh differently, and how far off they may be."""

from __future__ import annotations

import numpy as np

from covdist.numerics.blas import single_thread
from covdist.numerics.correlation import correlation_of, own_correlations, set_diagonal

GROUPS = 16  # of rows, of which one after the other is left out
MISSED = 0.05  # probability of errors beyond their bounds


def rank_correlations(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the correlations of the ranks of rows, (columns, columns), their standard errors and bounds: (3, ...).

    Rows are in random order, so that every sixteenth of them is a random group: the errors are those of the jackknife
    that leaves out one group after the other, and ranks the others anew. NaN of a constant column, or of too few rows.
    """
    count, width = values.shape
    codes = np.empty((width, count), np.int64)
    for number in range(width):
        codes[number] = np.unique(values[:, number], return_inverse=True)[1]
    groups = min(GROUPS, count)
    with single_thread():
        found, bound = _with_bounds(codes, weights)
        mean, squares = np.zeros_like(found), np.zeros_like(found)
        for group in range(groups):
            left = weights.copy()
            left[group::groups] = 0.0
            step = _correlations(*_products(codes, left)) - found
            mean += step / groups
            squares += step**2
    error = np.sqrt(np.maximum((squares - groups * mean**2) * (groups - 1) / max(groups, 1), 0.0))
    error[~np.isfinite(found)] = np.nan
    return np.array([found, error if groups > 2 else np.full_like(found, np.nan), bound])


def _with_bounds(codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlations, and how far off they may be: further with a probability of ``MISSED`` at most.

    Twelve times the mean product of two columns' ranks, shares about 0, is a U-statistic of three rows with values from
    -1 to 1, and that of a column with itself one with values from 0 to 1. Hoeffding (1963), 5.7, bounds the errors of
    all three; the correlation is bounded by what these allow. 6 / n is for rows that are compared with themselves.
    """
    products, varied = _products(codes, weights)
    effective = weights.sum() ** 2 / np.sum(weights**2) if len(weights) else 1.0
    off = np.sqrt(6 * np.log(6 / MISSED) / effective) + 6 / effective
    products, found = 12 * products, _correlations(products.copy(), varied)
    own = np.diagonal(products)
    least, most = (np.sqrt(np.clip(own + sign * off / 2, 0, 1)) for sign in (-1, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        high, low = products + off, products - off
        high = high / np.where(high > 0, np.outer(least, least), np.outer(most, most))
        low = low / np.where(low < 0, np.outer(least, least), np.outer(most, most))
        bound = np.maximum(np.minimum(high, 1) - found, found - np.maximum(low, -1))
    set_diagonal(bound, np.where(varied, 0.0, np.nan))
    return found, bound


def _products(codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean products of columns' ranks, which are shares about 0, and which columns vary."""
    weights = weights / weights.sum() if weights.any() else weights
    ranks = np.empty((len(weights), len(codes)))
    roots = np.sqrt(weights)
    for number, column in enumerate(codes):
        ranks[:, number] = _centred_ranks(column, weights) * roots
    return ranks.T @ ranks, np.array([_varies(column, weights) for column in codes], bool)


def _correlations(products: np.ndarray, varied: np.ndarray) -> np.ndarray:
    """Return the correlations, in place of the products."""
    lengths = np.where(varied, np.sqrt(np.diagonal(products)), 0.0)
    found = correlation_of(products, lengths, lengths)
    set_diagonal(found, own_correlations(lengths))
    return found


def _centred_ranks(codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weight below each value, and half of that of those equal to it, less half of all."""
    held = np.bincount(codes, weights)
    below = np.cumsum(held)
    half = below[-1] / 2 if len(below) else 0.0
    return np.asarray((below - held / 2 - half)[codes])


def _varies(codes: np.ndarray, weights: np.ndarray) -> bool:
    counted = codes[weights > 0]
    return bool(len(counted)) and bool((counted != counted[0]).any())

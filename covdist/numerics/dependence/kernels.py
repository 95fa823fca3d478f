"""Gaussian kernels by random Fourier features, and what the covariance of these says of dependence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr

from covdist.numerics.shifted_columns import beyond_float64, high_part, less_mean, low_part

_LEAST_WEIGHT = 1e-9  # of the largest: what is less moves no probability
_AT_MEAN = 1e-4
_SUMMED = 2.0**980  # beyond, differences and distances may leave float64's range: they are told in another unit
_UNIT = 2.0**40
_LOST = 1e-140  # of the largest: squares of less are lost
_FURTHEST = 1e300  # bandwidths from the centre
_PAIRS = 1 << 12  # of rows that are looked at together


def centre_of(rows: np.ndarray) -> np.ndarray:
    """Return the middle of the finite values of each column in two parts, (2, columns); 0 where there are none.

    Kernels see differences alone, which keep more digits from there than from 0.
    """
    if not len(rows):
        return np.zeros((2, rows.shape[1]))
    ordered = np.sort(rows, axis=0)
    finite = np.isfinite(ordered)
    middle = np.argmax(np.cumsum(finite, axis=0) > (finite.sum(axis=0) - 1) // 2, axis=0)
    found = np.take_along_axis(ordered, middle[None], axis=0)
    found = np.where(finite.any(axis=0), found, found.dtype.type(0))
    if beyond_float64(found):
        return np.concatenate([high_part(found), low_part(found)])
    return np.concatenate([found.astype(np.float64), np.zeros_like(found, np.float64)])


def _from_centre(rows: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, float]:
    """Return differences of rows, of any dtype, from a centre in two parts, and the unit in which they are told."""
    mean, low = centre
    if rows.dtype.kind in "iub":
        return less_mean(rows, mean, low), 1.0
    values = rows.astype(np.float64)
    largest = max(np.fmax.reduce(np.abs(each), axis=None, initial=0.0) for each in (values, mean))
    if largest <= _SUMMED:
        return values - mean, 1.0
    return values / _UNIT - mean / _UNIT, _UNIT


def median_distance(rows: np.ndarray) -> float:
    """Return the median distance of different rows among those without NaN; 1 where there are no two."""
    whole = rows[np.isfinite(rows).all(axis=1)]
    apart, unit = _from_centre(whole, centre_of(whole))
    between = _distances(apart) if len(apart) > 1 else np.zeros(0)
    between = between[between > 0]
    return min(float(np.median(between)) * unit, float(np.finfo(np.float64).max)) if len(between) else 1.0


def _distances(rows: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist  # a tenth of the start of every command, as all states are looked up

    largest = float(abs(rows).max(initial=0))
    if not largest > 0:
        return np.zeros(0)
    found = np.asarray(pdist(rows / largest) * largest)
    near = np.flatnonzero(found < largest * _LOST)
    if len(near):  # whose squares are lost beside the largest
        most = pdist(rows, "chebyshev")[near]
        near, most = near[most > 0], most[most > 0]
        one, other = np.triu_indices(len(rows), 1)
        for start in range(0, len(near), _PAIRS):
            pairs, sizes = near[start : start + _PAIRS], most[start : start + _PAIRS]
            shares = (rows[one[pairs]] - rows[other[pairs]]) / sizes[:, None]
            found[pairs] = np.linalg.norm(shares, axis=1) * sizes
    return found


def in_bandwidths(rows: np.ndarray, centre: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return differences of rows, of any dtype, from a centre in bandwidths; NaN for infinity."""
    apart, unit = _from_centre(rows, centre)
    with np.errstate(over="ignore", invalid="ignore"):
        found = apart / (bandwidth / unit)
    if not np.isfinite(found).all():  # cosines of what is further are as good as random, but there must be some
        found = np.where(np.isfinite(apart), np.clip(found, -_FURTHEST, _FURTHEST), np.nan)
    return np.asarray(found)


def fourier_features(rows: np.ndarray, features: int, seed: int) -> np.ndarray:
    """Return cosines and sines, (rows, features), whose products estimate exp(-‖a - b‖² / 2)."""
    angles = rows @ _directions(rows.shape[1], features // 2, seed)
    return np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(features // 2)


@lru_cache(maxsize=4)
def _directions(columns: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(columns, count))


def independence(state: Any, answer: str) -> np.ndarray:
    """Return "hsic", "normalised" or "p_value" of the features of x and, behind them, as many of y."""
    width = state.columns.width
    covariance = state.covariance(slice(0, width), 0)
    x, y = slice(width // 2), slice(width // 2, None)
    hsic = np.sum(covariance[x, y] ** 2)
    if answer == "hsic":
        return np.asarray(hsic)
    own = [covariance[x, x], covariance[y, y]]
    scale = np.prod([np.linalg.norm(each) for each in own])
    if not scale > 0:
        return np.array(np.nan)
    return np.asarray(hsic / scale if answer == "normalised" else _p_value(hsic, own, state.columns.rows))


def _p_value(hsic: float, own: list[np.ndarray], rows: int) -> float:
    """Return the probability of so much or more where rows of x and y are paired at random."""
    eigenvalues = [np.linalg.eigvalsh(each) for each in own]
    weights = np.outer(*(each[each > _LEAST_WEIGHT * each[-1]] for each in eigenvalues)).ravel()
    return chi2_tail((rows - 1) * hsic, weights[weights > _LEAST_WEIGHT * weights.max()])


def chi2_tail(value: float, weights: np.ndarray) -> float:
    """Return the probability that a sum of χ² of one degree of freedom, weighted, is larger: by its saddlepoint.

    Lugannani and Rice (1980) in the form of Barndorff-Nielsen; within 0.01 of the exact value, and in the tail
    within some per cent of it.
    """
    from scipy.optimize import brentq

    weights, value = weights / weights.max(), value / weights.max()
    if not value > 0:
        return 1.0

    def excess(at: float) -> float:
        return float(np.sum(weights / (1 - 2 * at * weights))) - value

    at = brentq(excess, -len(weights) / (2 * value) - 1, 0.5 * (1 - min(0.5, 0.5 / value)), xtol=1e-14)
    second = 2 * np.sum((weights / (1 - 2 * at * weights)) ** 2)
    if abs(at) * np.sqrt(second) < _AT_MEAN:  # where the formula is 0/0
        return float(0.5 - 8 * np.sum(weights**3) / (6 * np.sqrt(2 * np.pi) * second**1.5))
    root = np.sign(at) * np.sqrt(2 * at * value + np.sum(np.log1p(-2 * at * weights)))
    return float(ndtr(-(root + np.log(at * np.sqrt(second) / root) / root)))

"""Gaussian kernels by random Fourier features, and what the covariance of these says of dependence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr

_LEAST_WEIGHT = 1e-9  # of the largest: what is less moves no probability
_AT_MEAN = 1e-4


def median_distance(rows: np.ndarray) -> float:
    """Return the median distance of different rows among those without NaN; 1 where there are no two."""
    from scipy.spatial.distance import pdist  # a tenth of the start of every command, as all states are looked up

    whole = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
    largest = float(abs(whole).max(initial=0))
    between = pdist(whole / largest) * largest if largest > 0 and len(whole) > 1 else np.zeros(0)
    return float(np.median(between[between > 0])) if (between > 0).any() else 1.0


def fourier_features(rows: np.ndarray, bandwidth: float, features: int, seed: int) -> np.ndarray:
    """Return cosines and sines, (rows, features), whose products estimate exp(-‖a - b‖² / (2 bandwidth²))."""
    angles = (rows / bandwidth) @ _directions(rows.shape[1], features // 2, seed)
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

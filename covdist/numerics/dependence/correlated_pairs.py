"""Pairs of columns whose correlation is beyond a threshold, found from random projections: no matrix of all columns.

Gaussian projections of two columns of unit length are Gaussian numbers whose correlation is theirs, so that the cosine
of m of them is a sample correlation of m rows: Fisher's z of it is off by 1/√m. Pairs that come near enough to the
threshold are looked at again, with all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covdist.numerics.blas import single_thread

DIRECTIONS = 256
_MARGIN = 4.76  # standard errors that a candidate may fall short: at the threshold one pair in a million is missed
_ROUNDING = 1e-5  # of cosines in float32
_STRIP_BYTES = 1 << 24  # of cosines looked at together
_PAIR_BYTES = 1 << 24  # of columns that are looked at again together


class Links(NamedTuple):
    """Pairs of columns, the earlier one first, by their numbers, and their correlations; each (pairs,)."""

    first: np.ndarray
    second: np.ndarray
    r: np.ndarray


def correlated_pairs(values: np.ndarray, weights: np.ndarray, threshold: float, seed: int) -> Links:
    """Return the pairs of columns of rows that may weigh differently, (rows, columns), in the order of their places."""
    with single_thread(), np.errstate(invalid="ignore", over="ignore"):
        columns = _of_unit_length(values, weights)
        cosines, least = _projected(columns, threshold, seed)
        width = columns.shape[1]
        height = max(1, _STRIP_BYTES // (4 * max(width, 1)))
        strips = [slice(start, start + height) for start in range(0, width, height)]
        parts = [_beyond(columns, cosines, strip, least, threshold) for strip in strips]
    return Links(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _of_unit_length(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the columns less their means and of length 1; 0 where they are constant, or hold NaN."""
    found = values - values[:1]  # of far means, whose differences are exact
    found = np.ldexp(found, -np.frexp(np.abs(found).max(axis=0, initial=0.0))[1])
    share = weights / weights.sum() if len(weights) else weights
    found -= share @ found
    found *= np.sqrt(share)[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->j", found, found))
    varied = (lengths > 0) & (values != values[:1]).any(axis=0)
    return np.where(varied, found / np.where(varied, lengths, 1.0), 0.0)


def _projected(columns: np.ndarray, threshold: float, seed: int) -> tuple[np.ndarray, float]:
    """Return columns whose products are nearly those of the given ones, float32, and the least that is looked at."""
    least = np.tanh(np.arctanh(threshold) - _MARGIN / np.sqrt(DIRECTIONS))
    if len(columns) <= 2 * DIRECTIONS or least < threshold / 2:
        return columns.astype(np.float32), threshold - _ROUNDING
    drawn = np.random.Generator(np.random.SFC64(seed)).standard_normal((DIRECTIONS, len(columns)))
    found = drawn @ columns
    lengths = np.sqrt(np.einsum("ij,ij->j", found, found))
    return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32), float(least) - _ROUNDING


def _beyond(columns: np.ndarray, cosines: np.ndarray, some: slice, least: float, threshold: float) -> Links:
    """Return the pairs whose earlier column is one of ``some``."""
    near = np.abs(cosines[:, some].T @ cosines[:, some.start :]) > least
    first, second = np.nonzero(np.triu(near, 1))
    first, second = first + some.start, second + some.start
    step = max(1, _PAIR_BYTES // (8 * max(1, len(columns))))
    r = np.empty(len(first))
    for start in range(0, len(first), step):
        cut = slice(start, start + step)
        r[cut] = np.einsum("ij,ij->j", columns[:, first[cut]], columns[:, second[cut]])
    kept = np.abs(r) > threshold
    return Links(first[kept], second[kept], np.clip(r[kept], -1.0, 1.0))

"""Whether two covariances are equal: Box's M, and permutations of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from math import comb
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import chdtrc, fdtrc

from covdist.errors import DataError
from covdist.folding.grouping import BLOCK
from covdist.folding.inputs import check_seed
from covdist.numerics.matrices.gaussians import step_between
from covdist.readings.distributions.pairs import (
    Beside,
    Pair,
    beside,
    check_columns,
    common_groups,
    figures,
    gaussians,
    has_blocks,
)
from covdist.readings.estimates.shrink import estimate_of
from covdist.readings.uncertainty.corr_interval import effective_rows
from covdist.readings.uncertainty.jackknife import blocks_of
from covdist.results.deferred import Deferred, apply
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_ABOUT = {
    "statistic": "Box's M",
    "chi2": "M as a χ²",
    "chi2_p_value": "chance of such a χ² where the covariances are equal",
    "f": "M as an F",
    "f_p_value": "chance of such an F where the covariances are equal",
}
_PERMUTED = {"permutation_p_value": "share of permutations of the blocks with an M as large"}
_SAME = 1e-9  # of M: what rounding makes of equal ones
_ENTRIES = 1 << 22  # of matrices that are computed at once


@own_names
def equal_covariance(m_a: Moments, m_b: Moments, *, permutations: int = 999, seed: int = 0) -> xr.Dataset:
    """Box's M: whether two covariances differ by more than chance, whatever the means.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns, with a matrix. With numbers for each group where both have the same groups; where one
        alone has groups, each of them is set against the other. Where both have ``blocks=``, blocks are permuted too.
    permutations : int
        How many at most; where the blocks have no more than these, each is taken once and the share is exact.
    seed : int
        Of the permutations.

    Returns
    -------
    Dataset
        float64, in units of 1; lazy where a state is. ``statistic``, Box's M; ``chi2`` with d (d + 1) / 2 degrees of
        freedom of d columns, and ``chi2_p_value``; ``f`` and ``f_p_value``, the closer approximation of few rows; of
        blocks ``permutation_p_value``, which takes the rows for neither Gaussian nor independent within a block.

    Raises
    ------
    DataError
        If the columns or groups differ, or a covariance is singular, which names the state and the pivot.

    Notes
    -----
    M = (N - 2) ln det S - (n_a - 1) ln det S_a - (n_b - 1) ln det S_b, of unbiased covariances: Box (1949), A general
    distribution theory for a class of likelihood criteria, as R's ``boxM`` and statsmodels' ``test_cov_oneway``. It is
    sensitive to rows that are not Gaussian. Permutations set the means of both states to 0 and give the blocks to one
    or the other; there is no ddof, and with weights n is the effective number of rows.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(400, 3))
    >>> a, b = covdist.moments(x[:200], blocks=8), covdist.moments(2 * x[200:], blocks=8)
    >>> found = covdist.equal_covariance(a, b)
    >>> bool(found["f_p_value"] < 1e-9), float(found["permutation_p_value"])
    (True, 0.001)
    """
    if not (isinstance(permutations, int | np.integer) and permutations > 0):
        raise DataError(f"permutations={permutations!r} is not a number of them: pass 1 or more, such as 999")
    check_seed(seed)
    for each in (m_a, m_b):
        check_moments(each, "equal_covariance")
    if not (has_blocks(m_a) and has_blocks(m_b)):
        return figures(Pair.of(m_a, m_b, "equal_covariance"), _box, _ABOUT)
    found = figures(Pair.of(m_a.merge(BLOCK), m_b.merge(BLOCK), "equal_covariance"), _box, _ABOUT)
    pair, count = _blocks(m_a, m_b)
    return found.merge(figures(pair, _share, _PERMUTED, count, int(permutations), seed))


def _box(both: Beside) -> np.ndarray:
    degrees = np.array([float(effective_rows(each)) - 1 for each in both.states])
    with np.errstate(divide="ignore"):  # spreads may differ by more than float64 has numbers for
        logarithms = 2 * np.log(gaussians(both, 1).spread_ratios())
    statistic = degrees.sum() * _above(logarithms, degrees[0] / degrees.sum()).sum()
    return np.array([statistic, *_tests(statistic, degrees, len(logarithms))])


def _above(t: np.ndarray, share: float) -> np.ndarray:
    """Return how far ln of a mean of exp(t) and 1 lies above the mean of t and 0: each 0 or more."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.log1p(share * np.expm1(t)) - share * t
    far = np.logaddexp(np.log(share) + (1 - share) * t, np.log1p(-share) - share * t)
    return np.where(np.abs(t) < 1, near, far)


def _tests(statistic: float, degrees: np.ndarray, width: int) -> tuple[float, float, float, float]:
    """Return Box's two approximations, each with its p-value."""
    df = width * (width + 1) / 2
    first = (np.sum(1 / degrees) - 1 / degrees.sum()) * (2 * width**2 + 3 * width - 1) / (6 * (width + 1))
    second = (np.sum(1 / degrees**2) - 1 / degrees.sum() ** 2) * (width - 1) * (width + 2) / 6
    chi2 = (1 - first) * statistic
    df2 = (df + 2) / abs(second - first**2)
    if second > first**2:
        f = statistic * (1 - first - df / df2) / df
    else:
        most = df2 / (1 - first + 2 / df2)
        f = df2 * statistic / (df * (most - statistic)) if statistic < most else np.inf
    return chi2, float(chdtrc(df, chi2)), f, float(fdtrc(df, df2, f))


# ---- permutations of blocks


def _blocks(m_a: Moments, m_b: Moments) -> tuple[Pair, int]:
    """Return all blocks of both side by side, and how many of them are a's."""
    (layout, blocks), (layout_b, blocks_b) = (blocks_of(each, BLOCK, "equal_covariance") for each in (m_a, m_b))
    check_columns(layout, layout_b, "equal_covariance")
    groups = common_groups(layout, layout_b, "equal_covariance")
    parts = [each.parts[0] for each in (*blocks, *blocks_b)]
    return Pair(layout.axes[0], Deferred((apply(beside, *parts),), layout.widths, groups)), len(blocks)


class _Sums(NamedTuple):
    """Of the blocks of both states, about the mean of their own state and in units of the columns' spread."""

    rows: np.ndarray  # (blocks,)
    steps: np.ndarray  # sums of the rows, (blocks, columns)
    squares: np.ndarray  # sums of their products, (blocks, columns, columns)

    @classmethod
    def of(cls, states: list[list[object]]) -> _Sums:
        covariances = [[estimate_of(each, 0, None) for each in some] for some in states]
        scale = np.max([each.deviations for some in covariances for each in some], axis=0)
        rows, steps, squares = [], [], []
        for some, matrices in zip(states, covariances, strict=True):
            counts = np.array([float(effective_rows(each)) for each in some])
            means = [(side.mean(), side.mean_low()) for side in (each.side(0) for each in some)]  # type: ignore[attr-defined]
            away = np.array([step_between(means[0], each) for each in means]) / scale
            away -= counts @ away / counts.sum()
            scaled = np.array([each._replace(deviations=each.deviations / scale).matrix() for each in matrices])
            rows.append(counts)
            steps.append(counts[:, None] * away)
            squares.append(counts[:, None, None] * (scaled + away[:, :, None] * away[:, None, :]))
        return cls(*(np.concatenate(each) for each in (rows, steps, squares)))

    def statistics(self, chosen: np.ndarray) -> np.ndarray:
        """Return Box's M where the chosen blocks are a's: bool (permutations, blocks)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            (rows, a), (rows_b, b) = (self._scatter(each.astype(np.float64)) for each in (chosen, ~chosen))
            n, n_b = rows - 1, rows_b - 1
            found = (n + n_b) * _logdet(a + b, n + n_b) - n * _logdet(a, n) - n_b * _logdet(b, n_b)
        return np.asarray(np.where(np.isnan(found), np.inf, found))

    def _scatter(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, steps = chosen @ self.rows, chosen @ self.steps
        return rows, np.tensordot(chosen, self.squares, 1) - steps[:, :, None] * (steps / rows[:, None])[:, None, :]


def _logdet(scatters: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    sign, found = np.linalg.slogdet(scatters / degrees[:, None, None])
    return np.where(sign > 0, found, -np.inf)


def _share(both: Beside, count: int, permutations: int, seed: int) -> np.ndarray:
    """Return the share of permutations whose M is as large as that of the first ``count`` blocks."""
    states = [[each for each in some if each.columns.rows] for some in (both.states[:count], both.states[count:])]
    if not all(states):
        raise DataError("equal_covariance needs blocks with rows in both states, found none in one of them")
    sums, (own, others) = _Sums.of(states), map(len, states)
    observed = float(sums.statistics(np.arange(own + others)[None] < own)[0])
    found, at_once = [], max(1, _ENTRIES // sums.squares[0].size)
    some = _permuted(own, own + others, permutations, seed)
    while batch := list(islice(some, at_once)):
        found.append(sums.statistics(np.array(batch)))
    as_large = np.concatenate(found) >= observed - _SAME * abs(observed)
    exact = comb(own + others, own) <= permutations
    return np.array([as_large.mean() if exact else (1 + as_large.sum()) / (1 + len(as_large))])


def _permuted(own: int, total: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Yield which blocks are a's: in all ways where there are no more than so many, else at random."""
    rng, places = np.random.default_rng(seed), np.arange(total)
    if comb(total, own) <= permutations:
        yield from (np.isin(places, some) for some in combinations(range(total), own))
    else:
        yield from (rng.permutation(total) < own for _ in range(permutations))

"""What has changed between two states of the same columns, in a few numbers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.numerics.eigen import effective_rank
from covdist.numerics.matrices.gaussians import step_between
from covdist.readings.distributions.pairs import Beside, Pair, figures, gaussians
from covdist.readings.gradients.gradient_stats import root_sum_squares
from covdist.results.labels import SQUARES
from covdist.results.moments import Moments
from covdist.results.names import own_names

_ABOUT = {
    "rows_a": "rows of the first",
    "rows_b": "rows of the second",
    "mean_shift": "root mean square of the columns' shifts, in standard deviations",
    "std_ratio": "overall standard deviation of the second over that of the first",
    "frechet": "squared Frechet distance",
    "cov_change": "norm of what the covariances differ by, over that of the first",
    "corr_change": "root mean square of what the correlations of different columns differ by",
    "effective_rank_a": "effective rank of the first",
    "effective_rank_b": "effective rank of the second",
}


@own_names
def compare(m_a: Moments, m_b: Moments) -> xr.Dataset:
    """What has changed from one state to another of the same columns: means, spreads, covariances, effective rank.

    Of two epochs, two runs, or the rows of training and of validation: where these differ more than two parts of the
    training's rows do, the representation has learnt its rows by heart.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns. With numbers for each group where both have the same groups; where one alone has groups,
        each of them is set against the other.

    Returns
    -------
    Dataset
        float64; lazy where a state is. ``rows_a``, ``rows_b``; ``mean_shift``, the root mean square over the columns of
        (μ_b - μ_a) / σ with σ² the mean of both variances; ``std_ratio``, √(tr B / tr A); ``frechet``, as
        :func:`covdist.frechet`; ``cov_change``, ‖B - A‖ / ‖A‖ in the Frobenius norm; ``corr_change``, the root mean
        square of what correlations of different columns differ by; ``effective_rank_a`` and ``effective_rank_b``. NaN
        where states lack the matrix that a number is of; of x with y the two changes are those of x's columns with
        y's. ``ddof`` is 0.

    Raises
    ------
    DataError
        If the columns or groups differ, or a state has no rows.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(1000, 4))
    >>> found = covdist.compare(covdist.moments(x), covdist.moments(2 * x + 1))
    >>> round(float(found["std_ratio"]), 3), round(float(found["cov_change"]), 3), round(float(found["mean_shift"]), 2)
    (2.0, 3.0, 0.62)
    """
    pair = Pair.of_any(m_a, m_b, "compare")
    found = figures(pair, _changes, _ABOUT, len(m_a.layout.axes) == 1, ddof=0)
    for name in ("rows_a", "rows_b"):
        found[name].attrs["units"] = "rows"
    found["frechet"].attrs["units"] = SQUARES
    return found


def _changes(both: Beside, of_one: bool) -> np.ndarray:
    sides = [each.side(0) for each in both.states]
    spreads = [each.deviation(0) for each in sides]
    step = step_between(*((each.mean(), each.mean_low()) for each in sides))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = root_sum_squares(spreads[1]) / root_sum_squares(spreads[0])
    shift = root_sum_squares(_in_deviations(step, *spreads)) / np.sqrt(len(step))
    rows = [each.columns.rows for each in sides]
    return np.array([*rows, shift, ratio, *_of_matrices(both, of_one)])


def _in_deviations(step: np.ndarray, spread: np.ndarray, spread_b: np.ndarray) -> np.ndarray:
    """Return steps over the root of the mean of both variances; of constant columns 0, or infinite."""
    both = np.hypot(spread, spread_b) / np.sqrt(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(step == 0, both * 0, step / both))


def _of_matrices(both: Beside, of_one: bool) -> list[float]:
    found = [np.nan] * 5
    if _all_have(both, "correlation"):
        found[1:3] = _matrix_changes(both, of_one)
    if _all_have(both, "estimate"):
        found[0] = gaussians(both, 0).frechet()
        found[3:] = (effective_rank(each.eigenvalues().values) for each in both.states)
    return found


def _all_have(both: Beside, answer: str) -> bool:
    return all(callable(getattr(each, answer, None)) for each in both.states)


def _matrix_changes(both: Beside, of_one: bool) -> tuple[float, float]:
    """Return how covariances and correlations have changed; of one side's columns the diagonal does not count."""
    spreads = [[each.side(number).deviation(0) for each in both.states] for number in (0, 0 if of_one else 1)]
    units = [max(map(np.max, each)) or 1.0 for each in spreads]
    correlations = [each.correlation(slice(0, len(spreads[0][0]))) for each in both.states]
    covariances = []
    for number, correlation in enumerate(correlations):
        x, y = (each[number] / unit for each, unit in zip(spreads, units, strict=True))
        covariances.append(np.where(np.outer(x, y) == 0, 0.0, correlation * np.outer(x, y)))
    apart = correlations[1] - correlations[0]
    if of_one:
        np.fill_diagonal(apart, np.nan)
    known = apart[np.isfinite(apart)]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.linalg.norm(covariances[1] - covariances[0]) / np.linalg.norm(covariances[0])
    return float(change), float(np.sqrt(np.mean(known**2))) if len(known) else np.nan

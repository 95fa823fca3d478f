"""How far two means are apart, and whether that is more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import xarray as xr
from scipy.special import fdtrc

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.numerics.matrices.gaussians import named_factor, step_between
from covdist.readings.distributions.pairs import Beside, Pair, figures
from covdist.readings.estimates.shrink import estimate_of
from covdist.readings.uncertainty.corr_interval import effective_rows
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import StateType
from covdist.state.grouped import Grouped

_ABOUT = {
    "distance": "Mahalanobis distance of the means",
    "t2": "Hotelling's T²",
    "f": "T² as an F",
    "p_value": "chance of such an F where the means are the same",
}


@own_names
def mean_shift(m_a: Moments, m_b: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.Dataset:
    """Mahalanobis distance of two means by the pooled covariance, and Hotelling's test of whether they are the same.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns, with states of the same kind that have a matrix. With numbers for each group where both
        have the same groups; where one alone has groups, each of them is set against the other.
    ddof : float
        The divisor of the covariance in ``distance`` is N - ddof, of N rows in both; 0 by default. The test has its
        own, N - 2.
    shrink : str, optional
        Shrink the pooled covariance first, by a method of :func:`covdist.shrink`. ``f`` and ``p_value`` are NaN then,
        because T² has no known distribution.

    Returns
    -------
    Dataset
        float64, in units of 1; lazy where a state is. ``distance``; ``t2``, Hotelling's T²; ``f``, with d and N - d - 1
        degrees of freedom of d columns; ``p_value``, NaN where N is d + 1 or less. With weights N is the effective
        number of rows.

    Raises
    ------
    DataError
        If the columns, groups or kinds differ, or the pooled covariance is singular, which names the pivot.

    Notes
    -----
    T² = n_a n_b / N · (μ_b - μ_a)ᵀ S⁻¹ (μ_b - μ_a) and F = T² (N - d - 1) / (d (N - 2)): Hotelling (1931), The
    generalization of Student's ratio. The test is of Gaussian rows that do not depend on each other, with the same
    covariance in both: :func:`covdist.equal_covariance`.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> found = covdist.mean_shift(covdist.moments(x[:100]), covdist.moments(x[100:] + 0.5))
    >>> round(float(found["distance"]), 2), bool(found["p_value"] < 1e-6)
    (0.96, True)
    """
    pair = Pair.of(m_a, m_b, "mean_shift", shrink)
    if m_a.layout.state != m_b.layout.state:
        raise DataError(
            f"mean_shift pools states of one kind, found {m_a.layout.kind} and {m_b.layout.kind}: fold both with the "
            "same state="
        )
    return figures(pair, _shift, _ABOUT, m_a.layout.state, ddof, shrink, ddof=ddof)


def _shift(both: Beside, kind: StateType, ddof: float, shrink: str | None) -> np.ndarray:
    a, b = (each.side(0) for each in both.states)
    step = step_between((a.mean(), a.mean_low()), (b.mean(), b.mean_low()))
    whole: Any = Grouped(kind.empty(len(step)), dict(enumerate(both.states))).within()
    pooled = estimate_of(whole, ddof, shrink)
    factor = named_factor("m_a and m_b together", pooled)
    with single_thread(), np.errstate(over="ignore"):
        white = scipy.linalg.solve_triangular(factor, step / pooled.deviations, lower=True, check_finite=False)
        square = float(white @ white)
    rows, rows_b = (float(effective_rows(each)) for each in both.states)
    total = rows + rows_b
    t2 = rows * rows_b / total * square * (total - 2) / (total - ddof)
    left = total - len(step) - 1
    known = shrink is None and left > 0
    f = t2 * left / (len(step) * (total - 2)) if known else np.nan
    return np.array([np.linalg.norm(white), t2, f, fdtrc(len(step), left, f) if known else np.nan])

"""Kullback-Leibler divergence of two Gaussians."""

from __future__ import annotations

import xarray as xr

from covdist.readings.distributions.pairs import Pair, answer_of
from covdist.results.moments import Moments
from covdist.results.names import own_names


@own_names
def kl_divergence(m_a: Moments, m_b: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray:
    """Kullback-Leibler divergence of the Gaussian of one state from that of another: KL(a ‖ b).

    What is lost on average, in nats, where rows of a are taken for rows of b; the other way round it is another number.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns, with a matrix. With a number for each group where both have the same groups; where one
        alone has groups, each of them is set against the other.
    ddof : float
        The divisor of the covariances is N - ddof; 0 by default.
    shrink : str, optional
        Shrink both covariances first, by a method of :func:`covdist.shrink`.

    Returns
    -------
    DataArray
        float64, in nats: 0 for equal distributions, to rounding, and never negative; lazy where a state is. Units of
        columns make no difference.

    Raises
    ------
    DataError
        If the columns or groups differ, or a covariance is singular, which names the state and the pivot.

    Notes
    -----
    (tr B⁻¹A - d + ln(det B / det A) + (μ_b - μ_a)ᵀ B⁻¹ (μ_b - μ_a)) / 2, Kullback (1959), Information theory and
    statistics; by the Cholesky factors of both, as a sum of terms that are each 0 or more.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> a, b = covdist.moments(x), covdist.moments(2 * x)
    >>> round(float(covdist.kl_divergence(a, b)), 4), round(float(covdist.kl_divergence(b, a)), 4)
    (0.6363, 1.6137)
    """
    attrs = {"ddof": ddof, "long_name": "Kullback-Leibler divergence", "units": "nats"}
    pair = Pair.of(m_a, m_b, "kl_divergence", shrink)
    return pair.read(answer_of, (), "kl_divergence", ddof, shrink, name="kl_divergence", attrs=attrs)

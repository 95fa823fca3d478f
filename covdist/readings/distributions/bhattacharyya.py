"""Bhattacharyya distance of two Gaussians."""

from __future__ import annotations

import xarray as xr

from covdist.readings.distributions.pairs import Pair, answer_of
from covdist.results.moments import Moments
from covdist.results.names import own_names


@own_names
def bhattacharyya(m_a: Moments, m_b: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray:
    """Bhattacharyya distance of the Gaussians of two states: -ln of how far their densities overlap.

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
    (μ_b - μ_a)ᵀ S⁻¹ (μ_b - μ_a) / 8 + ln(det S / √(det A det B)) / 2 with S = (A + B) / 2: Bhattacharyya
    (1943); Kailath (1967), The divergence and Bhattacharyya distance measures in signal selection. exp(-distance) is
    their coefficient of overlap, and the chance to tell a row of a from one of b is at least 1 - exp(-distance) / 2.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> a, b = covdist.moments(x), covdist.moments(2 * x)
    >>> round(float(covdist.bhattacharyya(a, b)), 4)
    0.2231
    """
    attrs = {"ddof": ddof, "long_name": "Bhattacharyya distance", "units": "nats"}
    pair = Pair.of(m_a, m_b, "bhattacharyya", shrink)
    return pair.read(answer_of, (), "bhattacharyya", ddof, shrink, name="bhattacharyya", attrs=attrs)

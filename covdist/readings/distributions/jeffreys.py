"""Jeffreys divergence of two Gaussians."""

from __future__ import annotations

import xarray as xr

from covdist.readings.distributions.pairs import Pair, answer_of
from covdist.results.moments import Moments
from covdist.results.names import own_names


@own_names
def jeffreys(m_a: Moments, m_b: Moments, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray:
    """Jeffreys divergence of the Gaussians of two states: KL(a ‖ b) + KL(b ‖ a).

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
    Jeffreys (1946), An invariant form for the prior probability in estimation problems: the sum, of which
    some take half. See :func:`covdist.kl_divergence`.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> a, b = covdist.moments(x), covdist.moments(2 * x)
    >>> round(float(covdist.jeffreys(a, b)), 4)
    2.25
    """
    attrs = {"ddof": ddof, "long_name": "Jeffreys divergence", "units": "nats"}
    pair = Pair.of(m_a, m_b, "jeffreys", shrink)
    return pair.read(answer_of, (), "jeffreys", ddof, shrink, name="jeffreys", attrs=attrs)

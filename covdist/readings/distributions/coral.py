"""CORAL: how far two covariances are apart."""

from __future__ import annotations

import xarray as xr

from covdist.readings.distributions.pairs import Pair, answer_of
from covdist.results.moments import Moments
from covdist.results.names import own_names


@own_names
def coral(m_a: Moments, m_b: Moments, *, ddof: float = 0) -> xr.DataArray:
    """CORAL loss of two covariances: the mean square of what their entries differ by, over 4.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns, with a matrix. With a number for each group where both have the same groups; where one
        alone has groups, each of them is set against the other.
    ddof : float
        The divisor of the covariances is N - ddof; 0 by default.

    Returns
    -------
    DataArray
        float64, in fourth powers of the columns' unit: exactly 0 for equal covariances, whatever the means; lazy where
        a state is. NaN where a covariance has NaN.

    Raises
    ------
    DataError
        If the columns or groups differ, or a state holds no matrix.

    Notes
    -----
    ‖A - B‖²_F / (4 d²) of d columns, Sun and Saenko (2016), Deep CORAL: correlation alignment for deep
    domain adaptation, equation 1; they divide by N - 1, as ``ddof=1`` does.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(float(covdist.coral(covdist.moments(x), covdist.moments(2 * x + 1))), 6)
    0.28125
    """
    attrs = {"ddof": ddof, "long_name": "CORAL loss", "units": "fourth powers of the columns' units"}
    pair = Pair.of(m_a, m_b, "coral")
    return pair.read(answer_of, (), "coral", ddof, name="coral", attrs=attrs)

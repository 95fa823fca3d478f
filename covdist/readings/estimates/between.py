"""Moments of the groups' means."""

from __future__ import annotations

from covdist.readings.estimates.within import pooled
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.grouped import Grouped


@reading
def between(m: Moments, dim: str) -> Moments:
    """Moments of as many rows as there are, each at the mean of its group: the scatter of the groups' means.

    Parameters
    ----------
    m : Moments
        With a matrix, or of single columns; with groups.
    dim : str
        The name of the groups' dim, or one of the coordinates that they are by, as for :func:`covdist.within`.

    Returns
    -------
    Moments
        Of all rows, or all of each group that is left; lazy where ``m`` is.

    Raises
    ------
    MergeError
        If ``m`` has no such groups.

    Notes
    -----
    It and :func:`covdist.within` add up to ``m.merge(dim)``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[0.0], [2.0], [10.0], [12.0]]), by=np.array([0, 0, 1, 1]))
    >>> m.between("group").cov().item()
    25.0
    """
    return pooled(m, dim, "between", Grouped.between)


read = between

"""Moments of the groups' means."""

from __future__ import annotations

from dataclasses import replace

from covdist.readings.estimates.within import check_groups
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.grouped import Grouped


@reading
def between(m: Moments, dim: str) -> Moments:
    """Moments of as many rows as there are, each at the mean of its group: the scatter of the groups' means.

    Parameters
    ----------
    m : Moments
        With a matrix, and groups by one coordinate.
    dim : str
        The name of the groups' dim.

    Returns
    -------
    Moments
        Of all rows; lazy where ``m`` is.

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
    check_groups(m, dim, "between")
    return Moments(m.asking("estimate").map(Grouped.between), replace(m.layout, groups=None))


read = between

"""Moments inside groups: the sum of their scatters."""

from __future__ import annotations

from dataclasses import replace

from covdist.errors import MergeError
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.grouped import Grouped


@reading
def within(m: Moments, dim: str) -> Moments:
    """Moments of all rows about the mean of their own group: the pooled scatter inside the groups.

    Parameters
    ----------
    m : Moments
        With a matrix, and groups by one coordinate.
    dim : str
        The name of the groups' dim.

    Returns
    -------
    Moments
        Count, weights and mean are those of all rows, scatter and variances the sum of the groups' own; lazy where
        ``m`` is. ``ddof`` counts from N: of g groups ``m.within("label").cov(ddof=g)`` is the unbiased covariance.

    Raises
    ------
    MergeError
        If ``m`` has no such groups.

    Notes
    -----
    ``m.within(dim)`` and :func:`covdist.between` add up to ``m.merge(dim)``: the scatters of linear discriminants.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[0.0], [2.0], [10.0], [12.0]]), by=np.array([0, 0, 1, 1]))
    >>> m.within("group").var().item(), m.between("group").var().item(), m.merge("group").var().item()
    (1.0, 25.0, 26.0)
    """
    check_groups(m, dim, "within")
    return Moments(m.asking("estimate").map(Grouped.within), replace(m.layout, groups=None))


read = within


def check_groups(m: Moments, dim: str, what: str) -> None:
    groups = m.layout.groups
    if groups is None or dim != groups.dim or groups.levels:
        found = "no groups" if groups is None else f"groups by {', '.join(map(repr, groups.levels or (groups.dim,)))}"
        raise MergeError(f"{what}({dim!r}) needs groups by that coordinate alone, this state has {found}")

"""Moments inside groups: the sum of their scatters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from covdist.errors import MergeError
from covdist.given import dim_name
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.grouped import Grouped


@reading
def within(m: Moments, dim: str) -> Moments:
    """Moments of all rows about the mean of their own group: the pooled scatter inside the groups.

    Parameters
    ----------
    m : Moments
        With a matrix, or of single columns; with groups.
    dim : str
        The name of the groups' dim, or one of the coordinates that they are by: of moments by ("epoch", "label")
        ``m.within("label")`` has those within the labels of each epoch.

    Returns
    -------
    Moments
        Count, weights and mean are those of all rows, or all of a group that is left, scatter and variances the sum of
        the groups' own; lazy where ``m`` is. ``ddof`` counts from N: of g groups ``m.within("label").cov(ddof=g)`` is
        the unbiased covariance.

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
    return pooled(m, dim, "within", Grouped.within)


read = within


def pooled(m: Moments, dim: str, what: str, function: Callable[[Grouped], Any]) -> Moments:
    """Return the moments of a function of all groups, or of those that are alike in their other coordinates."""
    groups = m.layout.groups
    if groups is None or dim_name("dim", dim) not in (groups.dim, *groups.levels):
        raise MergeError(f"{what}({dim!r}) needs groups by that coordinate, this state has {m.layout.grouped()}")
    deferred = m.asking("deviation" if m.can_answer("deviation") else "estimate")
    if dim not in groups.levels:
        return Moments(deferred.map(function), replace(m.layout, groups=None))
    left, codes = groups.without(dim, np.ones(groups.size, bool))
    each = partial(_for_each, codes=codes, count=left.size, function=function)
    return Moments(deferred.map(each), replace(m.layout, groups=left))


def _for_each(state: Grouped, codes: np.ndarray, count: int, function: Callable[[Grouped], Any]) -> Grouped:
    numbers, parts = np.arange(len(codes)), {}
    for code in range(count):
        some = state.regrouped(np.where(codes == code, numbers, -1))
        if some:
            parts[code] = function(some)
    return Grouped(state.inner, parts)

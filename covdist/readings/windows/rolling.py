"""Moments over a window of groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.results.labels import Groups
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import merged
from covdist.state.grouped import Grouped

Kept = Callable[[np.ndarray], np.ndarray]  # of groups, whether they have rows
Sums = Callable[[Sequence[Any]], Iterable[Any]]  # of states, one for each


@reading
def rolling(m: Moments, dim: str, n: int, *, min_periods: int | None = None) -> Moments:
    """Moments of each group and the ``n - 1`` before it.

    Parameters
    ----------
    m : Moments
        With groups by a coordinate whose order is that of time, such as a step, or :func:`covdist.bins` of steps; where
        there are several coordinates, the groups that are alike in the others follow each other.
    dim : str
        The coordinate.
    n : int
        Groups in a window.
    min_periods : int, optional
        Results of windows with fewer groups that have rows are NaN, and their count 0; ``n`` by default, as in pandas.

    Returns
    -------
    Moments
        With the same groups; lazy where ``m`` is. Rows count in several of them, so that merging them makes no sense.

    Raises
    ------
    MergeError
        If ``m`` has no such groups, or its state depends on the order of the rows.
    DataError
        If ``n`` or ``min_periods`` is no number of groups.

    Notes
    -----
    Windows are sums of states, nothing is subtracted: as exact as folding the rows of each again.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0], [3.0], [5.0], [11.0]]), by=np.array([0, 10, 20, 30]))
    >>> m.rolling("group", 2).mean().values.ravel()
    array([nan,  2.,  4.,  8.])
    >>> m.rolling("group", 2, min_periods=1).var().values.ravel()
    array([0., 1., 1., 9.])
    """
    least = n if min_periods is None else min_periods
    for name, given, most in (("n", n, np.inf), ("min_periods", least, n)):
        if not isinstance(given, int | np.integer) or not 1 <= given <= most:
            raise DataError(f"{name}={given!r} is no number of groups in a window: pass 1 or more, min_periods up to n")
    return summed(m, dim, f"rolling({dim!r}, {n})", partial(windows, size=int(n)), partial(_full, n=n, least=least))


read = rolling


def summed(m: Moments, dim: str, what: str, sums: Sums, kept: Kept) -> Moments:
    """Return moments whose groups are sums of neighbours; ``kept`` says which, of which groups have rows."""
    if m.layout.groups is None or dim not in (m.layout.groups.levels or (m.layout.groups.dim,)):
        raise MergeError(f"{what} needs groups by that coordinate, this state has {m.layout.grouped()}")
    if m.layout.state.ordered:
        raise MergeError(
            f"{what} cannot merge groups of a {m.layout.describe()}, which depends on the order of the rows: fold the "
            "rows of each window"
        )
    layout = replace(m.layout, provenance={**m.layout.provenance, "windows": what})
    each = partial(_summed, runs=_runs(m.layout.groups, dim), sums=sums, kept=kept)
    return Moments(m.deferred.map(each), layout)


def _runs(groups: Groups, dim: str) -> list[np.ndarray]:
    """Return the codes of groups that are alike in the other coordinates, in their order."""
    if not groups.levels:
        return [np.arange(groups.size)]
    numbers = groups.without(dim, np.ones(groups.size, bool))[1]
    return [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]


def _summed(state: Grouped, runs: Sequence[np.ndarray], sums: Sums, kept: Kept) -> Grouped:
    found: dict[int, Any] = {}
    for codes in runs:
        states = [state.group(code) for code in codes.tolist()]
        with_rows = kept(np.array([each.columns.rows > 0 for each in states]))
        found |= {code: one for code, one, has in zip(codes.tolist(), sums(states), with_rows, strict=True) if has}
    return Grouped(state.inner, dict(sorted(found.items())))


def _full(with_rows: np.ndarray, n: int, least: int) -> np.ndarray:
    count = np.cumsum(with_rows)
    count[n:] -= count[:-n].copy()
    return count >= least


# ---- sums of neighbouring states: none is subtracted, which would lose digits


def up_to_each(states: Sequence[Any]) -> list[Any]:
    """Return for each state the sum of it and those before it."""
    return list(accumulate(states, merged))


def from_each(states: Sequence[Any]) -> list[Any]:
    """Return for each state the sum of it and those after it."""
    return list(accumulate(reversed(states), lambda later, earlier: merged(earlier, later)))[::-1]


def all_but_each(states: Sequence[Any]) -> Iterator[Any]:
    """Yield for each of two states or more the sum of all others."""
    after = from_each(states)
    yield after[1]
    before = states[0]
    for state, rest in zip(states[1:], after[2:], strict=False):
        yield merged(before, rest)
        before = merged(before, state)
    yield before


def windows(states: Sequence[Any], size: int) -> Iterator[Any]:
    """Yield for each state the sum of it and the ``size - 1`` before it, or as many as there are.

    A window lies in two blocks of ``size`` states, and is the end of one and the beginning of the other (van Herk 1992;
    Gil and Werman 1993): three merges a state, however long the window is.
    """
    ends: list[Any] = []
    for start in range(0, len(states), size):
        block = states[start : start + size]
        for place, beginning in enumerate(up_to_each(block), 1):
            yield ends[place].merge(beginning) if place < len(ends) else beginning
        ends = from_each(block)

"""Moments over a window of groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, islice
from typing import Any

import numpy as np

from covdist.errors import DataError, MergeError
from covdist.given import dim_name
from covdist.results.deferred import by_group
from covdist.results.labels import Groups
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import get, merged
from covdist.state.grouped import Grouped

Kept = Callable[[np.ndarray], np.ndarray]  # of groups, whether they have rows
HELD = 64  # states that are held at once
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
        If ``n`` or ``min_periods`` is not a number of groups.

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
            raise DataError(
                f"{name}={given!r} is not a number of groups in a window: pass 1 or more, min_periods up to n"
            )
    return summed(
        m, dim, f"rolling({dim!r}, {n})", partial(windows, size=int(n)), partial(_full, n=n, least=least), int(n)
    )


read = rolling


def summed(m: Moments, dim: str, what: str, sums: Sums, kept: Kept, size: int | None = None) -> Moments:
    """Return moments whose groups are sums of neighbours: of each and the ``size - 1``, or all, before it.

    ``kept`` says which are wanted, of which groups have rows.
    """
    if m.layout.groups is None or dim_name("dim", dim) not in (m.layout.groups.levels or (m.layout.groups.dim,)):
        raise MergeError(f"{what} needs groups by that coordinate, this state has {m.layout.grouped()}")
    if m.layout.state.ordered:
        raise MergeError(
            f"{what} cannot merge groups of a {m.layout.describe()}, which depends on the order of the rows: fold the "
            "rows of each window"
        )
    layout = replace(m.layout, provenance={**m.layout.provenance, "windows": what})
    each = partial(_summed, runs=_runs(m.layout.groups, dim), sums=sums, kept=kept, size=size)
    return Moments(m.deferred.map(each), layout)


def _runs(groups: Groups, dim: str) -> list[np.ndarray]:
    """Return the codes of groups that are alike in the other coordinates, in their order."""
    if not groups.levels:
        return [np.arange(groups.size)]
    numbers = groups.without(dim, np.ones(groups.size, bool))[1]
    return [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]


def _summed(state: Grouped, runs: Sequence[np.ndarray], sums: Sums, kept: Kept, size: int | None) -> Grouped:
    folded: dict[int, Any] = {}
    few: dict[int, list[int]] = {}
    rows = by_group(state, get, (1 + max(int(codes.max()) for codes in runs),), "columns.rows")
    for codes in runs:
        wanted = set(codes[kept(rows[codes] > 0)].tolist())
        small = {code: some for code, some in _of_few(state, codes.tolist(), size) if code in wanted}
        few |= small
        if len(small) < len(wanted):
            every = zip(codes.tolist(), sums(_Folded(state, codes.tolist())), strict=True)
            folded |= {code: one for code, one in every if code in wanted and code not in small}
    rows_of = state.few.gathered(few) if state.few is not None else None
    return Grouped(state.inner, dict(sorted(folded.items())), rows_of)


def _of_few(state: Grouped, codes: list[int], size: int | None) -> Iterator[tuple[int, list[int]]]:
    """Yield the codes whose windows have few rows in all, none of them folded, and the groups in these."""
    if (few := state.few) is None:
        return
    sizes = dict(zip(few.codes(), few.sizes().tolist(), strict=True))
    sizes |= dict.fromkeys(state.folded, few.folding.few)
    first, rows = 0, 0
    for place, code in enumerate(codes):
        rows += sizes.get(code, 0)
        if size is not None and place >= size:
            rows -= sizes.get(codes[first], 0)
            first += 1
        if rows < few.folding.few:
            yield code, codes[first : place + 1]


class _Folded(Sequence[Any]):
    """The states of some groups, folded when they are asked for: of few rows all take more memory than their rows."""

    def __init__(self, state: Grouped, codes: list[int]):
        self._state, self._codes = state, codes

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, place: Any) -> Any:
        found = self._codes[place]
        return _Folded(self._state, found) if isinstance(found, list) else self._state.group(found)


def _full(with_rows: np.ndarray, n: int, least: int) -> np.ndarray:
    count = np.cumsum(with_rows)
    count[n:] -= count[:-n].copy()
    return count >= least


# ---- sums of neighbouring states: none is subtracted, which would lose digits


def up_to_each(states: Sequence[Any]) -> Iterator[Any]:
    """Yield for each state the sum of it and those before it."""
    return accumulate(states, merged)


def from_each(states: Sequence[Any]) -> Iterator[Any]:
    """Yield for each state the sum of it and those after it.

    Of n states more than 64, 2 √n are held, and each is added twice.
    """
    count = len(states)
    step = count if count <= HELD else math.isqrt(count)
    starts, later = range(0, count, max(1, step)), [None]
    for start in reversed(starts[1:]):
        later.append(_backwards(states[start : start + step], later[-1])[0])
    for start in starts:
        yield from _backwards(states[start : start + step], later.pop())


def _backwards(states: Sequence[Any], later: Any) -> list[Any]:
    """Return for each state the sum of it, those after it, and what is later."""
    each = reversed(states) if later is None else [later, *reversed(states)]
    found = list(accumulate(each, lambda last, one: merged(one, last)))
    return found[::-1][: len(states)]


def all_but_each(states: Sequence[Any]) -> Iterator[Any]:
    """Yield for each of two states or more the sum of all others."""
    after = from_each(states)
    next(after)
    yield next(after)
    before = states[0]
    for number, rest in enumerate(after, 1):
        yield merged(before, rest)
        before = merged(before, states[number])
    yield before


def windows(states: Sequence[Any], size: int) -> Iterator[Any]:
    """Yield for each state the sum of it and the ``size - 1`` before it, or as many as there are.

    A window lies in two blocks of ``size`` states, and is the end of one and the beginning of the other (van Herk 1992;
    Gil and Werman 1993): three merges a state, however long the window is.
    """
    ends: Iterator[Any] = iter(())
    for start in range(0, len(states), size):
        block = states[start : start + size]
        for beginning in up_to_each(block):
            end = next(ends, None)
            yield beginning if end is None else end.merge(beginning)
        ends = islice(from_each(block), 1, None)

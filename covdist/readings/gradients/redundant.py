"""Groups of units that say the same: correlations beyond a threshold, as a graph."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import delayed
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from covdist.errors import DataError
from covdist.numerics.dependence.correlated_pairs import Links
from covdist.results.deferred import apply
from covdist.results.labels import labelled
from covdist.results.moments import Moments
from covdist.results.reading import reading

_STRIP_BYTES = 1 << 24  # of correlations looked at together


@reading
def redundant(m: Moments, *, threshold: float = 0.99) -> xr.Dataset:
    """Pairs of units whose correlation is beyond a threshold, with either sign, and the groups that they make.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix, in memory or in tiles, or with ``state="sampled"``, which for 10,000 columns and more needs
        neither; without groups.
    threshold : float
        From 0 to 1: pairs whose correlation lies further from 0 are linked; 0.99 by default, where one unit explains
        98 % of the other's variance.

    Returns
    -------
    Dataset
        Along ``pair`` ``first`` and ``second``, int64, the places of two linked columns, the earlier one first, and
        ``r``, float64, their correlation. Along the columns ``group``, int64: the place of the first column of the
        group, which is its own where it has no link; and ``repeats``, bool, whether an earlier column is linked to it.
        Of a state "sampled" also ``standard_error`` of ``r``, along ``pair``: 0 where it keeps all rows.
        Computed, also where ``m`` is lazy: how many pairs there are is known only then.

    Raises
    ------
    DataError
        If ``m`` has no matrix, or has groups, or the threshold is none.

    Notes
    -----
    Groups are the connected components of the graph of the pairs, as single linkage cut at the threshold has them: two
    columns of one group need not be linked themselves. The matrix is read some rows at a time, or a tile at a time, and
    never held as a whole; what is kept grows with the number of pairs. A constant column has no correlation, and no
    link.

    Off a state "sampled" correlations are those of the rows that it keeps, (1 - r²)/√rows from those of all rows. Pairs
    are looked for among 256 Gaussian projections of the kept rows, whose cosines are to r what a sample correlation of
    256 normal rows is: Fisher's z is off by 1/16 (Fisher 1921). Those within 4.76 such errors of the threshold are
    looked at with all kept rows, so that of pairs at the threshold one in a million is missed, and fewer beyond it.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> x = np.column_stack([x, -2 * x[:, 0]])
    >>> found = covdist.moments(x).redundant()
    >>> found["first"].values, found["second"].values, found["group"].values
    (array([0]), array([3]), array([0, 1, 2, 0]))
    >>> int(found["repeats"].sum())
    1
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not 0 <= threshold < 1:
        raise DataError(f"threshold={threshold!r} is not a correlation: pass a number from 0 up to less than 1")
    if len(m.layout.axes) > 1:
        raise DataError(f"redundant reads one array's columns, found a {m.layout.describe()}: fold x without y")
    if m.layout.groups is not None:
        raise DataError(
            f"redundant reads one matrix, this state has {m.layout.grouped()}: read one group, such as "
            f"m.sel({m.layout.groups.dim}=...).redundant()"
        )
    found, unit = (
        _of_sample(m, threshold) if m.can_answer("correlated_pairs") else (_joined(_links(m, threshold)), None)
    )
    axis = m.layout.axes[0]
    group = _components(found, axis.size)
    repeats = np.zeros(axis.size, bool)
    repeats[found.second] = True
    pairs = {name: ("pair", values) for name, values in found._asdict().items()}
    if unit is not None:
        pairs["standard_error"] = ("pair", unit * (1 - found.r**2))
    of_units = {"group": group, "repeats": repeats}
    arrays = {name: labelled(values, [axis], None, name) for name, values in of_units.items()}
    about = {
        "first": "place of the earlier column of a pair", "second": "place of the later column of a pair",
        "r": "correlation of the pair", "group": "place of the first column of the group",
        "repeats": "whether an earlier column is linked to it", "standard_error": "standard error of r",
    }  # fmt: skip
    result = xr.Dataset({**pairs, **arrays}, attrs={"threshold": float(threshold), "linkage": "single"})
    for name in result.data_vars:
        result[name].attrs |= {"long_name": about[str(name)], "units": "1"}
    return result


read = redundant


def links(state: Any, threshold: float) -> Links:
    """Return the pairs of a state's columns with correlations beyond the threshold, some rows at a time."""
    width = len(state.side(0).mean())
    height = max(1, _STRIP_BYTES // (8 * max(width, 1)))
    starts = range(0, width, height)
    return _joined([_beyond(state.correlation(slice(s, min(s + height, width))), threshold, s, 0) for s in starts])


def _of_sample(m: Moments, threshold: float) -> tuple[Links, float]:
    """Return the links in the rows that a state keeps, and what their standard errors are multiples of."""
    (state,) = m.asking("correlated_pairs").parts
    ((found, unit),) = compute(apply(_pairs_of, state, threshold))
    return found, unit


def _pairs_of(state: Any, threshold: float) -> Any:
    return state.correlated_pairs(threshold)


def _links(m: Moments, threshold: float) -> list[Links]:
    if m.matrix is None:
        (state,) = m.asking("correlation").parts
        return list(compute(apply(_links_of, state, threshold)))
    tiles = m.matrix.corr(m.deferred)
    starts = np.concatenate([[0], np.cumsum(tiles.chunks[0])])
    blocks = tiles.to_delayed()
    pairs = combinations_with_replacement(range(len(blocks)), 2)
    return list(compute(*(delayed(_beyond)(blocks[i, j], threshold, starts[i], starts[j]) for i, j in pairs)))


def _links_of(state: Any, threshold: float) -> Links:
    return links(state, threshold)


def _beyond(correlations: np.ndarray, threshold: float, start: int, start_2: int) -> Links:
    """Return the pairs above the diagonal in part of a matrix that begins at a row and a column."""
    first, second = np.nonzero(np.abs(correlations) > threshold)
    upper = first + start < second + start_2
    first, second = first[upper], second[upper]
    return Links(first + start, second + start_2, correlations[first, second])


def _joined(parts: list[Links]) -> Links:
    """Return all pairs, in the order of their places."""
    found = Links(*(np.concatenate([np.asarray(each), *more]) for each, *more in zip(*parts, strict=True)))
    order = np.lexsort((found.second, found.first))
    return Links(*(each[order] for each in found))


def _components(found: Links, width: int) -> np.ndarray:
    """Return, for each column, the first of those that it hangs together with."""
    graph = coo_array((np.ones(len(found.r), bool), (found.first, found.second)), shape=(width, width))
    _, labels = connected_components(graph, directed=False)
    _, firsts = np.unique(labels, return_index=True)
    return firsts[labels].astype(np.int64)

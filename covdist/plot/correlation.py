"""A correlation matrix, or another one, as a heat map with like columns side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.given import one_of
from covdist.plot._canvas import BOTH_SIGNS, computed, drawn
from covdist.plot._matrix import MOST_CLUSTERED, MOST_OPTIMAL, averaged, factor, heat_map, orders
from covdist.results.labelled_state import LabelledState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from covdist.plot._canvas import Picture

_CLUSTERED, _GIVEN = "clustered", "given"


def correlation(x: LabelledState | xr.DataArray, *, ax: Axes | None = None, order: str = _CLUSTERED) -> Picture:
    """Heat map of a correlation matrix, blue to red about 0, with like columns side by side.

    Parameters
    ----------
    x : Moments or DataArray
        Moments with a matrix, of which the correlations are drawn; or a matrix along the last two dims, such as
        :func:`covdist.corr`, :func:`covdist.cov`, ``m.shrink(...)`` or ``m.partial_corr()`` give. Dims before them are
        groups.
    ax : matplotlib Axes, optional
        To draw on; by default new ones. Groups need a figure of their own.
    order : str
        "clustered": by average linkage of 1 - |r|, with the best order of the leaves up to 1,024 columns, the same in
        all groups; of x with y by rows and columns that are alike. "given": as the columns come; so are more than
        4,096 in any case.

    Returns
    -------
    Axes or FacetGrid
        A FacetGrid where there are groups, of at most 12 of them. Colours are symmetric about 0, up to 1 for
        correlations; grey is no value. Of more than 512 columns means of blocks are drawn, the title says of how many,
        and colours reach to the largest mean off the diagonal.

    Raises
    ------
    DataError
        If ``x`` holds no matrix, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> ax = covdist.plot.correlation(covdist.moments(np.hstack([x, x + 0.1])))
    >>> ax.get_title(), [text.get_text() for text in ax.get_xticklabels()]
    ('Correlation', ['0', '3', '1', '4', '5', '2'])
    """
    one_of("order", order, (_CLUSTERED, _GIVEN))
    matrix, what = matrix_of(x)
    first, second = dims = matrix.dims[-2], matrix.dims[-1]
    clustered = order == _CLUSTERED and max(matrix.sizes[dim] for dim in dims) <= MOST_CLUSTERED
    matrix = in_clusters(computed(matrix)) if clustered else matrix
    factors = [factor(matrix.sizes[dim]) for dim in dims]
    small = computed(averaged(matrix, dims))
    limit = limit_of(small, max(factors) > 1)
    said = f", means of {factors[0]:,} × {factors[1]:,}" if max(factors) > 1 else ""

    def draw(one: xr.DataArray, panel: Axes) -> AxesImage:
        image = heat_map(panel, one, dims, BOTH_SIGNS, (-limit, limit))
        panel.set_aspect("equal" if len(set(one.shape)) == 1 else "auto")
        for dim, write in ((first, panel.set_ylabel), (second, panel.set_xlabel)):
            name = first if second == f"{first}_2" else dim
            write(_along(str(name), matrix.sizes[dim], clustered), parse_math=False)
        return image

    units = matrix.attrs.get("units", "1")
    scale = what + ("" if units == "1" else f" [{units}]")
    title = f"{what[:1].upper()}{what[1:]}{said}"
    return drawn(small, draw, ax, groups=matrix.dims[:-2], title=title, scale=scale, size=(6.0, 5.0))


def _along(dim: str, size: int, clustered: bool) -> str:
    return f"{shown(dim)} ({size:,}{', clustered' if clustered and size > 2 else ''})"


def matrix_of(x: Any) -> tuple[xr.DataArray, str]:
    """Return a matrix along the last two dims, and what it is."""
    if isinstance(x, LabelledState):
        found: xr.DataArray = x.corr()  # type: ignore[attr-defined]
        first, second = x.layout.matrix_axes()
        if first.dim is None:
            found = found.expand_dims("column", found.ndim - (second.dim is not None))
        if second.dim is None:
            found = found.expand_dims("column_2", found.ndim)
        sizes: tuple[int, ...] = (first.size, second.size)
    elif isinstance(x, xr.DataArray):
        found, sizes = x, x.shape[-2:]
    else:
        raise DataError(
            f"correlation draws a matrix, found a {type(x).__name__}: pass covdist.moments(x, dim=...), or what "
            "covdist.corr(x, dim=...) gives"
        )
    if found.ndim < 2 or found.shape[-2:] != tuple(sizes) or not found.size or found.dtype.kind not in "fiub":
        raise DataError(
            f"correlation draws a matrix of numbers along the last two dims, found the dims {found.dims} of sizes "
            f"{found.shape} and dtype {found.dtype}: pass what covdist.corr(x, dim=...) gives"
        )
    return found, str(found.attrs.get("long_name", found.name or "value"))


def in_clusters(matrix: xr.DataArray, optimal: int = MOST_OPTIMAL) -> xr.DataArray:
    """Return a matrix, or one of each group, with like rows and columns side by side."""
    values = matrix.to_numpy().astype(np.float64).reshape(-1, *matrix.shape[-2:])
    square = values.shape[1] == values.shape[2] and np.allclose(values, np.swapaxes(values, 1, 2), equal_nan=True)
    typical = np.abs(values[0]) if square and len(values) == 1 else values[0]
    if len(values) > 1:  # a group without rows has NaN alone
        known = np.isfinite(values)
        each = np.abs(values) if square else values
        typical = np.where(known, each, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    rows, columns = orders(typical, square, optimal)
    bare = [dim for dim in matrix.dims[-2:] if dim not in matrix.indexes]
    matrix = matrix.assign_coords({dim: np.arange(matrix.sizes[dim]) for dim in bare})
    return matrix.isel({matrix.dims[-2]: rows, matrix.dims[-1]: columns})


def limit_of(small: xr.DataArray, averaged: bool) -> float:
    """Return the largest magnitude of the scale: 1 of correlations, unless averages make them faint."""
    values = np.abs(small.to_numpy().astype(np.float64))
    if averaged and values.shape[-1] == values.shape[-2]:  # on the diagonal there are ones
        own = np.arange(values.shape[-1])
        values[..., own, own] = np.nan
    most = float(np.max(values[np.isfinite(values)], initial=0.0))
    return 1.0 if not averaged and most <= 1 and "corr" in str(small.name) else most or 1.0

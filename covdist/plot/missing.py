"""Where values are missing: which columns, in which rows or groups."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from dask.base import compute

from covdist.errors import DataError, shown
from covdist.plot._canvas import BLUE, ONE_SIGN, drawn, name_places, names_along, note
from covdist.plot._matrix import averaged, factor, heat_map
from covdist.results.labelled_state import LabelledState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from covdist.plot._canvas import Picture

_COLUMN, _ROW = "column", "row"


def missing(x: LabelledState | xr.DataArray, *, dim: Hashable | None = None, ax: Axes | None = None) -> Picture:
    """Map of missing values, NaN and infinite: shares of rows, by column and group, or by column and row of an array.

    Parameters
    ----------
    x : Moments or DataArray
        Moments that were folded with a policy that counts, such as ``missing="drop"``, ``"pairwise"`` or
        ``"propagate"``; or the rows themselves, also lazy, which are read once.
    dim : str, optional
        The sample dim of rows; by default the first.
    ax : matplotlib Axes, optional
        To draw on; by default new ones.

    Returns
    -------
    Axes
        Of moments without groups, bars of each column's share; else a map, groups or rows downward. Beyond 512 places
        means of blocks are drawn.

    Raises
    ------
    DataError
        If ``x`` is nothing of the kind, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0], [6.0, np.nan]])
    >>> ax = covdist.plot.missing(covdist.moments(x, missing="drop"))
    >>> [float(patch.get_height()) for patch in ax.patches], ax.get_title()
    ([0.25, 0.25], 'Missing values: 2 of 8')
    """
    if isinstance(x, LabelledState):
        share, gaps, of = missing_shares(x)
        sizes = share.sizes
    elif isinstance(x, xr.DataArray) and x.ndim and x.dtype.kind in "fiub":
        sizes, share, gaps, of = _of_rows(x, dim)
    else:
        raise DataError(
            f"missing draws where numbers are missing, found {_found(x)}: pass covdist.moments(x, dim=..., "
            "missing='drop'), or the rows as a DataArray of numbers"
        )
    title = f"Missing values: {gaps:,} of {of:,}"
    if share.ndim == 1:
        return drawn(share, _bars, ax, title=title)
    down, across = dims = share.dims[0], share.dims[1]
    factors = factor(sizes[down]), factor(sizes[across])
    if max(factors) > 1:
        title += f", means of {factors[0]:,} × {factors[1]:,}"
    small = averaged(share, dims)

    def draw(one: xr.DataArray, panel: Axes) -> AxesImage:
        image = heat_map(panel, one, dims, ONE_SIGN, (0.0, max(float(one.max()), 0.0) or 1.0))
        panel.set_xlabel(f"{shown(str(across))} ({sizes[across]:,})", parse_math=False)
        panel.set_ylabel(f"{shown(str(down))} ({sizes[down]:,})", parse_math=False)
        return image

    return drawn(small, draw, ax, title=title, scale="share of values that are missing")


def _found(x: Any) -> str:
    return (
        f"a DataArray of {x.dtype} with the dims {x.dims}" if isinstance(x, xr.DataArray) else f"a {type(x).__name__}"
    )


def missing_shares(m: Any) -> tuple[xr.DataArray, int, int]:
    """Return shares by group and column, how many values are missing, and of how many."""
    m = m.compute(scheduler="threads") if m.deferred.lazy else m
    groups = m.layout.groups
    found, seen = (_flat(each, None if groups is None else groups.dim) for each in (holes(m), m.read_columns(_seen)))
    with np.errstate(invalid="ignore"):
        share = (found / seen).where(seen > 0)
    return share, int(found.sum()), int(seen.sum())


def holes(m: LabelledState) -> xr.DataArray:
    """Return how many values of each column, and group, are NaN or infinite."""
    return m.read_columns(_holes, dtype=np.int64)


def _flat(array: xr.DataArray, groups: Hashable | None) -> xr.DataArray:
    """Return an array along its groups and at most one dim of columns."""
    columns = [dim for dim in array.dims if dim != groups]
    return array if columns else array.expand_dims(_COLUMN, axis=array.ndim)


def _holes(columns: Any) -> np.ndarray:
    census = columns.columns.census
    return census.nans + census.infs


def _seen(columns: Any) -> np.ndarray:
    found = columns.columns
    return np.full(found.mean.shape, found.rows + found.skipped, dtype=np.int64)


def _of_rows(x: xr.DataArray, dim: Hashable | None) -> tuple[Mapping[Hashable, int], xr.DataArray, int, int]:
    """Return the sizes of rows and columns, shares of blocks of them, how many values are missing, and of how many."""
    rows = x.dims[0] if dim is None else dim
    if rows not in x.dims:
        raise DataError(f"dim={rows!r} is not a dim of the rows, which have {x.dims}: pass one of them")
    others = [each for each in x.dims if each != rows]
    flat = (
        x.stack({_COLUMN: others}, create_index=False) if len(others) > 1 else x if others else x.expand_dims(_COLUMN)
    )
    flat = flat.transpose(rows, ...)
    gaps = ~xr.apply_ufunc(np.isfinite, flat, dask="allowed")
    small = averaged(gaps.astype(np.float32), (flat.dims[0], flat.dims[1]))
    small, count = compute(small, gaps.sum(), scheduler="threads")
    return flat.sizes, small, int(count), x.size


def _bars(share: xr.DataArray, ax: Axes) -> None:
    (dim,) = share.dims
    if not share.notnull().any():
        note(ax, "no rows")
        return
    ax.bar(range(share.size), share.to_numpy(), width=0.8 if share.size <= 200 else 1.0, color=BLUE)
    name_places(ax, names_along(share, dim), "x")
    ax.set_xlabel(f"{shown(str(dim))} ({share.size:,})", parse_math=False)
    ax.set_ylabel("share of rows that miss it")
    ax.set_ylim(0, max(float(share.max()) * 1.05, 0.0) or 1.0)

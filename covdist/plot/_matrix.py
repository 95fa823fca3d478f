"""Matrices as pictures: like columns side by side, and averages where there are more than a picture has room for."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.cluster.hierarchy
import scipy.spatial.distance
import xarray as xr

from covdist.plot._canvas import name_places, names_along

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_DRAWN = 512  # columns; of more, averages are drawn
MOST_CLUSTERED = 4096  # 2.8 s on one core, and 450 MiB for distances and their copies
MOST_OPTIMAL = 1024  # the best order of the leaves takes as many squared: 0.8 s


def order(distances: np.ndarray, optimal: int = MOST_OPTIMAL) -> np.ndarray:
    """Return the order of the leaves of an average linkage tree; what has no distance to others comes last."""
    known = np.flatnonzero(np.isfinite(distances).sum(axis=1) > 1)
    rest = np.setdiff1d(np.arange(len(distances)), known)
    if len(known) < 3:
        return np.concatenate([known, rest])
    some = np.nan_to_num(distances[np.ix_(known, known)], nan=1.0)
    np.fill_diagonal(some, 0.0)
    condensed = scipy.spatial.distance.squareform((some + some.T) / 2, checks=False)
    tree = scipy.cluster.hierarchy.linkage(condensed, "average")
    if len(known) <= optimal:
        tree = scipy.cluster.hierarchy.optimal_leaf_ordering(tree, condensed)
    return np.concatenate([known[scipy.cluster.hierarchy.leaves_list(tree)], rest])


def orders(values: np.ndarray, square: bool, optimal: int = MOST_OPTIMAL) -> tuple[np.ndarray, np.ndarray]:
    """Return orders of rows and columns that bring like ones together: by 1 - |value|, or of x with y by profiles."""
    if square:
        most = np.max(np.abs(values), where=np.isfinite(values), initial=0.0) or 1.0
        found = order(1 - np.abs(values) / most, optimal)
        return found, found
    rows, columns = (_profiles(each) for each in (values, values.T))
    return order(rows, optimal), order(columns, optimal)


def _profiles(values: np.ndarray) -> np.ndarray:
    """Return the root mean squares by which rows differ; NaN of rows that hold nothing."""
    filled = np.nan_to_num(values)
    found = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(filled)) / np.sqrt(max(values.shape[1], 1))
    nothing = np.isnan(values).all(axis=1)
    found[nothing], found[:, nothing] = np.nan, np.nan
    return found


def factor(size: int, most: int = MOST_DRAWN) -> int:
    """Return how many columns share a place in the picture."""
    return -(-size // most)


def averaged(x: xr.DataArray, dims: tuple[Hashable, Hashable], most: int = MOST_DRAWN) -> xr.DataArray:
    """Return the means of blocks that leave at most so many places as a picture has room for."""
    factors: dict[Any, int] = {dim: each for dim in dims if (each := factor(x.sizes[dim], most)) > 1}
    if not factors:
        return x
    bare = x.drop_vars([name for name in x.coords if set(x.coords[name].dims) & set(dims)])
    return bare.coarsen(factors, boundary="pad").mean()


def heat_map(
    ax: Axes, x: xr.DataArray, dims: tuple[Hashable, Hashable], colours: str, limits: tuple[float, float]
) -> AxesImage:
    """Draw a matrix, its first dim downward, and name its places where there is room."""
    import matplotlib as mpl

    from covdist.plot._canvas import NO_VALUE

    down, across = dims
    shades = mpl.colormaps[colours].with_extremes(bad=NO_VALUE)
    values = x.transpose(down, across).to_numpy().astype(np.float64)
    image = ax.imshow(
        np.ma.masked_invalid(values),
        cmap=shades,
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="nearest",
    )
    name_places(ax, names_along(x, across), "x")
    name_places(ax, names_along(x, down), "y")
    return image

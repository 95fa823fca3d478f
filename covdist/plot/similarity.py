"""How like each other layers are, as a heat map in the order of depth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.plot._canvas import ONE_SIGN, computed, drawn, names_along
from covdist.plot._matrix import heat_map
from covdist.readings.layers.similarity import similarity as similarity_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from covdist.plot._canvas import Picture

_MOST_WRITTEN = 12  # layers whose numbers have room


def similarity(x: Any, *, ax: Axes | None = None, **options: Any) -> Picture:
    """Heat map of layers with layers, in the order of the log: bright where they are alike.

    Parameters
    ----------
    x : DataArray, DataTree, mapping or Moments
        What :func:`covdist.similarity` gives, or what it takes.
    ax : matplotlib Axes, optional
        To draw on; by default new ones. Groups need a figure of their own.
    **options
        Of :func:`covdist.similarity`, where ``x`` is what it takes.

    Returns
    -------
    Axes or FacetGrid
        A FacetGrid where there are groups, of at most 12 of them. Up to 12 layers have their numbers; grey is no value.

    Raises
    ------
    DataError
        If ``x`` is nothing of the kind, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> ax = covdist.plot.similarity({"fc1": x, "fc2": np.tanh(x), "fc3": x[:, :2]})
    >>> [text.get_text() for text in ax.get_yticklabels()], ax.texts[1].get_text()
    (['fc1', 'fc2', 'fc3'], '0.92')
    """
    if not isinstance(x, xr.DataArray):
        x = similarity_of(x, **options)
    elif options:
        raise DataError(
            f"{', '.join(options)} is of covdist.similarity(log): leave it out where that was called before"
        )
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or not x.size:
        raise DataError(
            f"similarity draws layers with layers, found the dims {x.dims} of sizes {x.shape}: pass what "
            "covdist.similarity(log) gives"
        )
    found = computed(x)
    dims = found.dims[-2], found.dims[-1]
    values = found.to_numpy()
    limits = 0.0, max(1.0, float(np.max(values[np.isfinite(values)], initial=0.0)))
    method = found.attrs.get("method", "")
    title = f"Similarity of layers{f' ({method})' if method else ''}"

    def draw(one: xr.DataArray, panel: Axes) -> AxesImage:
        image = heat_map(panel, one, dims, ONE_SIGN, limits)
        panel.set_aspect("equal")
        if one.shape[0] <= _MOST_WRITTEN and found.ndim == 2:
            _write(panel, one, limits, dims)
        panel.set_xlabel("layer")
        panel.set_ylabel("layer")
        return image

    longest = max(map(len, names_along(found, dims[0])))
    size = 6.4 + 0.06 * min(longest, 24), 5.2 + 0.04 * min(longest, 24)
    scale = f"{method} distance" if method == "procrustes" else method or "similarity"
    return drawn(found, draw, ax, groups=found.dims[:-2], title=title, scale=scale, size=size)


def _write(panel: Axes, one: xr.DataArray, limits: tuple[float, float], dims: tuple[Hashable, Hashable]) -> None:
    for (row, column), value in np.ndenumerate(one.transpose(*dims).to_numpy()):
        if np.isfinite(value):
            colour = "black" if value > 0.6 * limits[1] else "white"
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize="small")

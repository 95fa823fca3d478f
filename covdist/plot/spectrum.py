"""Eigenvalues of a covariance, beside what noise would have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.grouping import BLOCK
from covdist.given import whole
from covdist.plot._canvas import BLUE, ORANGE, computed, drawn, legend, log_scale, note
from covdist.results.labelled_state import LabelledState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covdist.plot._canvas import Picture

_MOST_WITH_ERRORS = 512  # columns: an error takes the spectrum once for each block
_FEW = 64  # components that have markers of their own


def spectrum(x: LabelledState | xr.Dataset, *, k: int | None = None, ax: Axes | None = None) -> Picture:
    """Eigenvalues in descending order, on a logarithmic scale, and the Marchenko-Pastur edge, below which noise stays.

    Parameters
    ----------
    x : Moments or Dataset
        Moments with a matrix, or what :func:`covdist.spectrum` gives.
    k : int, optional
        Eigenvalues to draw; by default all that ``x`` has.
    ax : matplotlib Axes, optional
        To draw on; by default new ones. Groups need a figure of their own.

    Returns
    -------
    Axes or FacetGrid
        A FacetGrid where there are groups, of at most 12 of them. Moments with ``blocks=`` have error bars, standard
        errors by jackknife, up to 512 columns; a sketch has those that it estimates. Eigenvalues that are 0 up to
        rounding have no place on a logarithmic scale. Where some are too small or large for a float, roots are drawn.

    Raises
    ------
    DataError
        If ``x`` holds no matrix, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3)) * [3.0, 2.0, 1.0]
    >>> ax = covdist.plot.spectrum(covdist.moments(x))
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()
    ('component', 'eigenvalue of the covariance', 'log')
    """
    found = computed(_spectrum(x, k))
    width = found.attrs.get("columns")
    groups = found["eigenvalue"].dims[:-1]
    title = "Spectrum"
    if not groups and np.isfinite(found["effective_rank"].item()):
        of = f" of {width:,}" if width else ""
        title += f": effective rank {found['effective_rank'].item():.3g}{of}"
    return drawn(found, _draw, ax, groups=groups, title=title)


def _spectrum(x: Any, k: int | None) -> xr.Dataset:
    k = None if k is None else whole("k", k)
    if isinstance(x, xr.Dataset) and "eigenvalue" in x and "marchenko_pastur_edge" in x:
        return x if k is None else x.isel(component=slice(0, k))
    if not isinstance(x, LabelledState):
        raise DataError(
            f"spectrum draws eigenvalues, found a {type(x).__name__}: pass covdist.moments(x, dim=...), or what "
            "covdist.spectrum(x, k, dim=...) gives"
        )
    m: Any = x
    groups, width = m.layout.groups, m.layout.axes[0].size
    blocks = groups is not None and BLOCK in (groups.levels or (groups.dim,))
    found: xr.Dataset = (m.merge(BLOCK) if blocks else m).spectrum(k or width, vectors=False)
    found.attrs["columns"] = width
    if blocks and width <= _MOST_WITH_ERRORS:
        errors = m.jackknife("spectrum", k or width, vectors=False)
        found = found.assign(error=errors["eigenvalue_error"], std_error=errors["std_error"])
        found.attrs["method"] = "blocks"
    return found


def _draw(one: xr.Dataset, ax: Axes) -> None:
    name = "std" if beyond_floats(one) else "eigenvalue"
    values = one[name].to_numpy()
    places = np.arange(1, values.size + 1)
    least = 0.0 if name == "std" or one.attrs.get("method") in ("sketch", "blocks") else one["error"].to_numpy()
    shown_ones = np.isfinite(values) & (values > least)
    ax.set_xlabel("component")
    ax.set_ylabel(one[name].attrs.get("long_name", name))
    if not shown_ones.any():
        note(ax, "no eigenvalue above 0")
        return
    errors, edge = _errors(one, name), one["marchenko_pastur_edge"].item()
    edge = np.sqrt(edge) if name == "std" else edge
    on_scale = [values, np.array([edge]), values if errors is None else values + errors]
    log_scale(ax, np.concatenate([each[np.isfinite(each) & (each > 0)] for each in on_scale]))
    if values.size <= _FEW:
        ax.set_xlim(0.5, values.size + 0.5)
    if values.size < 10:
        ax.set_xticks(places)
    few: dict[str, Any] = {"marker": "o", "markersize": 4} if values.size <= _FEW else {}
    (line,) = ax.plot(places[shown_ones], values[shown_ones], color=BLUE, **few)
    handles: list[Any] = [line]
    names = [{"std": "root of the eigenvalue"}.get(name, name)]
    if errors is not None:
        shown_errors = np.minimum(errors[shown_ones], 0.9 * values[shown_ones]), errors[shown_ones]  # above 0
        bars = ax.errorbar(places[shown_ones], values[shown_ones], shown_errors, fmt="none", ecolor=BLUE, elinewidth=1)
        handles.append(bars)
        names.append("standard error" if one.attrs.get("method") == "blocks" else "bound of the sketch's error")
    if np.isfinite(edge) and edge > 0:
        handles.append(ax.axhline(edge, color=ORANGE, linestyle="--"))
        names.append("Marchenko-Pastur edge")
    legend(ax, handles, names)


def beyond_floats(one: xr.Dataset) -> bool:
    """Return whether some eigenvalues are too small or too large for a float, where their roots are not."""
    if "std" not in one:
        return False
    values, roots = one["eigenvalue"], one["std"]
    return bool((((roots > 0) & (values < np.finfo(float).tiny)) | (np.isfinite(roots) & np.isinf(values))).any())


def _errors(one: xr.Dataset, name: str) -> np.ndarray | None:
    if one.attrs.get("method") == "blocks":
        return one["std_error" if name == "std" else "error"].to_numpy()
    if one.attrs.get("method") == "sketch" and name == "eigenvalue":
        return one["error"].to_numpy()
    return None

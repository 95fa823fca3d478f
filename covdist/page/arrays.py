"""Drawings of one array: correlations, spectrum, gradients over steps, missing values."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import xarray as xr

from covdist.errors import shown
from covdist.page.canvas import Drawing, figures, names_along
from covdist.page.heat_maps import heat_map
from covdist.page.lines import bars, lines
from covdist.plot._canvas import group_names
from covdist.plot._matrix import MOST_CLUSTERED, MOST_DRAWN, averaged, factor
from covdist.plot.correlation import in_clusters, limit_of, matrix_of
from covdist.plot.missing import holes, missing_shares
from covdist.plot.spectrum import beyond_floats
from covdist.readings.gradients.gradient_stats import pooled
from covdist.results.moments import Moments
from covdist.terminal.tables import over_all_groups

_PAIRS = 10  # the strongest, in words
_MATRIX_BYTES = 1_300_000  # of all correlations of a page, before they are written as text
_EIGENVALUES = 256  # drawn: all of 1,024 columns take 1.2 s, so many 0.3 s
_OPTIMAL = 256  # columns, up to which the order of the leaves is the best: 0.02 s


def most_drawn(arrays: int) -> int:
    """Return how many columns a heat map may have where so many share the page."""
    return min(MOST_DRAWN, math.isqrt(_MATRIX_BYTES // max(arrays, 1)))


def has_matrix(m: Moments) -> bool:
    """Return whether there are correlations to draw."""
    return m.layout.axes[0].size > 1 and (m.can_answer("correlation") or m.can_answer("pair_correlation"))


def drawings(name: str, m: Moments, most: int, of_gradients: bool) -> Iterator[Drawing]:
    """Yield all drawings that an array has the numbers for; heat maps of ``most`` columns."""
    groups = m.layout.groups
    whole = m if groups is None or m.layout.state.ordered else over_all_groups(m)
    if whole.layout.groups is None and has_matrix(whole):
        yield _correlations(whole, most)
    if whole.layout.groups is None and whole.can_answer("spectrum") and not of_gradients:
        yield _spectrum(whole)
    if of_gradients and groups is not None and not groups.positions and groups.size > 1:
        yield _over_groups(name, m)
    if holes(m).any():
        yield _missing(m)


def _correlations(m: Moments, most: int) -> Drawing:
    matrix, what = matrix_of(m)
    matrix = matrix.compute()
    down, across = matrix.dims[-2], matrix.dims[-1]
    if max(matrix.shape) <= MOST_CLUSTERED:
        matrix = in_clusters(matrix, _OPTIMAL)
    small = averaged(matrix, (down, across), most)
    beside = {"x": factor(matrix.sizes[across], most), "y": factor(matrix.sizes[down], most)}
    names = {"x": names_along(matrix, across), "y": names_along(matrix, down)}
    limit = limit_of(small, max(beside.values()) > 1)
    about = f"{_a(what)} of {matrix.sizes[down]:,} columns, like ones side by side; red is positive, blue negative"
    if max(beside.values()) > 1:
        about += f"; each place is the mean of {beside['y']} × {beside['x']} of them"
    return heat_map(
        _a(what),
        about + ".",
        small.to_numpy().astype(np.float64),
        (-limit, limit),
        {axis: _together(each, beside[axis]) for axis, each in names.items()},
        (str(down) if across == f"{down}_2" else str(across), str(down)),
        "correlation" if "corr" in str(matrix.name) else "value",
        signed=True,
        square=True,
        header=("strongest", "with", what),
        rows=_strongest(matrix.to_numpy(), names["y"], names["x"], len(m.layout.axes) == 1),
    )


def _a(what: str) -> str:
    return what[:1].upper() + what[1:]


def _together(names: Sequence[str], beside: int) -> list[str]:
    """Return names of blocks of places, those of what is in them."""
    return [", ".join(names[at : at + beside]) for at in range(0, len(names), beside)]


def _strongest(values: np.ndarray, down: list[str], across: list[str], square: bool) -> list[tuple[str, ...]]:
    sizes = np.nan_to_num(np.abs(values), nan=-1.0)
    if square:
        sizes[np.tril_indices(len(sizes))] = -1.0
    most = min(_PAIRS, sizes.size)
    found = np.argpartition(-sizes, most - 1, axis=None)[:most]
    places = sorted(zip(*np.unravel_index(found, sizes.shape), strict=True), key=lambda at: -sizes[at])
    return [(down[i], across[j], f"{values[i, j]:.3f}") for i, j in places if sizes[i, j] >= 0]


def _spectrum(m: Moments) -> Drawing:
    width = m.layout.axes[0].size
    found = m.spectrum(min(width, _EIGENVALUES), vectors=False).compute()
    roots = beyond_floats(found)
    values, edge = found["std" if roots else "eigenvalue"].to_numpy(), float(found["marchenko_pastur_edge"])
    name, edge = ("root of the eigenvalue", np.sqrt(edge)) if roots else ("eigenvalue", edge)
    rank = float(found["effective_rank"])
    which = f"The {_EIGENVALUES} largest eigenvalues" if width > _EIGENVALUES else "Eigenvalues"
    about = f"{which} of the covariance, largest first: effective rank {figures(rank)} of {width:,}."
    known, least, most = np.isfinite(edge) and edge > 0, values.min(initial=1), values.max(initial=1)
    above = int((values > edge).sum())
    if known and above < _EIGENVALUES:
        about += f" {above:,} {'is' if above == 1 else 'are'} above the Marchenko-Pastur edge, below which noise stays."
    return lines(
        "Spectrum",
        about,
        {name: values.astype(np.float32 if least > 1e-30 and most < 1e30 else np.float64)},
        [f"{number:,}" for number in range(1, len(values) + 1)],
        ("component", name),
        edge=("Marchenko-Pastur edge", edge) if known else None,
    )


def _over_groups(name: str, m: Moments) -> Drawing:
    found = pooled({name: m}).isel(layer=0).compute()
    assert m.layout.groups is not None
    dim = m.layout.groups.dim
    root = np.sqrt(m.layout.axes[0].size)
    signal, snr = found["layer_mean_norm"].to_numpy() / root, found["layer_snr"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = signal / snr
    along = str(dim).removesuffix("_bins")
    return lines(
        f"Gradient by {shown(along)}",
        "Mean over the rows of a group, and standard deviation about it, root mean square a parameter.",
        {"mean": signal, "standard deviation": noise},
        places_of(found, dim),
        (along, "gradient, a parameter"),
        beside={"SNR": snr},
    )


def _missing(m: Moments) -> Drawing:
    share, gaps, of = missing_shares(m)
    about = f"Shares of rows that miss a value or have infinity there: {gaps:,} of {of:,} values in all."
    if share.ndim == 1:
        return bars("Missing values", about, *_blocks(share), (str(share.dims[0]), "share of rows that miss it"))
    down, across = share.dims
    small = averaged(share, (down, across))
    beside = factor(share.sizes[across]), factor(share.sizes[down])
    names = {
        "x": _together(names_along(share, across), beside[0]),
        "y": _together(places_of(share, down), beside[1]),
    }
    most = float(np.nanmax(small.to_numpy(), initial=0.0)) or 1.0
    return heat_map("Missing values", about, small.to_numpy(), (0.0, most), names, (str(across), str(down)), "share")


def places_of(x: xr.DataArray | xr.Dataset, dim: Hashable) -> list[str]:
    """Return the labels of groups, by several coordinates with the names of these."""
    return names_along(x, dim) if dim in x.indexes else group_names(x, dim)


def _blocks(share: xr.DataArray) -> tuple[np.ndarray, list[str]]:
    beside = factor(share.size)
    values, names = share.to_numpy(), names_along(share, share.dims[0])
    if beside > 1:
        filled = np.pad(values, (0, -len(values) % beside), constant_values=np.nan)
        values = np.nanmean(filled.reshape(-1, beside), axis=1)
    return values, _together(names, beside)

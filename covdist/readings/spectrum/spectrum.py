"""Leading eigenvalues and eigenvectors of the covariance matrix, by the way that fits rows and columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import parse_bytes

from covdist.errors import DataError
from covdist.folding.inputs import one_of
from covdist.folding.interpolated import interpolated
from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import Options
from covdist.numerics.eigen import Spectrum, spectrum_of, unknown
from covdist.numerics.nonfinite import INFINITIES, POLICIES
from covdist.readings.moments import moments as fold_moments
from covdist.readings.spectrum.dual import Dual
from covdist.readings.spectrum.fields import fields
from covdist.readings.spectrum.sketch import Sketched, directions_for
from covdist.results.deferred import apply
from covdist.results.groups import map_groups
from covdist.results.labels import Axis, Labelled, label, labelled
from covdist.results.moments import Layout, Moments
from covdist.state.scatter import Scatter

_POLICIES = tuple(name for name in POLICIES if name != "pairwise")  # whose matrix is read by its own entries
_METHODS = ("auto", "exact", "dual", "sketch")
# The full matrix of so many columns takes 64 MiB packed and its eigenvectors a minute of one core; where there are
# more rows than columns, 256 MiB and some minutes are worth being exact.
_EXACT_COLUMNS, _EXACT_COLUMNS_TALL = 4096, 8192
_DUAL_ROWS = 5000  # 100 MiB packed, and again a minute


def spectrum(
    x: Any,
    k: int,
    *,
    dim: Any = None,
    method: str = "auto",
    vectors: bool = True,
    missing: str = "raise",
    inf: str = "raise",
    passes: int = 1,
    seed: int = 0,
    memory: int | str | None = None,
) -> xr.Dataset:
    """Leading eigenpairs of the covariance of x's columns, and what the eigenvalues say about it.

    Parameters
    ----------
    x : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several.
    k : int
        Eigenpairs wanted, at most as many as there are columns.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    method : str
        "exact": from the full matrix, columns × columns. "dual": as exact, from the products of the rows with each
        other; for few rows. "sketch": from what the matrix does to 2k + 20 random directions. "auto": exact up to
        4,096 columns; with fewer rows than columns and up to 5,000 rows dual; with as many rows as columns and up to
        8,192 columns exact; else sketch.
    vectors : bool
        Whether to give eigenvectors; for dual they take a second pass over the data.
    missing : str
        "raise", "propagate", "interpolate", "drop", which dual cannot, or "maxent", which takes exact; as for
        :func:`covdist.moments`.
    inf : str
        As for :func:`covdist.moments`.
    passes : int
        Of a sketch: 1, or 2 for eigenvalues that are far closer where the spectrum falls slowly.
    seed : int
        Of a sketch's random directions.
    memory : int or str, optional
        What one worker has, in bytes or as "4GiB"; refused where the plan says that it takes more.

    Returns
    -------
    Dataset
        float64, lazy where ``x`` is. ``eigenvalue`` (component), descending, of the population covariance (1/N,
        ``ddof=0``); ``std``, their roots, right also where they underflow; ``error``, what an eigenvalue may be off
        by: rounding, and for a sketch a bound that holds in about 998 of 1,000 draws of the directions; ``explained``,
        the share of the total variance; ``eigenvector`` (component, unit) of length 1, NaN from dual where the
        eigenvalue is zero. Of the whole spectrum ``total_variance``; ``effective_rank``, exp of the entropy of the
        shares (Roy and Vetterli 2007); ``participation_ratio``, (Σλ)² / Σλ²; ``condition``, largest over smallest
        eigenvalue, infinite where the matrix is singular and NaN where a sketch cannot tell; and
        ``marchenko_pastur_edge``, the largest eigenvalue to be expected of as many rows and columns of
        independent noise with the same total variance. A sketch estimates the effective rank and the
        participation ratio. ``attrs["method"]`` says which method ran, ``attrs["reason"]`` why.

    Raises
    ------
    DataError
        If dims, dtypes, ``k`` or options do not fit.
    PlanError
        If a worker would need more than ``memory``.

    Notes
    -----
    Sketch: Nyström approximation (Tropp, Yurtsever, Udell and Cevher 2017). Edge: total / d · (1 + √(d/n))².
    For groups or weights read it off moments: ``covdist.moments(x, dim=..., by=...).spectrum(k)``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(200, 3)) * [3.0, 2.0, 1.0]
    >>> s = covdist.spectrum(x, 2)
    >>> s["eigenvector"].dims, s.attrs["method"]
    (('component', 'unit'), 'exact')
    >>> bool(np.allclose(s["eigenvalue"], np.linalg.eigvalsh(np.cov(x.T, ddof=0))[:0:-1]))
    True
    """
    one_of("method", method, _METHODS)
    one_of("missing", missing, _POLICIES)
    one_of("inf", inf, INFINITIES)
    if passes not in (1, 2):
        raise DataError(f"passes={passes!r} is unknown: pass 1, or 2 for a more accurate sketch")
    side = label(x, dim, fallback="x")
    _check_count(k, side.axis.size)
    method, reason = _choose(method, side, missing, k)
    limit = None if memory is None else parse_bytes(memory)
    ways: dict[str, Callable[..., xr.Dataset]] = {
        "exact": _exact,
        "dual": _dual,
        "sketch": partial(_sketch, passes=passes, seed=seed),
    }
    found = ways[method](side, k, Options(missing, inf=inf), vectors, limit)
    found.attrs |= {"method": method, "reason": reason}
    return found if isinstance(side.data, da.Array) else found.compute(scheduler="threads")


def read(moments: Moments, k: int, vectors: bool = True) -> xr.Dataset:
    """Read the k leading eigenpairs off a full state, as :func:`covdist.spectrum` gives them."""
    layout = moments.layout
    if layout.kind != "full":
        raise DataError(
            f"a spectrum needs a state of kind full, found a {layout.describe()}: fold the data with "
            "covdist.moments(x, dim=...), or call covdist.spectrum(x, k, dim=...), which needs no matrix"
        )
    _check_count(k, layout.axes[0].size)
    one = partial(spectrum_of_scatter, k=k)
    function = one if layout.groups is None else partial(map_groups, function=one)
    spectra = Moments(apply(function, moments.state), Layout("spectrum", layout.axes, layout.groups))
    found = fields(spectra, k, vectors)
    found.attrs |= {"method": "exact", "reason": "the state holds the full matrix"}
    return found


def _check_count(k: Any, columns: int) -> None:
    if not isinstance(k, int | np.integer) or not 1 <= k <= columns:
        raise DataError(f"k={k!r} eigenpairs of {columns} columns: pass a whole number from 1 to {columns}")


def _choose(method: str, side: Labelled, missing: str, k: int) -> tuple[str, str]:
    """Return the method, by sizes and options alone, and the reason."""
    rows, columns = math.prod(side.sample_shape), side.axis.size
    if method == "dual" and missing == "drop":
        raise DataError("missing='drop' needs whole rows, but method='dual' reads columns: pass another method")
    if missing == "maxent" and method not in ("auto", "exact"):
        raise DataError(f"missing='maxent' fits the full matrix, found method={method!r}: pass method='exact'")
    if missing == "maxent":
        return "exact", "missing='maxent' fits the full matrix"
    if method != "auto":
        return method, "asked for"
    sizes = f"{rows:,} rows, {columns:,} columns: "
    if columns <= _EXACT_COLUMNS:
        return "exact", f"{sizes}up to {_EXACT_COLUMNS:,} columns the full matrix is cheap"
    if rows < columns and rows <= _DUAL_ROWS and missing != "drop":
        return "dual", f"{sizes}up to {_DUAL_ROWS:,} rows, fewer than columns, their products are exact and smaller"
    if rows >= columns and columns <= _EXACT_COLUMNS_TALL:
        return "exact", f"{sizes}with as many rows, up to {_EXACT_COLUMNS_TALL:,} columns the full matrix is worth it"
    return "sketch", f"{sizes}the full matrix is too large; sketched with {directions_for(k)} directions"


def _exact(side: Labelled, k: int, options: Options, vectors: bool, limit: int | None) -> xr.Dataset:
    dims = side.sample_dims
    columns = [f"column_{i}" for i in range(side.data.ndim - len(dims))]
    x = xr.DataArray(side.data, dims=(*dims, *columns), name=side.name)
    full = fold_moments(x, dim=dims, missing=options.missing, inf=options.inf, matrix="memory", memory=limit)
    return read(Moments(full.state, Layout("full", (side.axis,))), k, vectors)


def _dual(side: Labelled, k: int, options: Options, vectors: bool, limit: int | None) -> xr.Dataset:
    if options.missing == "interpolate":
        side = replace(side, data=interpolated(side, ends="nearest", inf=options.inf))
    dual = Dual(side, k, "propagate" if options.missing == "propagate" else "raise")
    dual.plan.check(limit)
    found = fields(Moments(dual.spectrum, Layout("spectrum", (side.axis,))), k, False)
    if vectors:
        component = Axis("component", k, {"component": np.arange(k)})
        found["eigenvector"] = labelled(dual.vectors().T, [component, side.axis], None)
    return found


def _sketch(
    side: Labelled, k: int, options: Options, vectors: bool, limit: int | None, *, passes: int, seed: int
) -> xr.Dataset:
    sketched = Sketched(side, k, options, passes, seed)
    sketched.plan.check(limit)
    spectra = Moments(sketched.spectrum, Layout("spectrum", (side.axis,)))
    return fields(spectra, k, vectors)


def spectrum_of_scatter(state: Scatter, k: int) -> Spectrum:
    columns = state.columns
    if columns.weight == 0:
        return unknown(columns.width, k, columns.rows)
    matrix = triangle.unpack(state.triangle, columns.width)
    matrix /= columns.weight
    varied = columns.squares > 0
    unit = int(columns.exponent[varied].max()) if varied.any() else 0
    shift = columns.exponent - unit
    if shift.any():
        matrix = np.ldexp(np.ldexp(matrix, shift[:, None]), shift)
    return spectrum_of(matrix, k, rows=columns.rows, exponent=unit)

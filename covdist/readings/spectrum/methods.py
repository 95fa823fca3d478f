"""Leading eigenvalues and eigenvectors of the covariance matrix, by the way that fits rows and columns."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from covdist import plugins
from covdist.engine.plan import PROCESS_BYTES, human_bytes
from covdist.errors import DataError
from covdist.folding.fold import fold_request
from covdist.folding.grouping import bins, grouping
from covdist.folding.in_memory import memory_plan
from covdist.folding.inputs import check_seed
from covdist.folding.request import IN_MEMORY, FillOptions, Policy, Request, make_request, policy
from covdist.folding.strategy import for_workers
from covdist.given import one_of
from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import INFINITIES, propagate
from covdist.readings.spectrum.dual import dual_spectrum
from covdist.readings.spectrum.fields import fields
from covdist.readings.spectrum.sketch import directions_for, sketch_spectrum
from covdist.results.labelled_state import ways_to_fold
from covdist.results.labels import ArrayLike, Dims, Labelled, Rows, label
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.named import answering
from covdist.state.scatter import Scatter

_METHODS = ("auto", "exact", "dual", "sketch")
# The full matrix of so many columns takes 64 MiB packed and its eigenvectors a minute of one core; where there are
# more rows than columns, 256 MiB and some minutes are worth being exact.
_EXACT_COLUMNS, _EXACT_COLUMNS_TALL = 4096, 8192
_DUAL_ROWS = 5000  # 100 MiB packed, and again a minute


@own_names
def spectrum(
    x: ArrayLike,
    k: int,
    *,
    dim: Dims = None,
    method: str = "auto",
    vectors: bool = True,
    by: Rows = None,
    missing: str = "raise",
    inf: str = "raise",
    passes: int = 1,
    seed: int = 0,
    memory: int | str | None = None,
) -> xr.Dataset:
    """Leading eigenpairs of the covariance of x's columns, and numbers that sum up its eigenvalues.

    Parameters
    ----------
    x, dim, by, inf
        As for :func:`covdist.moments`.
    k : int
        Eigenpairs wanted, at most as many as there are columns.
    method : str
        "exact": from the full matrix, columns × columns. "dual": as exact, from the products of the rows with each
        other; for few rows. "sketch": from what the matrix does to 2k + 20 random directions. "auto": exact up to
        4,096 columns; with fewer rows than columns and up to 5,000 rows dual; with as many rows as columns and up to
        8,192 columns exact, where that fits into a worker's memory; else sketch.
    vectors : bool
        Whether to give eigenvectors; for dual they take a second pass over the data.
    missing : str
        "raise", "propagate", "interpolate", "drop", which dual cannot, or "maxent", which takes exact; as for
        :func:`covdist.moments`.
    passes : int
        Of a sketch: 1, or 2 for eigenvalues that are far closer where the spectrum falls slowly.
    seed : int
        Of a sketch's random directions.
    memory : int or str, optional
        Memory of one worker, in bytes or as "4GiB"; refused where the plan says that it takes more. Of lazy arrays by
        default that of the smallest worker of the dask client at hand, if there is one.

    Returns
    -------
    Dataset
        float64, lazy where ``x`` is. ``eigenvalue`` (component), descending, of the population covariance (1/N,
        ``ddof=0``); ``std``, their roots, right also where they underflow; ``error``, what an eigenvalue may be off
        by: rounding, and for a sketch a bound that holds in about 998 of 1,000 draws of the directions; ``explained``,
        the share of the total variance; ``eigenvector`` (component, unit) of length 1, NaN from dual where the
        eigenvalue is zero. Of the whole spectrum ``total_variance``; ``effective_rank``, exp of the entropy of the
        shares (Roy and Vetterli 2007); ``participation_ratio``, (Σλ)² / Σλ²; ``stable_rank``, Σλ / λ₁;
        ``condition``, largest over smallest eigenvalue, infinite where the matrix is singular and NaN where a
        sketch cannot tell; and ``marchenko_pastur_edge``, the largest eigenvalue to be expected of as many rows and
        columns of independent noise with the same total variance. A sketch estimates the effective rank and the
        participation ratio. ``attrs["method"]`` says which method ran, ``attrs["reason"]`` why, and
        ``attrs["kernel"]`` what computed it.

    Raises
    ------
    DataError
        If dims, dtypes, ``k`` or options do not fit.
    PlanError
        If a worker would need more than ``memory``, or than the workers at hand have.

    Notes
    -----
    Sketch: Nyström approximation (Tropp, Yurtsever, Udell and Cevher 2017). Edge: total / d · (1 + √(d/n))².
    For weights read it off moments: ``covdist.moments(x, dim=..., weights=...).spectrum(k)``. With ``by`` the matrices
    of all groups come of one pass, dual and sketch take one for each group.

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
    chosen = _policy(missing)
    one_of("inf", inf, INFINITIES)
    check_seed(seed)
    if passes not in (1, 2):
        raise DataError(f"passes={passes!r} is unknown: pass 1, or 2 for a more accurate sketch")
    side = label(x, dim, fallback="x")
    groups, codes = grouping(by, side)
    _check_count(k, side.axis.size)
    numbers = None
    if groups is not None and codes is not None:
        numbers = bins(xr.DataArray(codes, dims=side.sample_dims), np.arange(groups.size + 1))
    asking: dict[str, Any] = {"missing": missing, "inf": inf, "matrix": IN_MEMORY, "memory": memory}
    request = for_workers(make_request(side.array(), dim=side.sample_dims, by=numbers, **asking))
    asked, (method, reason) = method, _choose(method, side, missing, k)
    if asked == "auto" and method == "exact" and chosen.strategy is None and (too_large := _too_large(request)):
        method, reason = "sketch", f"{too_large}; sketched with {directions_for(k)} directions"
    if method == "exact":
        full = fold_request(request)
        layout = replace(full.layout, axes=(side.axis,), groups=groups, provenance={})
        found = read(Moments(full.deferred, layout), k, vectors)
    else:
        if chosen.fill is not None and (method == "dual" or groups is not None):
            side = replace(side, data=chosen.fill(side, FillOptions(ends="nearest", inf=inf)))
        if method == "dual":
            refuse = chosen.rows is not propagate
            each = partial(dual_spectrum, k=k, refuse=refuse, vectors=vectors, check_room=request.check_room)
        else:
            how: dict[str, Any] = {"passes": passes, "seed": seed, "check_room": request.check_room}
            each = partial(_sketched, k=k, chosen=chosen, inf=inf, vectors=vectors, **how)
        if groups is None or codes is None:
            found = each(side)
        else:
            known = np.unique(codes[codes >= 0])
            found = xr.concat([each(_rows_of(side, codes == code)) for code in known], groups.dim)
            if len(known) < groups.size:
                found = found.assign_coords({groups.dim: known}).reindex({groups.dim: np.arange(groups.size)})
            found = found.assign_coords(groups.coords())
    found.attrs |= {"method": method, "reason": reason}
    return found if isinstance(side.data, da.Array) else found.compute(scheduler="threads")


def read(moments: Moments, k: int, vectors: bool = True) -> xr.Dataset:
    layout = moments.layout
    if not moments.can_answer("spectrum"):
        raise DataError(
            f"a spectrum needs a state of kind {' or '.join(answering('spectrum'))}, found a {layout.describe()}: call "
            f"covdist.spectrum(x, k, dim=...), which needs no matrix, or fold the data with "
            f"{ways_to_fold('spectrum', layout)}"
        )
    _check_count(k, layout.axes[0].size)
    found = fields(moments.deferred.map_groups(methodcaller("spectrum", k, vectors)), layout.axes[0], k, vectors)
    found.attrs |= {"method": "exact", "reason": "the state holds the full matrix"}
    return found


def _sketched(side: Labelled, *, k: int, chosen: Policy, inf: str, vectors: bool, **how: Any) -> xr.Dataset:
    return fields(sketch_spectrum(side, k, chosen, Options(chosen.rows, inf=inf), **how), side.axis, k, vectors)


def _rows_of(side: Labelled, taken: np.ndarray) -> Labelled:
    rows = side.data.reshape(-1, *side.data.shape[len(side.sample_dims) :])
    return replace(side, data=rows[np.flatnonzero(taken)], sample_dims=("row",), coords={}, labels={})


def _too_large(request: Request) -> str:
    """Say so where a worker cannot fold, or unpack the state, which is half of the matrix, and work on it."""
    if request.room is None:
        return ""
    plan, has = memory_plan(request), request.room.memory
    need = max(plan.peak_bytes, PROCESS_BYTES + 4 * plan.state_bytes)
    return f"the full matrix would need {human_bytes(need)} of {human_bytes(has)}" if need > has else ""


def _policy(missing: str) -> Policy:
    chosen = policy(missing)
    if chosen.state(Scatter) is not Scatter:
        known = [name for name in plugins.names("missing") if policy(name).state(Scatter) is Scatter]
        raise DataError(
            f"missing={missing!r} gives each entry of a matrix rows of its own, which leaves it without a spectrum: "
            f"pass one of {', '.join(map(repr, known))}"
        )
    return chosen


def _check_count(k: object, columns: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= columns:
        raise DataError(f"k={k!r} eigenpairs of {columns} columns: pass a whole number from 1 to {columns}")


def _choose(method: str, side: Labelled, missing: str, k: int) -> tuple[str, str]:
    """Return the method, by sizes and options alone, and the reason."""
    rows, columns = math.prod(side.sample_shape), side.axis.size
    chosen = policy(missing)
    if method == "dual" and chosen.whole_rows:
        raise DataError(f"missing={missing!r} needs whole rows, but method='dual' reads columns: pass another method")
    if chosen.strategy is not None:
        if method not in ("auto", "exact"):
            raise DataError(f"missing={missing!r} fits the full matrix, found method={method!r}: pass method='exact'")
        return "exact", f"missing={missing!r} fits the full matrix"
    if method != "auto":
        return method, "asked for"
    sizes = f"{rows:,} rows, {columns:,} columns: "
    if columns <= _EXACT_COLUMNS:
        return "exact", f"{sizes}up to {_EXACT_COLUMNS:,} columns the full matrix is cheap"
    if rows < columns and rows <= _DUAL_ROWS and not chosen.whole_rows:
        return "dual", f"{sizes}up to {_DUAL_ROWS:,} rows, fewer than columns, their products are exact and smaller"
    if rows >= columns and columns <= _EXACT_COLUMNS_TALL:
        return "exact", f"{sizes}with as many rows, up to {_EXACT_COLUMNS_TALL:,} columns the full matrix is worth it"
    return "sketch", f"{sizes}the full matrix is too large; sketched with {directions_for(k)} directions"

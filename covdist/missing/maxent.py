"""Fit a Gaussian, by expectation and maximisation; missing values count as it expects them."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.errors import DataError
from covdist.folding.fitted import computed_model, fitted_moments, promised_model
from covdist.folding.request import IN_TILES, FillOptions, Policy, Request, make_request
from covdist.numerics.blas import single_thread
from covdist.numerics.em import Fit, Model, complete, inverse_root
from covdist.numerics.nonfinite import all_finite, holes, keep_all, unmasked
from covdist.results.labels import Array, Labelled
from covdist.state.base import StateType
from covdist.state.cross import Cross
from covdist.state.patterns import Patterns
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

_MOST_COLUMNS = 4096  # whose matrices are inverted in each iteration


def state(kind: StateType) -> StateType:
    """Return the type itself; DataError where a Gaussian does not give its states."""
    if kind not in (Scatter, Cross, Variances):
        raise DataError(
            f"missing='maxent' has no form of the state {kind.name!r}: fill the values beforehand with "
            "covdist.fill(x, method='maxent')"
        )
    return kind


def check(request: Request) -> None:
    """Raise DataError at a request that cannot be fitted."""
    columns = sum(request.widths)
    if request.groups is not None:
        raise DataError(
            f"missing='maxent' fits one Gaussian to all rows, found by={request.groups.dim!r}: pass the rows of one "
            "group at a time"
        )
    if columns > _MOST_COLUMNS or request.matrix == IN_TILES:
        raise DataError(
            f"missing='maxent' inverts matrices of all columns, at most {_MOST_COLUMNS:,} and in memory, found "
            f"{columns:,}: choose fewer columns, or missing='interpolate'"
        )


def fill(side: Labelled, options: FillOptions) -> Array:
    """Return an array whose missing values are their conditional means."""
    fit = Fit(options.tolerance, options.max_iterations, options.ridge)
    request = make_request(side.array(), dim=list(side.sample_dims), missing="maxent", inf=options.inf, fit=fit)
    data, ndim, inf = side.data, len(side.sample_dims), options.inf
    if isinstance(data, np.ndarray):
        if all_finite(data):
            return data
        observed, fitted = computed_model(request)
        return filled(data, fitted, observed, ndim, inf)
    patterns, model = promised_model(request)
    whole = data.rechunk(dict.fromkeys(range(ndim, data.ndim), -1))
    name = f"filled-{tokenize(whole.name, model.key)}"
    tasks: dict[Key, object] = {
        (name, *key[1:]): (filled, key, model.key, patterns.key, ndim, inf) for key in flatten(whole.__dask_keys__())
    }
    collections: list[Any] = [whole, model, patterns]
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=collections)
    return da.Array(graph, name, chunks=whole.chunks, dtype=data.dtype)


def filled(rows: np.ndarray, model: Model, patterns: Patterns, sample_ndim: int, inf: str) -> np.ndarray:
    """Return rows whose missing values are their conditional means; in a constant column, its value."""
    plain = np.asarray(unmasked(rows))
    flat = plain.reshape(math.prod(plain.shape[:sample_ndim]), patterns.columns.width)
    hole = holes(flat, inf)
    if not hole.any():
        return plain
    columns, known = patterns.columns, patterns.seen.weight > 0
    means = np.where(known, columns.mean + columns.mean_low, np.nan)
    out = np.where(hole, means, flat.astype(np.float64))
    values, present = flat[:, model.active].astype(np.float64), ~hole[:, model.active]
    with single_thread():
        completed = complete(values, present, np.ones(len(flat)), model, inverse_root(model))
    out[:, model.active] = np.where(present, values, model.rows(completed.rows))
    return out.astype(plain.dtype).reshape(plain.shape)


POLICY = Policy(keep_all, state=state, check=check, strategy=fitted_moments, fill=fill)

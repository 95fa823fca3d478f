"""A Gaussian fitted to rows with holes: the passes it takes, and the moments that come of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.core import flatten
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from covdist.engine.nested import nested
from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.tree import tree
from covdist.errors import DataError
from covdist.folding.passes import fold_with
from covdist.numerics import packed as triangle
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import part
from covdist.numerics.em import Fit, Model, complete, precision_of
from covdist.numerics.nonfinite import all_finite, holes
from covdist.numerics.side_by_side import SideBySide
from covdist.results.deferred import apply
from covdist.results.moments import Layout, Moments, computed
from covdist.rows.masked_arrays import unmasked
from covdist.state.base import merged
from covdist.state.expected import Expected, ExpectedAccumulator
from covdist.state.fitted import Fitted, FittedCross
from covdist.state.patterns import Patterns, begin, moments_of, without_holes
from covdist.state.variances import Variances

if TYPE_CHECKING:
    from covdist.folding.folding import Folding, Streams

RECORDED = ("iterations", "converged", "tolerance", "ridge", "log_likelihood")  # by results that are not lazy
MOST_COLUMNS = 4096  # whose matrices are inverted in each iteration


def check(folding: Folding) -> None:
    """Raise DataError at what cannot be fitted."""
    columns = sum(folding.widths)
    if folding.groups is not None:
        raise DataError(
            f"missing='maxent' fits one Gaussian to all rows, found by={folding.groups.dim!r}: pass the rows of one "
            "group at a time"
        )
    if columns > MOST_COLUMNS or folding.matrix == "tiles":
        raise DataError(
            f"missing='maxent' inverts matrices of all columns, at most {MOST_COLUMNS:,} and in memory, found "
            f"{columns:,}: choose fewer columns, or missing='interpolate'"
        )


def model_of(folding: Folding, fit: Fit) -> tuple[Any, Any]:
    """Return the patterns of rows and the fitted model, or of lazy arrays promises of them.

    A graph cannot know how many passes it takes until the model has converged, so all but the first are computed from
    within the one task that promises the model; where the patterns are few there are none.
    """
    streams, plan = folding.all_streams(), folding.in_memory()
    patterns = folding.tree(streams, folding.accumulator(folding.widths), plan, "patterns")
    iterations = Iterations(folding, streams, plan)
    if folding.lazy:
        return patterns, apply(partial(_fitted, fit=fit, iterations=iterations), patterns)
    found = patterns.compute(scheduler="threads")
    return found, iterations.fitted(begin(found, fit), partial(Delayed.compute, scheduler="threads"))


class Iterations:
    """The passes after the first, each for a model that the one before has made; opaque, as ``Shard`` is."""

    def __init__(self, folding: Folding, streams: Streams, plan: Plan):
        accumulator = partial(_expecting, widths=folding.widths, inf=folding.options.inf)
        self.items, self._fan_in = folding.items(streams, accumulator, plan), plan.fan_in
        self._shared = streams.collections
        self._key = folding.key(streams, "expected")

    def __dask_tokenize__(self) -> str:
        return self._key

    def fitted(self, model: Model, compute: Callable[[Delayed], Expected]) -> Model:
        """Step until the model is done."""
        while not model.done:
            model = model.stepped(*compute(self._pass(model)))
        return model

    def _pass(self, model: Model) -> Delayed:
        name = f"{self._key}-{tokenize(tuple(model))}"
        given = delayed(model, name=f"model-{name}", traverse=False)
        items, dependencies = [(*item, given.key) for item in self.items], [*self._shared, given]
        return tree(fold_with, merged, items, name=name, fan_in=self._fan_in, dependencies=dependencies)


def patterns_of(*widths: int, options: Options) -> Any:
    """Return the accumulator of the first pass."""
    one = Patterns.folded(sum(widths), options)
    return one if len(widths) == 1 else SideBySide(one, *widths)


def _expecting(model: Model, widths: Sequence[int], inf: str) -> Any:
    one = ExpectedAccumulator(model, inf)
    return one if len(widths) == 1 else SideBySide(one, *widths)


def _fitted(patterns: Patterns, *, fit: Fit, iterations: Iterations) -> Model:
    model = begin(patterns, fit)
    if model.done:
        return model
    with nested() as compute:
        return iterations.fitted(model, compute)


def pattern_plan(work: Work, width: int) -> Plan:
    """Plan the first pass: cut as that of rows without holes, ``work``, but with tables of patterns as states."""
    cost, matrices = Patterns.cost(width), 3 * 8 * width**2
    found = replace(work, state_bytes=cost.state_bytes, block_bytes=cost.block_bytes + matrices)
    return replace(make_plan(found, work), fan_in=make_plan(found).fan_in)


def fitted_moments(folding: Folding, layout: Layout, fit: Fit) -> Moments:
    """Return the moments of the fitted Gaussian; variances alone of rows without holes are those of the rows."""
    first = folding.widths[0]

    def fitted() -> Any:
        patterns, model = model_of(folding, fit)
        return apply(partial(fitted_state, kind=layout.kind, first=first), model, patterns)

    if layout.kind != "variances":
        state = fitted()
    elif isinstance(seen := _seen(folding), Delayed):
        state = apply(partial(_fitted_where_needed, later=_Later(fitted())), seen)
    else:
        state = seen if _whole(seen) else fitted()
    return Moments(state, layout) if folding.lazy else computed([state], (first,), layout)


def _seen(folding: Folding) -> Any:
    """Return the rows' own variances: at 64 columns a pass without a matrix takes 0.4 of the time of one with it."""
    looked = copy(folding)
    looked.options = replace(folding.options, missing="propagate")
    return looked.moments().state


class _Later:
    """A promise that is kept only if it is asked for; opaque, as ``Shard`` is."""

    def __init__(self, promised: Delayed):
        self.promised = promised

    def __dask_tokenize__(self) -> str:
        return str(self.promised.key)


def _fitted_where_needed(seen: Variances, *, later: _Later) -> Any:
    if _whole(seen):
        return seen
    with nested() as compute:
        return compute(later.promised)


def _whole(seen: Variances) -> bool:
    return not (seen.columns.census.nans.any() or seen.columns.census.infs.any())


def fitted_state(model: Model, patterns: Patterns, kind: str, first: int) -> Any:
    """Return the state of rows as the Gaussian would complete them; ``first`` columns are those of x."""
    if without_holes(patterns):
        columns, packed = patterns.columns, patterns.clean.triangle
    else:
        columns, scatter = moments_of(model, patterns)
        packed = triangle.pack(scatter)
    if kind == "variances":
        return Variances(columns)
    if kind == "full":
        found: Any = Fitted(columns, packed)
    else:
        x, y = slice(first), slice(first, None)
        found = FittedCross(part(columns, x), part(columns, y), triangle.unpack(packed, columns.width)[x, y].copy())
    found.record = model.record()
    return found


def expected(folding: Folding) -> Any:
    """Return the folding's array, its sample axes in front, whose holes hold their conditional means."""
    data, ndim, inf = folding.sides[0].data, folding.sample_ndim, folding.options.inf
    patterns, model = model_of(folding, folding.fit)
    if isinstance(data, np.ndarray):
        if all_finite(data):
            return data
        return filled(data, model, patterns, ndim, inf)
    whole = data.rechunk(dict.fromkeys(range(ndim, data.ndim), -1))
    token = tokenize(whole.name, model.key)
    tasks: dict[Any, Any] = {
        (f"filled-{token}", *key[1:]): (filled, key, model.key, patterns.key, ndim, inf)
        for key in flatten(whole.__dask_keys__())
    }
    name, needed = f"filled-{token}", cast(Any, [whole, model, patterns])
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=needed)
    return da.Array(layers, name, chunks=whole.chunks, dtype=data.dtype)


def filled(rows: np.ndarray, model: Model, patterns: Patterns, sample_ndim: int, inf: str) -> np.ndarray:
    """Return rows whose holes hold their conditional means; of a constant column, its value."""
    plain = np.asarray(unmasked(rows))
    flat = plain.reshape(math.prod(plain.shape[:sample_ndim]), patterns.columns.width)
    hole = holes(flat, inf)
    if not hole.any():
        return plain
    columns, known = patterns.columns, patterns.seen.weight > 0
    means = np.where(known, columns.mean + columns.mean_low, np.nan)
    out = np.where(hole, means, flat.astype(np.float64))
    values, held = flat[:, model.active].astype(np.float64), ~hole[:, model.active]
    with single_thread():
        made = model.rows(complete(values, held, np.ones(len(flat)), model, precision_of(model)).rows)
    out[:, model.active] = np.where(held, values, made)
    return out.astype(plain.dtype).reshape(plain.shape)

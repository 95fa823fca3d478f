"""A Gaussian fitted to rows with missing values: the passes it takes, and the resulting moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from dask.base import tokenize
from dask.delayed import Delayed, delayed

from covdist.engine.nested import nested
from covdist.engine.plan import Plan, make_plan
from covdist.engine.tree import tree
from covdist.folding.in_memory import Strip, first_strips, in_memory, work_of
from covdist.folding.passes import Pass, fold_with
from covdist.folding.request import Policy, Request
from covdist.folding.streams import whole_streams
from covdist.numerics import packed
from covdist.numerics.columns import part
from covdist.numerics.em import Fit, Model
from covdist.numerics.nonfinite import propagate
from covdist.results.deferred import Deferred, apply
from covdist.results.labelled_state import computed
from covdist.results.moments import Moments
from covdist.rows.fold import Accumulate, AnyAccumulator
from covdist.state.base import StateType, merged
from covdist.state.cross import FittedCross
from covdist.state.patterns import Expected, ExpectedAccumulator, Patterns, begin, moments_of, without_holes
from covdist.state.scatter import Fitted, Scatter
from covdist.state.side_by_side import SideBySide
from covdist.state.variances import Variances

# In the record of results that are not lazy.
RECORDED = frozenset(("iterations", "converged", "tolerance", "ridge", "log_likelihood"))
Estimated = Variances | Fitted | FittedCross


def fitted_moments(request: Request) -> Moments:
    """Return the moments of the fitted Gaussian; variances of rows without missing values are those of the rows.

    A graph cannot know how many passes the model needs to converge, so all but the first are computed from within the
    one task that promises the model; with few patterns there are none.
    """
    layout, first = request.layout(), request.widths[0]

    def fitted() -> Estimated | Delayed:
        patterns, model = promised_model(request) if request.lazy else computed_model(request)
        return apply(partial(fitted_state, kind=layout.state, first=first), model, patterns)

    if layout.state is not Variances:
        state: Estimated | Delayed = fitted()
    elif isinstance(own := _own_variances(request), Delayed):
        state = apply(partial(_fitted_where_needed, later=_OnDemand(cast(Delayed, fitted()))), own)
    else:
        state = own if _complete(own) else fitted()
    if not request.lazy:
        return computed([state], Moments, (first,), layout)
    return Moments(Deferred((state,), (first,), plans=(pattern_plan(request),)), layout)


def promised_model(request: Request) -> tuple[Delayed, Delayed]:
    """Return promises of the patterns of rows and of the fitted model."""
    promise, iterations = _passes(request)
    return promise, apply(partial(_fitted, fit=request.fit, iterations=iterations), promise)


def computed_model(request: Request) -> tuple[Patterns, Model]:
    found, iterations = _passes(request)
    compute = partial(Delayed.compute, scheduler="threads")
    patterns = compute(found) if isinstance(found, Delayed) else found
    return patterns, iterations.fitted(begin(patterns, request.fit), compute)


def _passes(request: Request) -> tuple[Any, Iterations]:
    """Return the patterns, or the promise of them, and the passes that may follow."""
    one = Pass(whole_streams(request), pattern_plan(request), request.lazy)
    key = partial(one.key, "patterns", request.options, request.sample_ndim)
    patterns = one.state(key, pattern_accumulator(request))
    return patterns, Iterations(request, one)


class Iterations:
    """The passes after the first, each for the model that the one before made; opaque, as ``Shard`` is."""

    def __init__(self, request: Request, one: Pass):
        accumulator = partial(_side_by_side, partial(ExpectedAccumulator, inf=request.options.inf), request.widths)
        self.items, self._fan_in = one.items(accumulator), one.plan.fan_in
        self._shared = one.streams.collections
        self._key = one.key("expected", request.options, request.sample_ndim)

    def __dask_tokenize__(self) -> str:
        return self._key

    def fitted(self, model: Model, compute: Callable[[Delayed], Expected]) -> Model:
        while not model.done:
            model = model.stepped(*compute(self._pass(model)))
        return model

    def _pass(self, model: Model) -> Delayed:
        name = f"{self._key}-{tokenize(tuple(model))}"
        given = delayed(model, name=f"model-{name}", traverse=False)
        items, dependencies = [(*item, given.key) for item in self.items], [*self._shared, given]
        return tree(fold_with, merged, items, name=name, fan_in=self._fan_in, dependencies=dependencies)


def pattern_accumulator(request: Request) -> Accumulate:
    make = partial(Patterns.folded, sum(request.widths), request.options)
    return partial(_side_by_side, make, request.widths)


def pattern_strip(request: Request) -> Strip:
    """Return the first pass, for runners that build no dask graph."""
    (strip,) = first_strips(request, pattern_plan(request), pattern_accumulator(request))
    return strip


def _side_by_side(make: Accumulate, widths: tuple[int, ...], *arguments: Model) -> AnyAccumulator:
    """Return an accumulator that takes one block a side, given what makes one of a single block."""
    accumulator = make(*arguments)
    return accumulator if len(widths) == 1 else SideBySide(accumulator, widths)


def _fitted(patterns: Patterns, *, fit: Fit, iterations: Iterations) -> Model:
    model = begin(patterns, fit)
    if model.done:
        return model
    with nested() as compute:
        return iterations.fitted(model, compute)


def pattern_plan(request: Request) -> Plan:
    """Plan the first pass: cut as that of rows without missing values, but with tables of patterns as states."""
    width = sum(request.widths)
    work, full = work_of(request, whole_streams(request), request.widths, request.state), Scatter.cost(width)
    work = replace(work, row_flops=full.row_flops, state_bytes=full.state_bytes)
    cost, matrices = Patterns.cost(width), 3 * 8 * width**2
    tables = replace(work, state_bytes=cost.state_bytes, block_bytes=cost.block_bytes + matrices)
    return replace(make_plan(tables, work), fan_in=make_plan(tables).fan_in)


def _own_variances(request: Request) -> Variances | Delayed:
    """Return the rows' own variances: at 64 columns a pass without a matrix takes 0.4 of the time of one with it."""
    options = replace(request.options, missing=propagate)
    return cast(Variances | Delayed, in_memory(replace(request, options=options, policy=Policy(propagate))).state)


class _OnDemand:
    """Hides a Delayed from dask's search for dependencies, so that it is computed only on demand."""

    def __init__(self, promised: Delayed):
        self.promised = promised

    def __dask_tokenize__(self) -> str:
        return str(self.promised.key)


def _fitted_where_needed(own: Variances, *, later: _OnDemand) -> Estimated:
    if _complete(own):
        return own
    with nested() as compute:
        return cast(Estimated, compute(later.promised))


def _complete(own: Variances) -> bool:
    return not (own.columns.census.nans.any() or own.columns.census.infs.any())


def fitted_state(model: Model, patterns: Patterns, kind: StateType, first: int) -> Estimated:
    """Return the state of rows as the Gaussian would complete them; the ``first`` columns are those of x."""
    if without_holes(patterns):
        columns, triangle = patterns.columns, patterns.clean.triangle
    else:
        columns, scatter = moments_of(model, patterns)
        triangle = packed.pack(scatter)
    if kind is Variances:
        return Variances(columns)
    if kind is Scatter:
        state: Fitted | FittedCross = Fitted(columns, triangle)
    else:
        x, y = slice(first), slice(first, None)
        rectangle = packed.unpack(triangle, columns.width)[x, y].copy()
        state = FittedCross(part(columns, x), part(columns, y), rectangle)
    state.record = model.record()
    return state

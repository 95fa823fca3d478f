"""A Gaussian fitted to rows with missing values: the passes it takes, and the moments that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dask.base import tokenize
from dask.delayed import Delayed, delayed

from covdist.engine.nested import nested
from covdist.engine.plan import Plan, make_plan
from covdist.engine.tree import tree
from covdist.folding.in_memory import Strip, first_strips, in_memory, work_of
from covdist.folding.passes import Pass, fold_with
from covdist.folding.request import Policy, Request
from covdist.folding.side_by_side import SideBySide
from covdist.folding.streams import whole_streams
from covdist.numerics import packed
from covdist.numerics.accumulator import Options
from covdist.numerics.columns import part
from covdist.numerics.em import Fit, Model
from covdist.numerics.nonfinite import propagate
from covdist.results.deferred import apply
from covdist.results.labelled_state import computed
from covdist.results.moments import Moments
from covdist.state.base import StateType, merged
from covdist.state.expected import Expected, ExpectedAccumulator
from covdist.state.fitted import Fitted, FittedCross
from covdist.state.patterns import Patterns, begin, moments_of, without_holes
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

# By results that are not lazy.
RECORDED = ("iterations", "converged", "tolerance", "ridge", "log_likelihood")


def fitted_moments(request: Request) -> Moments:
    """Return the moments of the fitted Gaussian; variances alone of rows without missing values are those of the rows.

    A graph cannot know how many passes it takes until the model has converged, so all but the first are computed from
    within the one task that promises the model; where the patterns are few there are none.
    """
    layout, first = request.layout(), request.widths[0]

    def fitted() -> Any:
        patterns, model = fitted_model(request)
        return apply(partial(fitted_state, kind=layout.state, first=first), model, patterns)

    if layout.state is not Variances:
        state = fitted()
    elif isinstance(own := _own_variances(request), Delayed):
        state = apply(partial(_fitted_where_needed, later=_OnDemand(fitted())), own)
    else:
        state = own if _complete(own) else fitted()
    return Moments(state, layout) if request.lazy else computed([state], Moments, (first,), layout)


def fitted_model(request: Request) -> tuple[Any, Any]:
    """Return the patterns of rows and the fitted model, or of lazy arrays promises of them."""
    one = Pass(whole_streams(request), pattern_plan(request), request.lazy)
    patterns = one.tree(one.key("patterns", request.options, request.sample_ndim), pattern_accumulator(request))
    iterations = Iterations(request, one)
    if request.lazy:
        return patterns, apply(partial(_fitted, fit=request.fit, iterations=iterations), patterns)
    found = patterns.compute(scheduler="threads")
    compute = partial(Delayed.compute, scheduler="threads")
    return found, iterations.fitted(begin(found, request.fit), compute)


class Iterations:
    """The passes after the first, each for the model that the one before made; opaque, as ``Shard`` is."""

    def __init__(self, request: Request, one: Pass):
        accumulator = partial(_expecting, widths=request.widths, inf=request.options.inf)
        self.items, self._fan_in = one.items(accumulator), one.plan.fan_in
        self._shared = one.streams.collections
        self._key = one.key("expected", request.options, request.sample_ndim)

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


def pattern_accumulator(request: Request) -> Callable[[], Any]:
    """Return what makes the accumulator of the first pass."""
    return partial(_patterns, *request.widths, options=request.options)


def pattern_strip(request: Request) -> Strip:
    """Return the first pass for those who run it as something else than a graph."""
    (strip,) = first_strips(request, pattern_plan(request), pattern_accumulator(request))
    return strip


def _patterns(*widths: int, options: Options) -> Any:
    one = Patterns.folded(sum(widths), options)
    return one if len(widths) == 1 else SideBySide(one, *widths)


def _expecting(model: Model, widths: tuple[int, ...], inf: str) -> Any:
    one = ExpectedAccumulator(model, inf)
    return one if len(widths) == 1 else SideBySide(one, *widths)


def _fitted(patterns: Patterns, *, fit: Fit, iterations: Iterations) -> Model:
    model = begin(patterns, fit)
    if model.done:
        return model
    with nested() as compute:
        return iterations.fitted(model, compute)


def pattern_plan(request: Request) -> Plan:
    """Plan the first pass: cut as that of rows without missing values, but with tables of patterns as states."""
    width = sum(request.widths)
    work = replace(work_of(request, whole_streams(request), request.widths, request.state), **_costs_of_full(width))
    cost, matrices = Patterns.cost(width), 3 * 8 * width**2
    found = replace(work, state_bytes=cost.state_bytes, block_bytes=cost.block_bytes + matrices)
    return replace(make_plan(found, work), fan_in=make_plan(found).fan_in)


def _costs_of_full(width: int) -> dict[str, Any]:
    cost = Scatter.cost(width)
    return {"row_flops": cost.row_flops, "state_bytes": cost.state_bytes}


def _own_variances(request: Request) -> Any:
    """Return the rows' own variances: at 64 columns a pass without a matrix takes 0.4 of the time of one with it."""
    options = replace(request.options, missing=propagate)
    return in_memory(replace(request, options=options, policy=Policy(propagate))).state


class _OnDemand:
    """Hides a Delayed from dask's search for dependencies, so that it is computed only on demand."""

    def __init__(self, promised: Delayed):
        self.promised = promised

    def __dask_tokenize__(self) -> str:
        return str(self.promised.key)


def _fitted_where_needed(own: Variances, *, later: _OnDemand) -> Any:
    if _complete(own):
        return own
    with nested() as compute:
        return compute(later.promised)


def _complete(own: Variances) -> bool:
    return not (own.columns.census.nans.any() or own.columns.census.infs.any())


def fitted_state(model: Model, patterns: Patterns, kind: StateType, first: int) -> Any:
    """Return the state of rows as the Gaussian would complete them; the ``first`` columns are those of x."""
    if without_holes(patterns):
        columns, triangle = patterns.columns, patterns.clean.triangle
    else:
        columns, scatter = moments_of(model, patterns)
        triangle = packed.pack(scatter)
    if kind is Variances:
        return Variances(columns)
    if kind is Scatter:
        found: Any = Fitted(columns, triangle)
    else:
        x, y = slice(first), slice(first, None)
        rectangle = packed.unpack(triangle, columns.width)[x, y].copy()
        found = FittedCross(part(columns, x), part(columns, y), rectangle)
    found.record = model.record()
    return found

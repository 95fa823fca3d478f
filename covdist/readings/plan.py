"""``plan``: the reading, computing and memory of a call, before it is made."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from covdist.engine.plan import Plan
from covdist.folding.request import Request, make_request
from covdist.folding.result_size import refusal
from covdist.folding.strategy import for_workers, plan_of
from covdist.given import flag
from covdist.readings.spectrum.dual import dual_plan
from covdist.readings.spectrum.sketch import sketch_plan
from covdist.results.labels import ArrayLike, Dims, Rows
from covdist.results.names import own_names
from covdist.state.variances import Variances

_VECTORS = 20  # eigenvectors that the plans of dual and sketch are for


@own_names
def plan(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: Rows = None,
    variances_only: bool = False,
    **options: Any,
) -> Plan:
    """Plan what :func:`covdist.moments` would read, compute, hold and write; no row is read.

    Parameters
    ----------
    x, y, dim, by, **options
        As for :func:`covdist.moments`.
    variances_only : bool
        Plan for :func:`covdist.var` and :func:`covdist.gradient_stats`, which build no matrix.

    Returns
    -------
    Plan
        Shards, tasks, bytes read, moved and written, flops, and ``peak_bytes``, the most a worker holds. Of a
        covariance matrix also ``strategy``, "memory" or "tiles", ``reason``, and ``strategies``, a plan for each of
        them, and for "dual" and "sketch" of :func:`covdist.spectrum` with 20 eigenvectors. ``refusal`` says so where
        the result is so much larger than the arrays that ``covdist run`` and :func:`covdist.submit` would have to be
        forced.

    Raises
    ------
    PlanError
        If what ``matrix`` asks for does not fit into ``memory``.

    Examples
    --------
    >>> import dask.array as da, covdist
    >>> p = covdist.plan(da.zeros((1_000_000, 1024), chunks=(4096, 1024), dtype="f4"))
    >>> p.bytes_read, p.shards > 8
    (4096000000, True)
    >>> covdist.plan(da.zeros((10_000, 50_000), chunks=(100, 50_000), dtype="f4")).strategy
    'tiles'
    """
    if flag("variances_only", variances_only):
        options["state"] = Variances
    return request_plan(for_workers(make_request(x, y, dim=dim, by=by, **options)))


def request_plan(request: Request) -> Plan:
    """Plan a request, and say where its result is too large."""
    plan = with_spectra(request)
    return replace(plan, refusal=refusal({"": request}, {"": plan}))


def with_spectra(request: Request) -> Plan:
    """Plan a request; of a covariance matrix also the spectrum's strategies, which need no matrix."""
    return plan_of(request, partial(_spectra, request))


def _spectra(request: Request, memory: Plan) -> tuple[Plan, ...]:
    (side,) = request.sides
    return dual_plan(side, _VECTORS), sketch_plan(memory.work, side.axis.size, _VECTORS)

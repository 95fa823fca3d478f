"""Logs, results and jobs, as what a page is about."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import get_scheduler

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import CovdistError, DataError
from covdist.folding.fold import fold_request
from covdist.folding.grouping import bins
from covdist.folding.request import Request
from covdist.folding.strategy import for_workers, plans_of
from covdist.given import told
from covdist.jobs.job import Job, JobStatus
from covdist.jobs.so_far import plans_of_job, so_far
from covdist.logs.opening import open_log
from covdist.page.contents import Contents
from covdist.readings.gradients.health.layers import request_of
from covdist.readings.gradients.health.states import full_path
from covdist.readings.layers.nodes import nodes_of
from covdist.readings.layers.similarity import read as similarity_of
from covdist.readings.layers.similarity import similarity
from covdist.results.labels import Dims
from covdist.results.load import load
from covdist.results.moments import Moments
from covdist.results.store import root_of
from covdist.results.windows import begun
from covdist.state.variances import Variances

_STEPS = 32  # bins of steps, of which each has a state
_STATE_BYTES = 1 << 26  # of all bins of an array, about
_COLUMN_BYTES = 72
_WHOLE = 1 << 53  # up to which every whole number is a float
_MOST_COLUMNS = 4096  # of which correlations are taken


def opened(path: str | os.PathLike[str], opening: Mapping[str, Any]) -> Job | xr.DataTree | dict[str, Moments]:
    """Return the job, result or log at a path; a job also by its id."""
    text = os.fspath(path)
    if os.path.isfile(os.path.join(text, "manifest.json")) or (
        not os.path.exists(text) and "/" not in text and len(text) == 16
    ):
        return Job(text)
    if begun(Path(text)) is not None or root_of(text) is not None:
        found = load(text)
        return {"": found} if isinstance(found, Moments) else found
    return open_log(text, **opening)


# ---- results


def of_states(
    states: Mapping[str, object], source: str, variables: tuple[str, str], path: str | None = None
) -> Contents:
    """Describe moments by path, computed or lazy; of a result on disk also what it takes there."""
    for name, each in states.items():
        if not isinstance(each, Moments) or not isinstance(name, str):
            found = f"a {type(each).__name__} as {told(name)}"
            raise DataError(f"a report is of moments by path, found {found}: pass those")
    lazy: Any = dict(states)
    (found,) = dask.base.compute(lazy, scheduler="threads")
    named = {full_path(name, each) or "result": each for name, each in found.items()}
    sides = [m for m in named.values() if len(m.layout.axes) == 1 and "layer" in m.layout.axes[0].coords]
    return Contents(
        source,
        named,
        variables,
        _similarity(sides),
        costs=[] if path is None else [_on_disk(named, path)],
        origin=_origin(named) + ([] if path is None else _made(path)),
    )


def _similarity(sides: list[Moments]) -> xr.DataArray | str:
    if not sides:
        return "A result holds each layer by itself: `covdist report LOG`, of the log, compares layers with each other."
    try:
        return similarity_of(sides[0]).compute()
    except CovdistError as error:
        return str(error)


def _on_disk(states: Mapping[str, Moments], path: str) -> tuple[str, str, str]:
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    planned, taken = sum(m.layout.nbytes for m in states.values()), sum(file.stat().st_size for file in files)
    return "result on disk", human_bytes(planned), human_bytes(taken)


def _made(path: str) -> list[tuple[str, str]]:
    if (attrs := root_of(path)) is None:
        return []
    return [("made", str(attrs.get("created", ""))), *((name, str(each)) for name, each in attrs["versions"].items())]


def _origin(states: Mapping[str, Moments]) -> list[tuple[str, str]]:
    """Return facts that all states share, and those of others as "various"."""
    found = dict[str, set[str]]()
    for m in states.values():
        for name, fact in m.layout.provenance.items():
            if name != "source":
                found.setdefault(name, set()).add(str(fact))
    return [(name, next(iter(facts)) if len(facts) == 1 else "various") for name, facts in found.items()]


# ---- logs


def check_scheduler(scheduler: Any) -> None:
    """Raise DataError where it is nothing that dask computes by."""
    try:
        get_scheduler(scheduler=scheduler)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"scheduler={told(scheduler)} computes nothing: pass 'threads', or a client of a dask cluster"
        ) from error


def of_log(
    log: xr.DataTree, source: str, variables: tuple[str, str], dim: Dims = None, scheduler: Any = "threads"
) -> Contents:
    """Fold gradients by bins of steps and activations with their correlations, and compare the layers."""
    gradient, activation = variables
    check_scheduler(scheduler)
    nodes = nodes_of(log, gradient=gradient, activation=activation)
    requests = dict[str, Request]()
    for layer, node in nodes.items():
        for variable in variables:
            if variable in node.data_vars:
                name = f"{layer}/{variable}"
                kind = Variances if variable == gradient else None
                requests[name] = _request(node.dataset[variable], name, dim, kind)
    plans, began = plans_of(requests), time.perf_counter()
    lazy: Any = {path: fold_request(for_workers(request, plans[path])) for path, request in requests.items()}
    states, alike = dask.base.compute(lazy, _compared(log, activation, dim), scheduler=scheduler)
    took = time.perf_counter() - began
    return Contents(source, states, variables, alike, costs=_costs(list(plans.values()), took), origin=_origin(states))


def _request(x: xr.DataArray, name: str, dim: Dims, state: Any) -> Request:
    if state is None:
        return request_of(x, name, dim, (), _MOST_COLUMNS, None)
    plain = request_of(x, name, dim, (), _MOST_COLUMNS, state)
    steps = str(plain.sides[0].sample_dims[0])
    most = min(_STEPS, x.sizes.get(steps, 1), _STATE_BYTES // (_COLUMN_BYTES * max(plain.widths[0], 1)))
    if most < 2:
        return plain
    numbered = x if steps in x.coords else x.assign_coords({steps: np.arange(x.sizes[steps])})
    try:
        by = bins(steps, _edges(numbered.indexes.get(steps), most))
        return request_of(numbered, name, dim, by, _MOST_COLUMNS, state)
    except CovdistError:  # steps that are text, or all the same
        return plain


def _edges(labels: pd.Index | None, most: int) -> int | np.ndarray:
    """Return edges at whole numbers where steps are such, so that a bin is named by its first step; else how many."""
    if labels is None or labels.dtype.kind not in "iu" or abs(labels.max()) >= _WHOLE or abs(labels.min()) >= _WHOLE:
        return most
    edges = np.unique(np.linspace(labels.min(), labels.max(), most + 1).round().astype(np.int64))
    return edges if len(edges) > 1 else most


def _compared(log: xr.DataTree, activation: str, dim: Dims) -> xr.DataArray | str:
    """Return the similarity of the layers, lazy, or why there is none."""
    try:
        return similarity(log, var=activation, dim=dim, missing="drop", inf="missing")
    except CovdistError as error:
        return f"Layers cannot be compared with each other: {error}"


def _costs(plans: list[Plan], took: float) -> list[tuple[str, str, str]]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return [
        ("read", human_bytes(sum(plan.bytes_read for plan in plans)), ""),
        ("held by a worker at most", human_bytes(max(plan.peak_bytes for plan in plans)), ""),
        ("held by this process at most", "", human_bytes(peak)),
        ("time of one core", f"{sum(plan.core_seconds for plan in plans):.2g} s", ""),
        ("time that passed", "", f"{took:.2g} s"),
        ("shards", f"{sum(plan.strips * plan.shards for plan in plans):,}", ""),
    ]


# ---- jobs


def of_job(job: Job, variables: tuple[str, str]) -> Contents:
    """Describe a job by its result, or while it runs by the states that are written down."""
    status = job.status()
    source = f"{status['log']}, by the job in {status['path']}"
    if status["status"] == "done":
        found = job.result()
        states = {"": found} if isinstance(found, Moments) else found
    else:
        states = so_far(job)
    about = of_states(states, source, variables)
    origin = [*about.origin, *job.directory.manifest()["versions"].items()]
    return replace(about, progress=status, costs=_job_costs(status, plans_of_job(job)), origin=origin)


def _job_costs(status: JobStatus, plans: list[Plan]) -> list[tuple[str, str, str]]:
    rate = status["per_second"]
    share = status["folded"] / max(status["shards"], 1)
    read = sum(plan.bytes_read for plan in plans)
    costs = [("shards", f"{status['shards']:,}", f"{status['folded']:,}")]
    if plans:
        costs += [
            ("read", human_bytes(read), human_bytes(int(share * read))),
            ("held by a worker at most", human_bytes(max(plan.peak_bytes for plan in plans)), ""),
            ("time of one core", f"{sum(plan.core_seconds for plan in plans):.2g} s", ""),
        ]
    return costs + ([("shards a second", "", f"{rate:.3g}")] if rate else [])

"""``update``: folds the rows that are new in a log, and adds them to the result of those before."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from dask import threaded
from dask.base import compute

from covdist.engine.plan import Plan
from covdist.engine.room import client_here
from covdist.errors import DataError, ResultError, shown
from covdist.folding.batches import batches, folded_here
from covdist.folding.fold import fold_request
from covdist.folding.request import Request
from covdist.folding.selection import Selection, requests
from covdist.folding.strategy import for_workers, plans_of
from covdist.folding.weights import ages, faded
from covdist.given import local_path
from covdist.growth.grown import Grown, Key
from covdist.growth.made_from import MadeFrom, Nodes
from covdist.logs.opening import log_nodes
from covdist.results.labels import Axis, label
from covdist.results.layout import Layout
from covdist.results.load import load
from covdist.results.looks.counts import totals
from covdist.results.moments import Moments
from covdist.results.saving import save_in
from covdist.results.store import replaced

_START = 20.0  # seconds of one core for which workers are worth starting
_STATE_BYTES = 1 << 28  # of one state, at most, of which every thread of this process holds one
Fold = Callable[[dict[str, Request]], dict[str, Moments]]


def update(log: str | os.PathLike[str], result: str | os.PathLike[str]) -> Moments | dict[str, Moments]:
    """Fold the rows that came to a log since a result was made from it, and add them to the result.

    What is new is read and folded, and beside it one chunk of old rows of each array, the one that they share with new
    ones. Layers and variables that are new are folded whole. The result is what a run over the whole log would give, to
    rounding: the bits are those of the old state plus the state of the new rows, and those of the whole run where that
    cuts its shards at the same row and merges them in the same order, as in two shards.

    Parameters
    ----------
    log : str or path-like
        The log that the result was made from, as for :func:`covdist.open_log`.
    result : str or path-like
        What ``covdist run LOG -o RESULT``, a job's ``-o``, or an update wrote. The new one takes its place, with the
        same options, when it is complete; where anything fails the old one stays.

    Returns
    -------
    Moments or dict
        As :func:`covdist.load` returns the result.

    Raises
    ------
    ResultError
        If rows that the result holds have changed or are gone; if it was not made from this log; or if its states
        cannot go on, as matrices in tiles, ``missing="maxent"`` or ``"interpolate"``, ``blocks=`` and bins by their
        number, which depend on all rows.

    Notes
    -----
    Old rows count as unchanged where the array's metadata and the size and time, or etag, of each full chunk file are
    the same, and where the rows of the last one, which is written again when it fills up, have the same values. Of
    other formats new rows take new files, or come behind those of the last one, which are read again and compared; no
    other file may have been written to. Where the last files of all arrays hold more than 64 MiB together, they too
    must be as they were. The state "sampled" numbers new rows from 0 on: of more rows than it keeps it holds other ones
    than a whole run would, drawn as evenly.

    Examples
    --------
    >>> import tempfile, numpy as np, covdist
    >>> from covdist.cli import main
    >>> folder = tempfile.mkdtemp()
    >>> log, result = f"{folder}/log.zarr", f"{folder}/result.zarr"
    >>> with covdist.Recorder(log) as rec:
    ...     rec.log(0, {"fc1/activation": np.eye(4)})
    >>> main(["run", log, "-o", result], standalone_mode=False)  # doctest: +ELLIPSIS
    array ...
    >>> with covdist.Recorder(log, mode="a") as rec:
    ...     rec.log(1, {"fc1/activation": np.ones((2, 4))})
    >>> covdist.update(log, result)
    <covdist.Moments of 6 rows: full state of unit (4)>
    """
    found = updated(log, result, folded)
    return found if len(found) > 1 else next(iter(found.values()))


def updated(
    log: str | os.PathLike[str],
    result: str | os.PathLike[str],
    fold: Fold,
    check: Callable[[MadeFrom], None] = lambda made: None,
) -> dict[str, Moments]:
    """Update a result by what folds requests, and return it by arrays; ``check`` may refuse what it was made from."""
    place = _place(result)
    made = MadeFrom.read(place)
    check(made)
    nodes = log_nodes(log, **made.opening)
    grown = Grown.of(nodes, made, place)
    found = load(place)
    states = dict.fromkeys(made.arrays, found) if isinstance(found, Moments) else found
    if states.keys() != made.arrays.keys() or (isinstance(found, Moments) and len(states) > 1):
        raise ResultError(
            f"{place} is damaged (it holds other arrays than it was made from): remove it and make it again"
        )
    new = grown.new()
    if not new:
        return states
    grown.check(nodes, states, made.selection)
    chosen = requests(grown.nodes(nodes), made.selection, new)
    now = MadeFrom.of(nodes, made.selection, made.opening, grown.chosen)
    added = fold(chosen)
    results = dict[str, Moments]()
    for key, called in grown.chosen.items():
        before = states[grown.before[key]] if key in grown.before else None
        if before is not None and called in added:
            results[called] = _sum(before, added[called], nodes, key, grown, made.selection)
        else:
            results[called] = before or added[called]
    with replaced(Path(place)) as beside:
        save_in(beside, results if len(results) > 1 else {"": next(iter(results.values()))}, about=now.as_json())
    return results


def folded(chosen: dict[str, Request]) -> dict[str, Moments]:
    """Return the moments of requests, by the current cluster, or by this process where there is none."""
    plans = plans_of(chosen)
    small = batches(chosen, list(plans.values()))
    found = folded_here(small)
    large = {path: fold_request(for_workers(each, plans[path])) for path, each in chosen.items() if path not in found}
    here = {"scheduler": threaded.get} if client_here() is None else {}  # by its name dask imports distributed first
    return found | dict(zip(large, compute(*large.values(), **here), strict=True))


def light(plans: Sequence[Plan]) -> bool:
    """Return whether this process has folded what is planned before workers could help."""
    few = max(plan.state_bytes for plan in plans) < _STATE_BYTES
    return few and sum(plan.core_seconds for plan in plans) < _START


def _place(result: str | os.PathLike[str]) -> str:
    if not isinstance(result, str | os.PathLike):
        raise DataError(f"result is {type(result).__name__}, expected the path of a result: save it first")
    place = local_path(result, "result")
    if not os.path.exists(place):
        raise ResultError(f"{place} does not exist: make it first, by `covdist run LOG -o RESULT`")
    if os.path.isfile(os.path.join(place, "manifest.json")):
        raise ResultError(
            f"{place} is a job's folder: pass the result that the job wrote to its output, or a copy of its result.zarr"
        )
    return place


def _sum(old: Moments, new: Moments, nodes: Nodes, key: Key, grown: Grown, selection: Selection) -> Moments:
    path, name = key
    old = _named_as(old, new.layout)
    if selection.halflife is None:
        return old + new
    x = nodes[path].array(name, name)
    rows = label(x, selection.dim if selection.dim is not None else str(x.dims[0]), fallback="x")
    lazy, halflife = ages(selection.halflife, rows)
    age, is_new = np.asarray(lazy), np.zeros(len(x), bool)
    for each in grown.ranges[key]:
        is_new[each] = True
    if not set(rows.sample_dims) & set(x.coords):
        _check_together(name, np.flatnonzero(~is_new))
    _check_faded(name, old, faded(age[~is_new] - age[~is_new].min(), halflife), selection.halflife)
    before, since = (float(faded(age[rows].min(), halflife)) for rows in (~is_new, is_new))
    return old.scaled(before) + new.scaled(since)


def _named_as(old: Moments, now: Layout) -> Moments:
    """Return a state of old rows with the names that an array and its dims have by now, such as those of many files."""
    axes = tuple(map(_renamed, old.layout.axes, now.axes))
    told = {key: value for key, value in now.provenance.items() if key in ("source", "dims")}
    return Moments(old.deferred, replace(old.layout, axes=axes, provenance=old.layout.provenance | told))


def _renamed(axis: Axis, now: Axis) -> Axis:
    if axis.dim is None or now.dim is None:
        return axis
    return axis.renamed({**{name: name for name in axis.coords}, axis.dim: now.dim})


def _check_together(array: str, old: np.ndarray) -> None:
    """Raise ResultError where new rows lie between old ones, whose ages are told by their numbers."""
    if len(old) and old[-1] - old[0] >= len(old):
        raise ResultError(
            f"{shown(array)} has new rows between others, whose weights no longer fit, as halflife counts rows: make a "
            "new result of all rows"
        )


def _check_faded(array: str, old: Moments, weights: np.ndarray, halflife: float | str) -> None:
    """Raise ResultError where old rows, of which none is left out, do not have the weights that a half-life gives."""
    total, expected = totals(old).sum(), weights.sum()
    if int(old.rows.sum()) == len(weights) and not np.isclose(total, expected, rtol=1e-6, atol=0):
        raise ResultError(
            f"the old rows of {shown(array)} have weights of {total:.6g} in all, where halflife={halflife} gives them "
            f"{expected:.6g}, so one of them was changed: make a new result of all rows"
        )

"""Plans and results as tables for a terminal, and as plain dicts for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any

import numpy as np

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import CovdistError, shown
from covdist.readings.gradients.gradient_stats import LayerSummary
from covdist.readings.smallest_eigenvalue import read as smallest_eigenvalue
from covdist.results.moments import Moments
from covdist.results.stacks import same_numbers, stack, together
from covdist.terminal.columns import TableRow, columns, wrapped

_LISTED = 20  # arrays that cannot be folded, with their reasons
_COSTS = (
    "bytes_read", "flops", "shards", "fan_in", "tasks", "state_bytes", "bytes_moved", "peak_bytes", "bytes_written",
)  # fmt: skip


def plan_table(plans: dict[str, Plan]) -> str:
    """Lay out one row an array; where its matrix is too large for a state, also the other ways."""
    rows = [
        TableRow(path, (_shape(plan.work.rows, plan.work.columns), *_cells(plan)), _others(plan))
        for path, plan in plans.items()
    ]
    header = "shape", "strategy", "read", "write", "peak", "operations", "state", "shards", "tasks"
    found = columns("array", header, rows)
    if len(plans) > 1:
        read, written = (
            human_bytes(sum(getattr(plan, each) for plan in plans.values())) for each in ("bytes_read", "bytes_written")
        )
        found = "\n".join([found, *wrapped(f"in all {len(plans):,} arrays: read {read}, write {written}")])
    return found


def refused_list(refused: Mapping[str, CovdistError]) -> str:
    """Say of each array that cannot be read or folded why not."""
    if not refused:
        return ""
    said = ["\n" + "\n".join(wrapped(f"{shown(path)}: {error}")) for path, error in list(refused.items())[:_LISTED]]
    more = f"\n\nand so it is with {len(refused) - _LISTED:,} more" if len(refused) > _LISTED else ""
    head = f"{len(refused):,} cannot be folded, and `covdist run` asks you to choose others (--layer, --var):"
    return "\n".join(["", *wrapped(head), *said]) + more


def _shape(rows: int, columns: str) -> str:
    return f"{rows:,} × ({columns})" if "×" in columns else f"{rows:,} × {columns}"


def _others(plan: Plan) -> tuple[TableRow, ...]:
    if plan.strategy == "memory":
        return ()
    others = [other for other in plan.strategies if other.strategy != plan.strategy]
    return tuple(TableRow(f"  or {other.strategy}", ("", *_cells(other))) for other in others)


def _cells(plan: Plan) -> tuple[str, ...]:
    return (
        plan.strategy, human_bytes(plan.bytes_read), human_bytes(plan.bytes_written), human_bytes(plan.peak_bytes),
        f"{plan.flops:.2g}", human_bytes(plan.state_bytes), f"{plan.strips * plan.shards:,}", f"{plan.tasks:,}",
    )  # fmt: skip


def plan_record(plan: Plan) -> dict[str, Any]:
    """Numbers of a plan, sizes in bytes."""
    question = {"rows": plan.work.rows, "columns": plan.work.columns, "way": plan.strategy, "why": plan.reason}
    return question | _costs(plan) | {"ways": {each.strategy: _costs(each) for each in plan.strategies}}


def _costs(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in _COSTS} | {"core_seconds": plan.seconds_here}


def result_records(named: Mapping[str, Moments]) -> dict[str, dict[str, Any]]:
    """Return summaries of computed states, each over all groups."""
    return together(named, same_numbers, _records)


def _records(alike: Sequence[Moments]) -> Iterator[dict[str, Any]]:
    first, in_order = alike[0], alike[0].layout.groups is not None and alike[0].layout.state.ordered
    wholes = None if in_order else stack([over_all_groups(one) for one in alike])
    state: Any = over_all_groups(first.x).deferred.joined() if wholes is None else wholes
    columns = state.side(0)
    summary = LayerSummary.of(columns)
    figures: dict[str, Any] = {name: summary.value(name) for name in ("mean", "std", "snr", "zero_fraction")}
    figures["constant_columns"] = (columns.deviation(0) == 0).sum(axis=-1)
    if not in_order and (first.can_answer("correlation") or first.can_answer("pair_correlation")):
        whole = slice(0, first.layout.widths[0])
        matrices = _correlations(over_all_groups(first), whole) if wholes is None else wholes.correlation(whole)
        figures["largest_correlation"] = _strongest(matrices, len(first.layout.axes) == 1)
    if first.can_answer("nearest_covariance"):
        figures["smallest_eigenvalue"] = float(smallest_eigenvalue(over_all_groups(first)))
    lists = [np.atleast_1d(values).tolist() for values in figures.values()]
    for one, *values in zip(alike, *lists, strict=True):
        yield {**_facts(one, int(columns.columns.rows)), **dict(zip(figures, values, strict=True))}


def _facts(moments: Moments, rows: int) -> dict[str, Any]:
    layout = moments.layout
    return {
        **layout.provenance,
        "kind": layout.kind,
        "rows": rows,
        "columns": [axis.size for axis in layout.axes],
        "groups": None if layout.groups is None else {layout.groups.dim: len(layout.groups.values)},
    }


def over_all_groups(moments: Moments) -> Moments:
    """Return the moments of all rows, whatever their groups."""
    groups = moments.layout.groups
    return moments if groups is None else moments.merge(groups.dim)


def _correlations(moments: Moments, whole: slice) -> np.ndarray:
    paired = moments.can_answer("pair_correlation")
    answer = methodcaller("pair_correlation", 1) if paired else methodcaller("correlation", whole)
    return np.asarray(moments.deferred.values(answer, moments.layout.matrix_axes()))


def _strongest(correlations: np.ndarray, of_one: bool) -> Any:
    """Return the largest magnitudes in matrices (..., x, y) of different columns; None in place of NaN alone."""
    magnitudes = np.abs(correlations)
    if of_one and magnitudes.ndim > 1:
        own = np.arange(magnitudes.shape[-1])
        magnitudes[..., own, own] = np.nan
    found = np.fmax.reduce(magnitudes, axis=tuple(range(magnitudes.ndim))[-2:], initial=np.nan)
    return np.where(np.isnan(found), None, found)


def result_table(records: dict[str, dict[str, Any]]) -> str:
    rows = []
    for path, record in records.items():
        strongest = record.get("largest_correlation")
        kind = record["kind"] + "".join(f" by {shown(dim)} ({n})" for dim, n in (record["groups"] or {}).items())
        cells = (
            _shape(record["rows"], " × ".join(f"{n:,}" for n in record["columns"])),
            f"{record['mean']:.3g}", f"{record['std']:.3g}", f"{record['snr']:.3g}",
            "" if strongest is None else f"{strongest:.3f}", f"{record['zero_fraction']:.1%}",
            f"{record['constant_columns']:,}", kind,
        )  # fmt: skip
        rows.append(TableRow(path or record.get("source", "(root)"), cells))
    return columns("array", ("shape", "mean", "std", "SNR", "|corr|", "zeros", "constant", "state"), rows)

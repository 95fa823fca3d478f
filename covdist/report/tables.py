"""Plans and results as tables for a terminal, and as plain dicts for machines."""

from __future__ import annotations

from collections.abc import Mapping
from operator import methodcaller
from typing import Any

import numpy as np

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import CovdistError, shown
from covdist.readings.gradient_stats import summaries
from covdist.readings.smallest_eigenvalue import read as smallest_eigenvalue
from covdist.report.columns import TableRow, columns
from covdist.results.moments import Moments

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
        found += f"\nin all {len(plans):,} arrays: read {read}, write {written}"
    return found


def refused_list(refused: Mapping[str, CovdistError]) -> str:
    """Say of each array that cannot be read or folded why not."""
    if not refused:
        return ""
    said = [f"\n{shown(path)}: {error}" for path, error in list(refused.items())[:_LISTED]]
    more = f"\n\nand so it is with {len(refused) - _LISTED:,} more" if len(refused) > _LISTED else ""
    head = f"\n{len(refused):,} cannot be folded, and `covdist run` asks you to choose others (--layer, --var):\n"
    return head + "\n".join(said) + more


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


def result_record(moments: Moments) -> dict[str, Any]:
    """Return a summary of one computed state, over all groups."""
    layout = moments.layout
    each = moments if layout.groups is None else _whole(moments.x)
    (summary,) = summaries(each)
    columns: Any = each.deferred.joined()
    columns = columns.side(0)
    record = {
        **layout.provenance,
        "kind": layout.kind,
        "rows": int(columns.columns.rows),
        "columns": [axis.size for axis in layout.axes],
        "groups": None if layout.groups is None else {layout.groups.dim: len(layout.groups.values)},
        **{name: summary.value(name) for name in ("mean", "std", "snr", "zero_fraction")},
        "constant_columns": int((columns.deviation(0) == 0).sum()),
    }
    if moments.can_answer("correlation") or moments.can_answer("pair_correlation"):
        record["largest_correlation"] = _strongest(_whole(moments))
    if moments.can_answer("nearest_covariance"):
        record["smallest_eigenvalue"] = float(smallest_eigenvalue(_whole(moments)))
    return record


def _whole(moments: Moments) -> Moments:
    groups = moments.layout.groups
    return moments if groups is None else moments.merge(groups.dim)


def _strongest(moments: Moments) -> float | None:
    """Largest magnitude of correlation between two different columns."""
    axes = moments.layout.matrix_axes()
    answer = methodcaller("correlation", slice(0, axes[0].size))
    if moments.can_answer("pair_correlation"):
        answer = methodcaller("pair_correlation", 1)
    matrix = np.abs(moments.deferred.values(answer, axes))
    if len(moments.layout.axes) == 1 and matrix.ndim == 2:
        np.fill_diagonal(matrix, np.nan)
    return None if np.isnan(matrix).all() else float(np.nanmax(matrix))


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

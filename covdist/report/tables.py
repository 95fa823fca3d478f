"""Plans and results as tables for a terminal, and as plain dicts for machines."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import shown
from covdist.readings.corr import read as correlation
from covdist.readings.gradient_stats import read as statistics
from covdist.readings.smallest_eigenvalue import read as smallest_eigenvalue
from covdist.results.moments import Moments

_COSTS = (
    "bytes_read", "flops", "shards", "fan_in", "tasks", "state_bytes", "bytes_moved", "peak_bytes", "bytes_written",
)  # fmt: skip


def plan_table(plans: dict[str, Plan]) -> Table:
    """One row an array; where its matrix is too large for a state, also the other ways."""
    table = Table(
        "array", "strategy", "rows", "columns", "state", "read", "operations", "shards", "tasks", "peak", "write",
        title="Plan (nothing has been read)",
    )  # fmt: skip
    for path, plan in plans.items():
        work = plan.work
        table.add_row(shown(path), plan.strategy, f"{work.rows:,}", work.columns, *_cells(plan))
        if plan.strategy != "memory":
            for other in plan.strategies:
                if other.strategy != plan.strategy:
                    table.add_row("", f"or {other.strategy}", "", "", *_cells(other), style="dim")
    return table


def _cells(plan: Plan) -> list[str]:
    return [
        human_bytes(plan.state_bytes), human_bytes(plan.bytes_read), f"{plan.flops:.2g}",
        f"{plan.strips * plan.shards:,}", f"{plan.tasks:,}", human_bytes(plan.peak_bytes),
        human_bytes(plan.bytes_written),
    ]  # fmt: skip


def plan_record(plan: Plan) -> dict[str, Any]:
    """Numbers of a plan, sizes in bytes."""
    question = {"rows": plan.work.rows, "columns": plan.work.columns, "way": plan.strategy, "why": plan.reason}
    return question | _costs(plan) | {"ways": {each.strategy: _costs(each) for each in plan.strategies}}


def _costs(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in _COSTS} | {"core_seconds": plan.seconds_here}


def result_record(moments: Moments) -> dict[str, Any]:
    """Return a summary of one computed state, over all groups."""
    layout = moments.layout
    columns = _whole(moments.x)
    stats = statistics(columns)
    record = {
        **layout.provenance,
        "kind": layout.kind,
        "rows": int(columns.rows),
        "columns": [axis.size for axis in layout.axes],
        "groups": None if layout.groups is None else {layout.groups.dim: len(layout.groups.values)},
        "mean": float(stats["layer_mean"]),
        "std": float(stats["layer_std"]),
        "snr": float(stats["layer_snr"]),
        "zero_fraction": float(stats["layer_zero_fraction"]),
        "constant_columns": int((stats["std"] == 0).sum()),
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
    matrix = np.abs(correlation(moments).to_numpy())
    if len(moments.layout.axes) == 1 and matrix.ndim == 2:
        np.fill_diagonal(matrix, np.nan)
    return None if np.isnan(matrix).all() else float(np.nanmax(matrix))


def result_table(records: dict[str, dict[str, Any]]) -> Table:
    table = Table("array", "state", "rows", "columns", "mean", "std", "SNR", "zeros", "constant", "largest |corr|")
    for path, record in records.items():
        strongest = record.get("largest_correlation")
        kind = record["kind"] + "".join(f" by {shown(dim)} ({n})" for dim, n in (record["groups"] or {}).items())
        table.add_row(
            shown(path or record.get("source", "(root)")), kind,
            f"{record['rows']:,}", " × ".join(f"{n:,}" for n in record["columns"]),
            f"{record['mean']:.3g}", f"{record['std']:.3g}", f"{record['snr']:.3g}",
            f"{record['zero_fraction']:.1%}", f"{record['constant_columns']:,}",
            "" if strongest is None else f"{strongest:.3f}",
        )  # fmt: skip
    return table

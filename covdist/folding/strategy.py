"""Memory, tiles, dual or sketch: what each would take, and which it is; by the data and the options alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from covdist.engine.plan import Plan, human_bytes
from covdist.errors import DataError
from covdist.numerics.accumulator import COLUMN_BYTES
from covdist.state.scatter import Scatter

if TYPE_CHECKING:
    from covdist.folding.folding import Folding

MATRICES = ("auto", "memory", "tiles")
_FEW_COLUMNS = 4096
_MOST_STATE_BYTES = 1_700_000_000  # 20,600 columns; a worker holds two or three of them
_VECTORS = 20  # eigenvectors that the plans of dual and sketch are for


def way(folding: Folding) -> tuple[str, str]:
    """Return "memory" or "tiles", and the reason."""
    columns = folding.sides[0].axis.size
    if folding.kind != "full" or folding.groups is not None:
        if folding.matrix == "tiles":
            found = f"a {folding.kind} matrix" if folding.groups is None else f"groups by {folding.groups.dim!r}"
            raise DataError(
                f"matrix='tiles' is for one array's columns with each other and without groups, found {found}: "
                "leave out y and by, or pick the rows of one group at a time"
            )
        return "memory", ""
    if folding.matrix != "auto":
        return folding.matrix, "asked for"
    if columns <= _FEW_COLUMNS:
        return "memory", f"up to {_FEW_COLUMNS:,} columns a state is small"
    state = Scatter.cost(columns).state_bytes
    if state > _MOST_STATE_BYTES:
        return "tiles", f"one state would take {human_bytes(state)}, more than {human_bytes(_MOST_STATE_BYTES)}"
    if folding.memory is not None and (peak := folding.in_memory().peak_bytes) > folding.memory:
        return "tiles", f"in memory a worker would need {human_bytes(peak)} of {human_bytes(folding.memory)}"
    return "memory", f"one state takes {human_bytes(state)}"


def choose(folding: Folding, in_memory: Plan) -> Plan:
    """Return the plan of the way that is chosen, with those of all others.

    Raises
    ------
    PlanError
        If it does not fit into the memory that the caller named.
    """
    from covdist.readings.spectrum.dual import dual_plan
    from covdist.readings.spectrum.sketch import sketch_plan

    chosen, why = way(folding)
    plan = in_memory
    if folding.kind == "full" and folding.groups is None:
        side = folding.sides[0]
        sketch = sketch_plan(in_memory.work, side.axis.size, _VECTORS)
        ways = (in_memory, folding.tiles.plan, dual_plan(side, _VECTORS), sketch)
        plan = next(replace(plan, reason=why, strategies=ways) for plan in ways if plan.strategy == chosen)
    plan.check(folding.memory)
    return plan


def result_bytes(kind: str, widths: Sequence[int]) -> int:
    """What a saved state takes: its matrices as squares, and some numbers a column."""
    matrices = {"variances": 0, "pairwise variances": 0, "pairwise": 5, "pairwise cross": 7}.get(kind, 1)
    return 8 * matrices * math.prod((widths[0], widths[-1])) + COLUMN_BYTES * sum(widths)

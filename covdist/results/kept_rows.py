"""Rows of groups in a file, where a group has so few that they take less room than its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from covdist.numerics.accumulator import Options
from covdist.numerics.nonfinite import BY_NAME
from covdist.numerics.products import PRECISIONS
from covdist.numerics.weights import checked
from covdist.results.labels import Axis
from covdist.results.layout import Layout
from covdist.results.packs import Arrays
from covdist.results.store import FEW_ROWS, StoredState
from covdist.state.base import State
from covdist.state.few_rows import FewRows, Folding
from covdist.state.grouped import Grouped

FOLDED = "_folded"  # codes of the groups that have states in the file, and the dim of these
_ROW, _PREFIX = "_row", "_few_"


def has_rows(state: Any) -> bool:
    """Return whether a state is of groups some of which are kept as rows."""
    return isinstance(state, Grouped) and state.few is not None and len(state.few) > 0


def apart(state: Grouped, axes: Sequence[Axis]) -> tuple[Grouped, Arrays, dict[str, object]]:
    """Return the groups that have states, numbered from 0, and the arrays and attributes that hold the others' rows."""
    few, folded = cast(FewRows, state.few), state.folded
    dims = {f"rows_{side}": (_ROW, axis.dim or "_column") for side, axis in enumerate(axes)}
    arrays: Arrays = {f"{_PREFIX}{name}": (dims.get(name, (_ROW,)), array) for name, array in few.arrays.items()}
    arrays[FOLDED] = (FOLDED,), np.array(list(folded), np.int64)
    options = few.folding.options
    about = {"missing": options.missing.__name__, "inf": options.inf, "precision": options.precision}
    return (
        Grouped(state.inner, dict(enumerate(folded.values()))), arrays, {FEW_ROWS: about | {"arrays": list(few.arrays)}}
    )  # fmt: skip


def put_together(states: Iterable[State], stored: StoredState, layout: Layout) -> Grouped:
    """Return the groups of a file again."""
    kind, about = layout.state, cast(Mapping[str, Any] | None, stored.attrs.get(FEW_ROWS))
    empty = kind.empty(*layout.widths)
    if about is None:
        return Grouped(empty, dict(enumerate(states)))
    if about["precision"] not in PRECISIONS:
        raise ValueError(f"there is no precision {about['precision']!r}")
    options = Options(BY_NAME[about["missing"]], about["precision"], about["inf"])
    arrays = {name: stored.read(f"{_PREFIX}{name}") for name in about["arrays"]}
    few = FewRows.of_arrays(Folding.of(kind, layout.widths, options), arrays)
    for weights in few.vectors.values():
        checked(weights)
    codes = stored.read(FOLDED).tolist()
    _check_codes(codes, few, layout)
    return Grouped(empty, dict(zip(codes, states, strict=True)), few)


def _check_codes(codes: Sequence[int], few: FewRows, layout: Layout) -> None:
    groups, own = range(0 if layout.groups is None else layout.groups.size), few.by.tolist()
    if not {*codes, *own} <= {*groups} or {*codes} & {*own} or len({*codes}) < len(codes) or own != sorted(own):
        raise ValueError(f"codes of groups are out of order, or none of the {len(groups)} there are")
    if any(block.shape != (len(few), width) for block, width in zip(few.blocks, layout.widths, strict=False)):
        raise ValueError(f"kept rows have {[each.shape for each in few.blocks]}, expected {layout.widths} columns")

"""The spectrum of many rows of very many columns, from what the covariance does to a few directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from covdist.engine.plan import Plan, Work, make_plan
from covdist.folding.passes import Pass, fold_with
from covdist.folding.request import Policy, SideRows
from covdist.folding.streams import Streams
from covdist.numerics.accumulator import Options
from covdist.results.deferred import Deferred, apply
from covdist.results.labels import Labelled
from covdist.state.sketch import LEAST_ROWS, Applied, AppliedAccumulator, Basis, Directions, Sketch, spectrum_of_sketch


def sketch_spectrum(
    side: Labelled, k: int, policy: Policy, options: Options, passes: int, seed: int, check_room: Callable[[Plan], None]
) -> Deferred:
    """Read the rows once, or twice where the sketch is not already exact."""
    directions, width = Directions(directions_for(k), seed), side.axis.size
    passes = 1 if directions.complete(width) else passes
    each = sketch_pass(side, k, policy, options.inf, passes)
    check_room(each.plan)
    about = len(side.sample_dims), options, tuple(directions)
    accumulator = partial(Sketch.accumulator, width, options=options, directions=directions)
    sketch = each.tree(each.key("sketch", *about), accumulator)
    if passes == 1:
        return Deferred((apply(partial(spectrum_of_sketch, k=k), sketch),), (width,))
    basis = apply(Basis.of, sketch)
    applied = partial(AppliedAccumulator, options=options)
    again = each.tree(each.key("sketch-again", *about), applied, basis, function=fold_with)
    return Deferred((apply(partial(Applied.spectrum, k=k), again, sketch, basis),), (width,))


def directions_for(k: int) -> int:
    """Twice as many directions as vectors: the error falls with the eigenvalues beyond those asked for."""
    return 2 * k + 10


def sketch_pass(side: Labelled, k: int, policy: Policy, inf: str, passes: int = 1) -> Pass:
    """Return the pass over the rows, with the plan of all passes."""
    lazy = not isinstance(side.data, np.ndarray)
    rows = policy.stream(SideRows(side, side.data, None, 0, inf, lazy))
    reading = Work(
        rows=math.prod(side.sample_shape),
        pieces=len(rows.bounds) - 1,
        columns=f"{side.axis.size:,}",
        row_bytes=side.axis.size * side.data.dtype.itemsize,
        piece_bytes=rows.piece_bytes,
        row_flops=0.0,
        state_bytes=0,
        shared=rows.shared,
    )
    return Pass(Streams({side.name: rows}, {}), sketch_plan(reading, side.axis.size, k, passes), lazy)


def sketch_plan(rows: Work, width: int, k: int, passes: int = 1) -> Plan:
    """Plan a sketch, given the work of reading the same rows."""
    directions = Directions(directions_for(k)).total(width)
    work = replace(
        rows,
        row_bytes=passes * rows.row_bytes,
        row_flops=passes * (4.0 * width * directions + 8.0 * width),
        state_bytes=8 * width * (directions + 12),
        # The second pass holds the basis that the first one found, and is as much work.
        block_bytes=8 * max(LEAST_ROWS * width, 1 << 18) + 8 * width * passes * directions,
        result_bytes=8 * k * width,
    )
    return replace(make_plan(work), strategy="sketch")

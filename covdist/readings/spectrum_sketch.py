"""The spectrum of many rows of very many columns, from what the covariance does to a few directions."""

from __future__ import annotations

import math
from dataclasses import astuple
from functools import partial
from typing import Any

import numpy as np
from dask.delayed import Delayed

from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.shard import fold
from covdist.engine.streams import SharedStream, stream
from covdist.readings.held import apply
from covdist.readings.labels import Labelled
from covdist.readings.passes import Pass, fold_with
from covdist.state.accumulator import Options
from covdist.state.eigen import Spectrum
from covdist.state.nystrom import spectrum_of_sketch
from covdist.state.refine import Applied, AppliedAccumulator, Basis
from covdist.state.sketch import LEAST_ROWS, Directions, Sketch


def sketched(side: Labelled, k: int, options: Options, passes: int, seed: int) -> Delayed:
    """Return the promise of a spectrum."""
    width, directions = side.axis.size, Directions(directions_for(k), seed)
    rows = stream(side.data, len(side.sample_dims))
    one = Pass(side.name, isinstance(side.data, np.ndarray), rows, _plan(side, rows, directions.total(width)))
    accumulator = partial(Sketch.accumulator, width, options=options, directions=directions)
    token = one.token(len(side.sample_dims), astuple(options), tuple(directions))
    sketch = one.fold(fold, accumulator, f"sketch-{token}")
    if passes == 1 or directions.complete(width):
        return apply(partial(spectrum_of_sketch, k=k), sketch)
    basis = apply(Basis.of, sketch)
    again = one.fold(fold_with, partial(AppliedAccumulator, options=options), f"sketch-again-{token}", basis)
    return apply(partial(_refined, k=k), again, sketch, basis)


def directions_for(k: int) -> int:
    """Twice as many directions as vectors: the error falls with the eigenvalues beyond those asked for."""
    return 2 * k + 10


def _refined(applied: Applied, sketch: Sketch, basis: Basis, k: int) -> Spectrum:
    return applied.spectrum(sketch, basis, k)


def _plan(side: Labelled, rows: Any, directions: int) -> Plan:
    width, itemsize = side.axis.size, side.data.dtype.itemsize
    work = Work(
        rows=math.prod(side.sample_shape),
        pieces=len(rows.bounds) - 1,
        columns=f"{width:,}",
        row_bytes=width * itemsize,
        piece_bytes=rows.piece_bytes,
        row_flops=4.0 * width * directions + 8.0 * width,
        state_bytes=8 * width * (directions + 12),
        block_bytes=8 * max(LEAST_ROWS * width, 1 << 18) + 8 * width * directions,
        shared=isinstance(rows, SharedStream),
    )
    return make_plan(work)

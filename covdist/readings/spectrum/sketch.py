"""The spectrum of many rows of very many columns, from what the covariance does to a few directions."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from dask.delayed import Delayed

from covdist.engine.plan import Plan, Work, make_plan
from covdist.folding.passes import Pass, fold_with
from covdist.folding.request import Policy, SideRows
from covdist.folding.streams import Streams
from covdist.numerics.accumulator import Options
from covdist.results.deferred import Deferred, apply
from covdist.results.labels import Labelled
from covdist.rows.stream import Stream
from covdist.state.sketch import LEAST_ROWS, Applied, AppliedAccumulator, Basis, Directions, Sketch, spectrum_of_sketch


class Sketched:
    """One pass over the rows, and another one where two are asked for."""

    def __init__(self, side: Labelled, k: int, policy: Policy, options: Options, passes: int, seed: int):
        self._k, self._options = k, options
        self._directions = Directions(directions_for(k), seed)
        self._width, self._ndim = side.axis.size, len(side.sample_dims)
        self._passes = 1 if self._directions.complete(self._width) else passes
        lazy = not isinstance(side.data, np.ndarray)
        rows = policy.stream(SideRows(side, side.data, None, 0, options.inf, lazy))
        plan = sketch_plan(_work(side, rows), self._width, k, self._passes)
        self._pass = Pass(Streams({side.name: rows}, {}), plan, lazy)

    @property
    def plan(self) -> Plan:
        """Plan all passes."""
        return self._pass.plan

    @cached_property
    def spectrum(self) -> Deferred:
        """The leading eigenpairs."""
        return Deferred((self._spectrum(),), (self._width,))

    def _spectrum(self) -> Delayed:
        accumulator = partial(Sketch.accumulator, self._width, options=self._options, directions=self._directions)
        about = self._ndim, self._options, tuple(self._directions)
        sketch = self._pass.tree(self._pass.key("sketch", *about), accumulator)
        if self._passes == 1:
            return apply(partial(spectrum_of_sketch, k=self._k), sketch)
        basis = apply(Basis.of, sketch)
        applied = partial(AppliedAccumulator, options=self._options)
        again = self._pass.tree(self._pass.key("sketch-again", *about), applied, basis, function=fold_with)
        return apply(partial(Applied.spectrum, k=self._k), again, sketch, basis)


def directions_for(k: int) -> int:
    """Twice as many directions as vectors: the error falls with the eigenvalues beyond those asked for."""
    return 2 * k + 10


def sketch_plan(rows: Work, width: int, k: int, passes: int = 1) -> Plan:
    """Plan a sketch, given the work of reading the same rows."""
    directions = Directions(directions_for(k)).total(width)
    # The second pass holds the basis that the first one found, and is as much work.
    held = passes * directions
    work = replace(
        rows,
        row_bytes=passes * rows.row_bytes,
        row_flops=passes * (4.0 * width * directions + 8.0 * width),
        state_bytes=8 * width * (directions + 12),
        block_bytes=8 * max(LEAST_ROWS * width, 1 << 18) + 8 * width * held,
        result_bytes=8 * k * width,
    )
    return replace(make_plan(work), strategy="sketch")


def _work(side: Labelled, rows: Stream) -> Work:
    """Return the work of reading the rows; ``sketch_plan`` adds the rest."""
    return Work(
        rows=math.prod(side.sample_shape),
        pieces=len(rows.bounds) - 1,
        columns=f"{side.axis.size:,}",
        row_bytes=side.axis.size * side.data.dtype.itemsize,
        piece_bytes=rows.piece_bytes,
        row_flops=0.0,
        state_bytes=0,
        shared=rows.shared,
    )

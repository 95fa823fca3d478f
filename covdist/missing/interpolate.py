"""Interpolate linearly along the samples, with the nearest value at the ends."""

from __future__ import annotations

from covdist.folding.interpolated import filled_stream, interpolated
from covdist.folding.request import FillOptions, Policy, SideRows
from covdist.numerics.nonfinite import refuse_unfilled
from covdist.results.labels import Array, Labelled
from covdist.rows.stream import Stream


def stream(rows: SideRows) -> Stream:
    return filled_stream(rows.side, rows.inf, rows.lazy, rows.columns, rows.number)


def fill(side: Labelled, options: FillOptions) -> Array:
    kind, along, max_gap, ends, inf, limit, *_ = options
    return interpolated(side, kind=kind, along=along, max_gap=max_gap, ends=ends, inf=inf, limit=limit)


POLICY = Policy(refuse_unfilled, stream=stream, fill=fill)

"""Moments at a prompt and in a notebook: nothing is computed for lazy ones, and no large array is made or read."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from covdist.engine.notebook import facts_html
from covdist.engine.plan import human_bytes
from covdist.errors import shown, shown_page
from covdist.results.labelled_state import LabelledState
from covdist.results.looks.correlations import thumbnail
from covdist.results.looks.counts import RowCounts, counts

_MOST_SHOWN = 1 << 23  # bytes of the arrays that a notebook shows: those of larger ones take a while to make
_MOST_SHOWN_GROUPS = 200
_TOLD = ("rows", "missing")  # of the provenance, in words of their own


def text(m: LabelledState) -> str:
    """Return one line."""
    return _title(m, None if m.deferred.lazy else _counts(m))


def page(m: LabelledState) -> str:
    """Return HTML: what the rows are and |corr| as a picture, or what computing lazy moments will take."""
    counted = None if m.deferred.lazy else _counts(m)
    picture = None if counted is None else thumbnail(m)
    facts = [*(_to_come(m) if counted is None else _held(m, counted)), *_provenance(m)]
    return facts_html(_title(m, counted), facts, "" if picture is None else picture.page(), _arrays(m))


def _title(m: LabelledState, counted: RowCounts | None) -> str:
    about = shown(m.layout.describe(), 200)
    if counted is not None:
        return f"<covdist.Moments of {counted.rows:,} rows: {about}>"
    return f"<covdist.Moments, lazy: {about}{_to_read(m)}>"


def _to_read(m: LabelledState) -> str:
    plans = m.deferred.plans
    return f", {human_bytes(sum(plan.bytes_read for plan in plans))} to read" if plans else ""


def _counts(m: LabelledState) -> RowCounts:
    return counts(m.deferred.joined(), len(m.layout.axes))


def _to_come(m: LabelledState) -> Iterator[tuple[str, object]]:
    plans = m.deferred.plans
    yield from _groups(m)
    if plans:
        chunks = sum(plan.work.pieces for plan in plans)
        yield "rows", f"{sum(plan.work.rows for plan in plans):,}"
        yield "to read", f"{human_bytes(sum(plan.bytes_read for plan in plans))} in {chunks:,} chunks"
        yield "shards", f"{sum(plan.strips * plan.shards for plan in plans):,}"
        yield "peak memory of a worker", human_bytes(max(plan.peak_bytes for plan in plans))
        yield "result", human_bytes(sum(plan.bytes_written for plan in plans[:1]))
    yield from _missing(m, None)


def _held(m: LabelledState, counted: RowCounts) -> Iterator[tuple[str, object]]:
    yield "rows", f"{counted.rows:,}"
    yield from _groups(m)
    yield from _missing(m, counted)
    if m.matrix is not None:
        yield "matrix", "in tiles, which are read when it is asked for"


def _groups(m: LabelledState) -> Iterator[tuple[str, object]]:
    groups = m.layout.groups
    if groups is not None:
        ends = [shown(str(groups.values[place]), 40) for place in sorted({0, groups.size - 1} if groups.size else ())]
        yield "positions" if groups.positions else "groups", f"{groups.size:,} by {groups.dim}: {' … '.join(ends)}"


def _missing(m: LabelledState, counted: RowCounts | None) -> Iterator[tuple[str, object]]:
    policy = m.layout.provenance.get("missing")
    if policy is None:
        return
    found = []
    if counted is not None and policy != "raise":
        found = [f"{counted.missing:,} values"] + [f"{counted.skipped:,} rows left out"] * (counted.skipped > 0)
    yield "missing", f"{policy}: {', '.join(found)}" if found else policy


def _provenance(m: LabelledState) -> Iterator[tuple[str, object]]:
    yield from ((name, value) for name, value in m.layout.provenance.items() if name not in _TOLD)


def _arrays(m: LabelledState) -> str:
    """Return the arrays as xarray shows them, folded up, where they are small."""
    groups = m.layout.groups
    large = m.layout.nbytes > _MOST_SHOWN or (groups is not None and groups.size > _MOST_SHOWN_GROUPS)
    if m.deferred.lazy or large:
        return ""
    return f"<details><summary>{escape('arrays')}</summary>{shown_page(m.dataset._repr_html_())}</details>"

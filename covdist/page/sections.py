"""What a page says, part by part: what is wrong, the layers at a glance, each array, costs and origin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from covdist.errors import CovdistError, DataError
from covdist.page.arrays import drawings, has_matrix, most_drawn
from covdist.page.canvas import Drawing
from covdist.page.contents import Contents
from covdist.page.html import facts, figure, table, text
from covdist.page.network import network_drawings
from covdist.readings.gradients.health import health
from covdist.readings.gradients.health.verdicts import GOOD, ratio_text
from covdist.results.moments import Moments
from covdist.terminal.health import health_records, health_sentences
from covdist.terminal.jobs import job_facts
from covdist.terminal.tables import over_all_groups, result_records

_MOST_ARRAYS = 40  # that have drawings of their own
_MOST_NAMED = 200  # rows of a table
_GLANCE = {
    "verdict": "verdict", "rms": "gradient rms", "snr": "SNR", "relative": "vs last layer", "dead_share": "dead",
    "saturated_share": "saturated", "redundant_share": "redundant",
}  # fmt: skip


class Sections:
    """All parts of a page in their order; drawings are numbered through."""

    def __init__(self, contents: Contents):
        self._contents, self._number = contents, 0
        self._health = _health(contents)
        self._drawn = self._chosen()

    def __iter__(self) -> Iterator[str]:
        yield f"<header><h1>What the network's log says</h1><p class='faint'>{text(self._contents.source)}</p></header>"
        yield f"<main>{''.join(self._parts())}</main>"

    def _parts(self) -> Iterator[str]:
        yield from self._progress()
        yield from self._wrong()
        yield from self._network()
        yield from self._arrays()
        yield from self._known()

    def _progress(self) -> Iterator[str]:
        status = self._contents.progress
        if status is None or status["status"] == "done":
            return
        states = self._contents.states.values()
        rows = max((int(over_all_groups(m).rows.sum()) for m in states), default=0)
        yield (
            f"<h2>So far</h2><p>The job is {text(status['status'])}. This page is of the {rows:,} rows whose states "
            f"are written down; make it anew to see more.</p><progress aria-label='shards folded' "
            f"max='{max(status['shards'], 1)}' value='{status['folded']}'></progress>"
        )
        yield facts("Progress", job_facts(status))

    def _wrong(self) -> Iterator[str]:
        yield "<h2>What is wrong</h2>"
        if self._health is None:
            gradient, activation = self._contents.variables
            yield (
                f"<p>Nothing here is called {text(gradient)} or {text(activation)}, by which health would be told: "
                "what there is is below.</p>"
            )
            return
        said = "".join(f"<li>{text(each)}</li>" for each in health_sentences(self._health))
        yield f"<ul class='wrong'>{said}</ul>"

    def _network(self) -> Iterator[str]:
        yield "<h2>The layers</h2>"
        links = {path: f"array-{number}" for number, path in enumerate(self._drawn)}
        if self._health is not None:
            by_layer = {path.rpartition("/")[0] or path: link for path, link in links.items()}
            rows = [_glance(record) for record in health_records(self._health)][:_MOST_NAMED]
            yield table("From the input to the output", ("layer", *_GLANCE.values()), rows, by_layer)
        for drawing in network_drawings(self._contents, self._health):
            yield self._figure(drawing)
        if isinstance(self._contents.similarity, str) and self._contents.similarity:
            yield f"<p class='faint'>{text(self._contents.similarity)}</p>"

    def _chosen(self) -> list[str]:
        """Return the arrays that have drawings: all, or of many those of layers with findings, and the first."""
        paths = list(self._contents.states)
        if len(paths) <= _MOST_ARRAYS:
            return paths
        ill = (
            set()
            if self._health is None
            else {str(each) for each in self._health["layer"].values[~self._health["verdict"].isin(GOOD).values]}
        )
        kept = set(sorted(paths, key=lambda path: path.rpartition("/")[0] not in ill)[:_MOST_ARRAYS])
        return [path for path in paths if path in kept]

    def _arrays(self) -> Iterator[str]:
        drawn, states = self._drawn, self._contents.states
        if not drawn:
            yield "<p>No state is written down yet.</p>"
            return
        yield "<h2>The arrays</h2>"
        few = f" Those of {len(drawn):,} of {len(states):,} are drawn." if len(drawn) < len(states) else ""
        yield f"<p class='faint'>One part for each array.{few}</p>"
        most = most_drawn(sum(has_matrix(states[path]) for path in drawn))
        for number, path in enumerate(drawn):
            yield f"<section aria-labelledby='array-{number}'><h3 id='array-{number}'>{text(path, 200)}</h3>"
            yield from self._array(path, most)
            yield "</section>"

    def _array(self, path: str, most: int) -> Iterator[str]:
        m = self._contents.states[path]
        yield f"<p class='faint'>{text(_summary(path, m))}</p>"
        of_gradients = path.rpartition("/")[2] == self._contents.variables[0]
        found = drawings(path, m, most, of_gradients)
        while True:
            try:
                yield self._figure(next(found))
            except StopIteration:
                return
            except CovdistError as error:
                yield f"<p>{text(error)}</p>"
                return

    def _figure(self, drawing: Drawing) -> str:
        self._number += 1
        return figure(drawing, self._number)

    def _known(self) -> Iterator[str]:
        if self._contents.costs:
            yield "<h2>Plan and measurement</h2>"
            yield table("What it takes", ("what", "planned", "measured"), self._contents.costs)
        yield "<h2>Where it comes from</h2>"
        origin = [(name, fact) for name, fact in self._contents.origin if fact]
        yield facts("How it was made", [("source", self._contents.source), *origin])


def _health(contents: Contents) -> xr.Dataset | None:
    gradient, activation = contents.variables
    states = {
        path: m if m.layout.groups is None else over_all_groups(m)
        for path, m in contents.states.items()
        if m.layout.groups is None or not (m.layout.groups.positions or m.layout.state.ordered)
    }
    try:
        return health(states, gradient=gradient, activation=activation).compute()
    except CovdistError:
        return None


def _glance(record: dict[str, object]) -> tuple[str, ...]:
    cells = [str(record["layer"])]
    for name in _GLANCE:
        value = record[name]
        if isinstance(value, float):
            figure = ratio_text(value, ".2g") if name == "relative" else f"{value:.2g}"
            cells.append(f"{value:.0%}" if name.endswith("share") else figure)
        else:
            cells.append("" if value is None else str(value))
    return tuple(cells)


def _summary(path: str, m: Moments) -> str:
    try:
        record = next(iter(result_records({path: m}).values()))
    except DataError as error:  # no rows
        return str(error)
    columns = " × ".join(f"{size:,}" for size in record["columns"])
    said = f"{record['rows']:,} rows of {columns}; mean {record['mean']:.3g}, standard deviation {record['std']:.3g}"
    zeros = record["zero_fraction"]
    said += f", {zeros:.1%} zeros" if np.isfinite(zeros) else ""
    constant = record["constant_columns"]
    return f"{said}; {constant:,} constant columns." if constant else f"{said}."

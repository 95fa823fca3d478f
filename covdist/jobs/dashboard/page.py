"""The page: how far each layer is, and the memory of the workers against the plan; bokeh draws it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import AdaptiveTicker, ColumnDataSource, FactorRange, NumeralTickFormatter, Range1d
from bokeh.models.widgets import Div
from bokeh.plotting import figure
from distributed.dashboard.components import add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env

from covdist.engine.plan import human_bytes
from covdist.jobs.dashboard.board import Board
from covdist.jobs.dashboard.news import JobNews, LayerProgress

_MILLISECONDS = 1000  # between two looks
_SILENT, _LOST = 15, 60  # seconds without news, after which a page says so, and after which it shows other jobs
_WORKERS = 30  # of more, those that hold most
_ROW, _FRAME, _LEAST = 24, 70, 320  # pixels; the least fits a phone
_MANTISSAS = [float(1 << power) for power in range(10)]  # of ticks of bytes
_BLUE, _GREY, _RED = "#2b6cb0", "#e2e8f0", "#c53030"
# The menu takes two lines in windows of 800 to 960 pixels, and must not lie on the sentences. The table is for readers
# of the page's text, and for those who look before the drawing is there.
_TEMPLATE = """{% extends "simple.html" %}
{% block extra_resources %}
<style>body { padding-top: 0 } .navbar { position: sticky; margin: 0 -10px 10px }</style>
{% endblock %}
{% block content %}
{{ super() }}
<details style="margin:1em;font-family:sans-serif"><summary>as a table, when this page was loaded</summary>
<table><tr><th>layer</th><th>folded</th><th>shards</th></tr>
{% for layer in layers %}<tr><td>{{ layer.name|e }}</td><td>{{ layer.folded }}</td><td>{{ layer.shards }}</td></tr>
{% endfor %}</table></details>
{% endblock %}"""


def document(board: Board, scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    """Fill a page for one who looks at it."""
    view = JobsView(board, scheduler)
    view.update()
    add_periodic_callback(doc, view, _MILLISECONDS)
    doc.title = "covdist"
    doc.add_root(view.root)
    doc.template = env.from_string(_TEMPLATE)
    doc.template_variables.update(extra, layers=list(_layers(view.shown())))
    doc.theme = BOKEH_THEME


class JobsView:
    """What one who looks sees: the jobs that run, or the last one."""

    def __init__(self, board: Board, scheduler: Any):
        self._board, self._scheduler = board, scheduler
        self.head = Div(styles={"font-size": "14px"})
        self.layers = ColumnDataSource({"name": [], "share": [], "said": []})
        self.memory = ColumnDataSource({"name": [], "bytes": [], "plan": [], "limit": [], "colour": []})
        self._progress, self._workers = self._progress_figure(), self._memory_figure()
        # Below each other where the window is narrow.
        both = row(self._progress, self._workers, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
        self.root = column(self.head, both, sizing_mode="stretch_width")

    def _progress_figure(self) -> Any:
        found = figure(
            title="Shards folded, by layer", y_range=FactorRange(), x_range=Range1d(start=0, end=1.3), height=_FRAME,
            sizing_mode="stretch_width", min_width=_LEAST, tools="", toolbar_location=None,
        )  # fmt: skip
        found.hbar(y="name", left=0, right=1, height=0.7, color=_GREY, source=self.layers)
        found.hbar(y="name", left=0, right="share", height=0.7, color=_BLUE, source=self.layers)
        found.text(x=1.02, y="name", text="said", text_baseline="middle", text_font_size="12px", source=self.layers)
        found.xaxis.formatter, found.xaxis.ticker = NumeralTickFormatter(format="0%"), [0, 0.5, 1]
        found.grid.visible = False
        return found

    def _memory_figure(self) -> Any:
        found = figure(
            title="Memory of workers, plan (dark), limit (red)", y_range=FactorRange(),
            x_range=Range1d(start=0, end=1), height=_FRAME,
            sizing_mode="stretch_width", min_width=_LEAST, tools="", toolbar_location=None,
        )  # fmt: skip
        found.hbar(y="name", left=0, right="bytes", height=0.7, color="colour", source=self.memory)
        for name, colour in (("plan", "#1a202c"), ("limit", _RED)):
            found.hbar(y="name", left=name, right=name, height=0.9, line_color=colour, line_width=2, source=self.memory)
        found.xaxis.formatter, found.ygrid.visible = NumeralTickFormatter(format="0.[0] ib"), False
        found.xaxis.ticker = AdaptiveTicker(base=1024, mantissas=_MANTISSAS)
        return found

    def shown(self) -> list[JobNews]:
        every = list(self._board.news.values())
        return [each for each in every if _runs(each) and self._board.silence(each.job) < _LOST] or every[-1:]

    def update(self) -> None:
        news = self.shown()
        self.head.text = "".join(_sentence(each, self._board.silence(each.job)) for each in news)
        layers = list(_layers(news))
        names = [layer.name for layer in layers]
        share = [layer.folded / layer.shards if layer.shards else 1.0 for layer in layers]
        said = [f"{layer.folded:,} of {layer.shards:,}" for layer in layers]
        self._fit(self._progress, names)
        self.layers.data = {"name": names, "share": share, "said": said}
        self._remember(news)

    def _remember(self, news: list[JobNews]) -> None:
        most = sorted(self._scheduler.workers.values(), key=_held)[-_WORKERS:]
        workers = sorted(most, key=lambda each: str(each.name))
        names = [str(each.name) for each in workers]
        plan = [_planned(news, each.nthreads) for each in workers]
        limit = [each.memory_limit or float("nan") for each in workers]
        held = [_held(each) for each in workers]
        colour = [_RED if now > planned else _BLUE for now, planned in zip(held, plan, strict=True)]
        self._fit(self._workers, names)
        self._workers.x_range.end = 1.1 * max([1, *held, *plan, *(each.memory_limit for each in workers)])
        self.memory.data = {"name": names, "bytes": held, "plan": plan, "limit": limit, "colour": colour}

    def _fit(self, drawn: Any, names: list[str]) -> None:
        """Make room for as many rows, the first at the top."""
        if drawn.y_range.factors != (factors := names[::-1]):
            drawn.y_range.factors, drawn.height = factors, _FRAME + _ROW * max(1, len(names))


def _held(worker: Any) -> int:
    return int(worker.metrics.get("memory", 0))


def _planned(news: list[JobNews], threads: int) -> int:
    """Return what the jobs need on a worker, by their plans; its process is counted once."""
    return max((each.peak_bytes + (threads - 1) * each.fold_bytes for each in news), default=0)


def _layers(news: list[JobNews]) -> Iterator[LayerProgress]:
    """Yield the layers of all jobs, under names that differ."""
    taken = set[str]()
    for each in news:
        for layer in each.layers:
            name = layer.name
            while name in taken:
                name += "′"
            taken.add(name)
            yield layer._replace(name=name)


def _runs(news: JobNews) -> bool:
    return news.progress["status"] == "running"


def _sentence(news: JobNews, silence: float) -> str:
    found = news.progress
    share = found["folded"] / found["shards"] if found["shards"] else 1.0
    said = f"{found['status']}, {found['folded']:,} of {found['shards']:,} shards ({share:.0%})"
    if number := found.get("round"):
        said += f" of round {number}"
    if _runs(news) and silence > _SILENT:
        said += f", but nothing was heard of it for {silence:,.0f} s"
    elif _runs(news):
        said += f", {found.get('per_second') or 0:.3g} a second{_left(found.get('seconds_left'))}"
    why = f": {found['reason']}" if found.get("reason") else ""
    memory = f"By the plan a worker needs {human_bytes(news.peak_bytes)}."
    return f"<p><b>{escape(news.log)}</b> (job {escape(news.job)}): {escape(said + why)}. {memory}</p>"


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", about {seconds:,.0f} s left" if seconds < 120 else f", about {seconds / 60:,.0f} min left"

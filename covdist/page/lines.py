"""Lines and bars over places that have names: layers, steps, components, columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from covdist.page.canvas import Drawing, axes, figures, hover, slant
from covdist.plot._canvas import BLUE, GREEN, ORANGE, PINK

_DASHES = {"solid": BLUE, "dashed": PINK, "dotted": GREEN}
_FEW, _ROWS = 64, 40


def lines(
    title: str,
    about: str,
    values: Mapping[str, np.ndarray],
    names: list[str],
    labels: tuple[str, str],
    *,
    edge: tuple[str, float] | None = None,
    band: tuple[str, float] | None = None,
    beside: Mapping[str, np.ndarray] = {},
) -> Drawing:
    """Draw each of at most three kinds of numbers on a logarithmic scale; what is 0 has no place on it.

    An ``edge`` and the top of a ``band`` are numbers with their names; numbers ``beside`` go into the table alone.
    """
    from bokeh.models.annotations import BoxAnnotation, Span

    first = next(iter(values.values()))
    figure = axes(*labels, y_axis_type="log", x_range=(-0.5, len(first) - 0.5))
    key, points = dict[str, str](), list[object]()
    for (name, each), (dash, colour) in zip(values.items(), _DASHES.items(), strict=False):
        on_scale = np.where(np.isfinite(each) & (each > 0), each, np.nan)
        data = {"x": np.arange(len(each), dtype=np.int32), "y": on_scale}
        line = figure.line("x", "y", source=data, color=colour, line_dash=dash, line_width=2)
        size = 6 if len(each) <= _FEW else 3
        points.append(figure.scatter("x", "y", source=line.data_source, color=colour, size=size))
        key[name] = dash
    if edge is not None:
        look: dict[str, Any] = {"line_color": ORANGE, "line_dash": "dashed", "line_width": 2}
        figure.add_layout(Span(location=edge[1], dimension="width", **look))
        key[edge[0]] = "edge"
    if band is not None:
        figure.add_layout(BoxAnnotation(top=band[1], fill_color=ORANGE, fill_alpha=0.2, line_color=None))
        key[band[0]] = "band"
    hover(figure, [(labels[0], "@x{custom}"), (labels[1], "@y{%.3g}")], ["@x"], renderers=points)
    slant(figure, names)
    taken = np.unique(np.linspace(0, len(first) - 1, min(len(first), _ROWS)).astype(int))
    numbers = {**values, **beside}
    rows = [(names[at], *(figures(float(each[at])) for each in numbers.values())) for at in taken]
    return Drawing(title, about, figure, {"x": names}, key=key, header=(labels[0], *numbers), rows=rows)


def bars(title: str, about: str, values: np.ndarray, names: list[str], labels: tuple[str, str]) -> Drawing:
    """Draw shares, from 0 on."""
    figure = axes(*labels, x_range=(-0.5, len(values) - 0.5), height=260)
    figure.y_range.start = 0
    data = {"x": np.arange(len(values), dtype=np.int32), "y": values}
    figure.vbar("x", top="y", source=data, width=0.8 if len(values) <= 200 else 1.0, color=BLUE)
    hover(figure, [(labels[0], "@x{custom}"), (labels[1], "@y{%.3g}")], ["@x"])
    slant(figure, names)
    largest = np.argsort(-np.nan_to_num(values), kind="stable")[:_ROWS]
    rows = [(names[at], figures(float(values[at]))) for at in largest if values[at] > 0]
    return Drawing(title, about, figure, {"x": names}, header=labels, rows=rows)

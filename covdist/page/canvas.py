"""Drawings by bokeh, with what a page says of them in words; bokeh is imported when something is drawn."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from covdist.errors import DataError, shown
from covdist.plot import _canvas

LONGEST_NAME = 120  # letters

_FLAT = 7  # letters of names that find room side by side, also on a phone
_TOOLS = "pan,box_zoom,wheel_zoom,reset,save"


@dataclass(frozen=True)
class Drawing:
    """A figure, and the same in words and numbers for who does not see it.

    ``names`` are those of the places 0, 1, ... along "x" and "y". A heat map holds bytes: ``scale`` has what the least
    and the largest of them stand for, and whether that is the logarithm of the number. ``key`` says how what is drawn
    looks: "solid", "dashed", "dotted", "edge" or "band".
    """

    title: str
    about: str
    figure: Any
    names: dict[str, list[str]] = field(default_factory=dict)
    scale: tuple[float, float, bool] | None = None
    square: bool = False
    key: dict[str, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = field(default_factory=list)


def check_bokeh() -> None:
    """Raise DataError where bokeh is not installed."""
    try:
        import bokeh.plotting  # noqa: F401
    except ImportError as error:
        raise DataError(f"a report needs the package bokeh ({error}): pip install 'covdist[report]'") from error


def axes(across: str, down: str, *, height: int = 320, **options: Any) -> Any:
    """Return an empty figure; dragging zooms, and the wheel scrolls the page until its tool is chosen."""
    from bokeh.models import InlineStyleSheet, PlainText
    from bokeh.plotting import figure

    found: Any = figure(
        height=height,
        sizing_mode="stretch_width",
        tools=_TOOLS,
        active_drag="box_zoom",
        toolbar_location="above",
        background_fill_color=None,
        border_fill_color=None,
        **options,
    )
    found.toolbar.logo = None  # which is a link
    found.toolbar.stylesheets = [InlineStyleSheet(css="@media print { :host { display: none; } }")]
    found.xaxis.ticker.min_interval = 1  # places are whole
    found.xaxis.axis_label = PlainText(text=shown(across))  # text by itself would be read for formulas
    found.yaxis.axis_label = PlainText(text=shown(down))
    return found


def hover(figure: Any, tooltips: list[tuple[str, str]], named: list[str], **options: Any) -> None:
    """Show values at the pointer; ``named`` fields are written by the page, which has the names of places."""
    from bokeh.models import CustomJSHover, HoverTool

    tooltips = [(_plain(name), value) for name, value in tooltips]
    formatters: dict[str, Any] = {each: CustomJSHover(code="", name=each.lstrip("@$")) for each in named}
    plain = [value.partition("{")[0] for _, value in tooltips if "%" in value]
    formatters |= dict.fromkeys(plain, "printf")
    figure.add_tools(HoverTool(tooltips=tooltips, formatters=formatters, **options))


def slant(figure: Any, names: Sequence[str]) -> None:
    """Turn the names below a figure where they would lie over each other."""
    if max(map(len, names), default=0) > _FLAT:
        figure.xaxis.major_label_orientation = 0.8


def names_along(x: xr.DataArray | xr.Dataset, dim: Hashable) -> list[str]:
    """Return the labels along a dim as long as the page shows them at a pointer; beside axes it cuts them itself."""
    return _canvas.names_along(x, dim, LONGEST_NAME)


def figures(value: float) -> str:
    """Return a number as text for a table; nothing for what is not known."""
    return "" if math.isnan(value) else f"{value:.3g}"


def _plain(name: str) -> str:
    """Return a name in which nothing is taken for a field of the data."""
    return "".join("·" if each in "@$#{}" else each for each in shown(name))

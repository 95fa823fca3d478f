"""Matrices as images of bytes: a float each would make a page of 20 layers five times as large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from covdist.page.canvas import Drawing, axes, hover, slant

_LEVELS, _NONE = 254, -128  # from -127 to 127; and what no value has


def heat_map(
    title: str,
    about: str,
    values: np.ndarray,
    limits: tuple[float, float],
    names: dict[str, list[str]],
    labels: tuple[str, str],
    what: str,
    *,
    signed: bool = False,
    log: bool = False,
    square: bool = False,
    header: tuple[str, ...] = (),
    rows: Sequence[tuple[str, ...]] = (),
) -> Drawing:
    """Draw a matrix, its first dim downward, ``names`` along "x" and "y"; NaN is grey."""
    from bokeh.models import FixedTicker, LinearColorMapper, PlainText
    from bokeh.models.annotations import ColorBar
    from bokeh.palettes import Cividis256

    low, high = limits
    down, across = values.shape
    figure = axes(
        *labels,
        height=420 if square else min(max(140 + 18 * down, 220), 460),
        x_range=(-0.5, across - 0.5),
        y_range=(down - 0.5, -0.5),
    )
    figure.x_range.bounds = figure.y_range.bounds = "auto"  # there is nothing beside it
    mapper = LinearColorMapper(
        palette=_both_signs() if signed else Cividis256, low=-127, high=127, low_color="#C8C8C8", nan_color="#C8C8C8"
    )
    figure.image(
        image=[_bytes(values, low, high)], x=-0.5, y=-0.5, dw=across, dh=down, color_mapper=mapper, level="image"
    )
    marks = _marks(low, high, log)
    places = [float(_places(np.array(at), low, high)) for at in marks]
    figure.add_layout(
        ColorBar(
            color_mapper=mapper,
            ticker=FixedTicker(ticks=places),
            major_label_overrides={
                place: PlainText(text=text) for place, text in zip(places, marks.values(), strict=True)
            },
            width=10,
            background_fill_color=None,
        ),
        "right",
    )
    tooltips = [(what, "@image{custom}"), (labels[1], "$y{custom}"), (labels[0], "$x{custom}")]
    hover(figure, tooltips, ["@image", "$x", "$y"])
    figure.grid.visible = False
    slant(figure, names.get("x", []))
    figure.yaxis.ticker.min_interval = 1
    return Drawing(
        title, about, figure, names, (low, high, log), square=square, header=header, rows=rows,
    )  # fmt: skip


def _places(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values - low) / ((high - low) or 1.0) * _LEVELS - 127


def _bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    known = np.isfinite(values)
    found = np.clip(_places(np.where(known, values, low), low, high), -127, 127)
    return np.where(known, np.rint(found), _NONE).astype(np.int8)


def _marks(low: float, high: float, log: bool) -> dict[float, str]:
    if not log:
        return {low + (high - low) * part / 4: f"{low + (high - low) * part / 4:.2g}" for part in range(5)}
    step = max(1, int(np.ceil((high - low) / 5)))
    whole = range(int(np.ceil(low)), int(np.floor(high)) + 1, step)
    if len(whole) > 1:
        return {float(power): f"1e{power:d}" for power in whole}
    return {low: f"{10**low:.2g}", high: f"{10**high:.2g}"}


def _both_signs() -> list[str]:
    """Return 255 colours from blue over white to red."""
    from bokeh.palettes import RdBu11

    known = np.array([[int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in RdBu11])
    places = np.linspace(0, len(known) - 1, 255)
    channels = [np.interp(places, np.arange(len(known)), channel).round().astype(int) for channel in known.T]
    return ["#{:02x}{:02x}{:02x}".format(*each) for each in zip(*channels, strict=True)]

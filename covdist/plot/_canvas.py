"""Axes to draw on, one or one a group, names as they are, and the colours of all plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from xarray.plot.facetgrid import FacetGrid

    Picture: TypeAlias = Axes | FacetGrid[Any]

Data = TypeVar("Data", xr.DataArray, xr.Dataset)

# Okabe and Ito (2008): apart for all kinds of colour vision, and dark or light enough on white and on black.
COLOURS = BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BOTH_SIGNS, ONE_SIGN, NO_VALUE = "RdBu_r", "cividis", "#C8C8C8"

_MOST_PANELS, _BESIDE = 12, 4
_NAMES_AN_INCH = 8.5
_NAME = 40  # letters
_POWERS, _TICKS = 300, 8  # of ten that an axis may come to, and marks on one that comes further


def pyplot() -> Any:
    """Import matplotlib; DataError where it is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise DataError(f"plots need the package matplotlib ({error}): pip install 'covdist[plot]'") from error
    return plt


def drawn(
    x: Data,
    draw: Callable[[Data, Axes], ScalarMappable | None],
    ax: Axes | None,
    *,
    groups: Sequence[Hashable] = (),
    title: str = "",
    scale: str = "",
    size: tuple[float, float] = (6.4, 4.8),
) -> Picture:
    """Draw once, or once a group in a panel of its own, beside a scale of what ``draw`` returns."""
    plt = pyplot()
    if not isinstance(ax, plt.Axes | None):
        raise DataError(f"ax is a {type(ax).__name__}, expected axes of matplotlib: make some by plt.subplots()")
    if groups:
        return _panels(x, draw, ax, groups, title, scale, size)
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    mappable = draw(x, ax)
    ax.set_title(shown(title, 200), parse_math=False)
    if mappable is not None:
        _add_scale(ax.figure, mappable, ax, scale)
    return ax


def _panels(
    x: Data,
    draw: Callable[[Data, Axes], ScalarMappable | None],
    ax: Axes | None,
    groups: Sequence[Hashable],
    title: str,
    scale: str,
    size: tuple[float, float],
) -> Picture:
    if ax is not None:
        raise DataError(
            f"ax= has room for one picture, found groups by {', '.join(map(repr, groups))}: leave ax out, or choose a "
            f"group, such as by .sel({groups[0]}=...)"
        )
    x, dim = (x.stack(group=list(groups)), "group") if len(groups) > 1 else (x, groups[0])
    count = x.sizes[dim]
    if not count:
        raise DataError(f"there are no groups by {dim!r} to draw: pass moments that have rows")
    taken = np.unique(np.linspace(0, count - 1, min(count, _MOST_PANELS)).astype(int))
    some = x.isel({dim: taken})
    beside = min(len(taken), _BESIDE)
    below = math.ceil(len(taken) / beside)
    width, height = size
    figsize = (width * beside * 0.55 + 1, height * below * 0.6 + 0.5)
    grid = xr.plot.FacetGrid(some, col=dim, col_wrap=beside, figsize=figsize)
    grid.fig.set_layout_engine("constrained")
    panels, mappable = list(grid.axs.flat), None
    for number, (panel, name) in enumerate(zip(panels, group_names(some, dim), strict=False)):
        mappable = draw(some.isel({dim: number}), panel)
        panel.set_title(name, parse_math=False)
        if number % beside:
            panel.set_ylabel("")
        if number + beside < len(taken):
            panel.set_xlabel("")
        else:
            panel.tick_params(labelbottom=True)
    for panel in panels[len(taken) :]:
        panel.set_visible(False)
    _join_legends(grid.fig, panels)
    few = f" ({len(taken)} of {count:,} groups)" if len(taken) < count else ""
    grid.fig.suptitle(shown(title, 200) + few, parse_math=False)
    if mappable is not None:
        _add_scale(grid.fig, mappable, panels[: len(taken)], scale)
    return grid


def _join_legends(figure: Figure, panels: Iterable[Axes]) -> None:
    """Put the longest legend of all panels below them, in the place of theirs."""
    found = [own for panel in panels if (own := panel.get_legend()) is not None]
    if found:
        longest = max(found, key=lambda each: len(each.legend_handles))
        names = [text.get_text() for text in longest.get_texts()]
        legend(figure, longest.legend_handles, names, loc="outside lower center", ncols=4)
    for each in found:
        each.remove()


def _add_scale(figure: Any, mappable: ScalarMappable, beside: Any, scale: str) -> None:
    figure.colorbar(mappable, ax=beside).ax.set_ylabel(shown(scale, 200), parse_math=False)


def group_names(x: xr.DataArray | xr.Dataset, dim: Hashable) -> list[str]:
    """Return each group's name, such as "epoch 3", or of several coordinates "epoch 3, label 1"."""
    along = [name for name in x.coords if x.coords[name].dims == (dim,)]
    named = [name for name in along if name != dim] or along
    if not named:
        return [f"{dim} {number}" for number in range(x.sizes[dim])]
    return [
        ", ".join(f"{shown(str(name))} {_text(x.coords[name].values[n])}" for name in named)
        for n in range(x.sizes[dim])
    ]


def _text(value: Any, most: int = _NAME) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).replace("T", " ")
    return shown(f"{value:.4g}" if isinstance(value, float | np.floating) else str(value), most)


def names_along(x: xr.DataArray | xr.Dataset, dim: Hashable, most: int = _NAME) -> list[str]:
    """Return the labels along a dim, or the numbers of its places."""
    index = x.indexes.get(dim)
    return names_of(range(x.sizes[dim]) if index is None else index.to_numpy(), most)


def names_of(labels: Iterable[Any], most: int = _NAME) -> list[str]:
    """Return labels as text that can be shown."""
    return [_text(label, most) for label in labels]


def name_places(ax: Axes, names: Sequence[str], which: str, some: bool = False) -> None:
    """Name the places 0, 1, ... along an axis, "x" or "y", if there is room for so many names, or else ``some``."""
    axis, room = (ax.xaxis, ax.bbox.width) if which == "x" else (ax.yaxis, ax.bbox.height)
    most = max(2, int(_NAMES_AN_INCH * room / ax.figure.dpi))
    if len(names) > most and not some:
        axis.set_ticks([])
        return
    places = np.arange(len(names))
    if len(names) > most:
        places = np.unique(np.linspace(0, len(names) - 1, most // 3).astype(int))
        names = [names[int(place)] for place in places]
    long = which == "x" and (max(map(len, names), default=0) > 3 or len(names) > 20)
    small: dict[str, Any] = {"fontsize": "small" if len(names) > 16 else "medium"}
    axis.set_ticks(places, [shown(name, 24) for name in names], parse_math=False, **small)
    if long:
        ax.tick_params(axis="x", rotation=90)


def log_scale(ax: Axes, values: np.ndarray) -> None:
    """Make the y axis logarithmic, for some positive values that it is to show."""
    ax.set_yscale("log")
    low, high = np.log10(values.min()), np.log10(values.max())
    margin = 0.05 * (high - low) + 1
    if low - margin > -_POWERS and high + margin < _POWERS:
        return
    # Matplotlib's own margins and ticks would leave float64's range.
    bottom, top, held = max(np.floor(low - margin), -323.0), np.ceil(high + margin), np.finfo(float)
    ax.set_ylim(10.0**bottom if bottom > -323 else held.smallest_subnormal, 10.0**top if top < 308 else held.max)
    marked = np.arange(bottom, min(top, 308.0) + 1, max(1.0, np.ceil((top - bottom) / _TICKS)))
    ax.set_yticks(10.0**marked, [f"1e{power:.0f}" for power in marked])
    ax.set_yticks([], minor=True)


def legend(ax: Axes | Figure, handles: Iterable[Any], names: Iterable[str], **options: Any) -> None:
    """Add a legend whose names are text, also where they begin with "_" or hold "$"."""
    handles, names = list(handles), list(names)
    for text, name in zip(ax.legend(handles, ["name"] * len(handles), **options).get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(shown(name, 60))


def note(ax: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", wrap=True)


def computed(x: Data) -> Data:
    """Return the numbers of what is lazy."""
    return x.compute(scheduler="threads") if x.chunks else x

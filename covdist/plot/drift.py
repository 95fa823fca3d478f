"""How far a layer moves from one group to the next, such as from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.folding.grouping import BLOCK
from covdist.plot._canvas import COLOURS, drawn, legend, name_places, names_of
from covdist.readings.distributions.compare import compare
from covdist.readings.gradients.gradient_stats import root_sum_squares
from covdist.results.labelled_state import LabelledState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covdist.plot._canvas import Picture

_LINES = ("-", "--", ":", "-.")
_MOST_LINES = len(_LINES) * len(COLOURS)
_WORK, _FEWEST, _MOST_GROUPS = 2e10, 12, 200  # columns³ × groups: 28 s of one core at 512 columns
_MOST_INSIDE, _LONGEST = 3, 24  # lines that are named inside the axes, and letters of a layer
_ABOUT = {
    "mean_shift": "means, in standard deviations",
    "distance": "Frechet distance, in overall standard deviations",
    "corr_change": "correlations, root mean square",
}


def drift(x: LabelledState | Mapping[str, LabelledState], *, ax: Axes | None = None) -> Picture:
    """Distances between consecutive groups: how far means, spreads and correlations move.

    Parameters
    ----------
    x : Moments, or mapping {layer: Moments}
        With groups by one coordinate, such as ``by="epoch"``; of several layers, as :func:`covdist.load` returns them,
        those that have groups.
    ax : matplotlib Axes, optional
        To draw on; by default new ones.

    Returns
    -------
    Axes
        Of one layer a line each for what its means move by, for the Frechet distance, which is that of mean and
        covariance, and for what its correlations change by; states without a matrix have the first. Of several layers,
        up to 16, a line for each: the Frechet distance, or what the means move by where a state has no matrix. A gap
        is a group without rows. Of many groups of wide layers some are drawn, and the title says so.

    Raises
    ------
    DataError
        If there are no two groups to compare, or matplotlib is missing.

    Notes
    -----
    ``mean_shift`` and ``corr_change`` of :func:`covdist.compare`, and √FID / √(tr A) with :func:`covdist.frechet` and A
    the covariance of the earlier group.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0.0], [0.0], [2.0]], 100, axis=0)
    >>> ax = covdist.plot.drift(covdist.moments(x, by=np.repeat([0, 1, 2], 100)))
    >>> ax.lines[0].get_ydata().round(1)
    array([0.1, 2.1])
    """
    named = x if isinstance(x, Mapping) else {"": x}
    moved = {name: _moved(one) for name, one in named.items() if _groups(name, one) > 1}
    if not moved:
        found = "an empty mapping" if not named else f"a {next(iter(named.values())).layout.describe()}"
        raise DataError(f"drift compares two or more groups, found {found}: fold the rows with by=, such as by='epoch'")
    if len(moved) > _MOST_LINES:
        raise DataError(f"drift has lines for {_MOST_LINES} layers, found {len(moved):,}: choose some of them")
    first = next(iter(moved.values()))
    if len(moved) == 1:
        lines = {_ABOUT[name]: first._replace(values={name: each}) for name, each in first.values.items()}
    else:
        distance = all("distance" in each.values for each in moved.values())
        lines = {name: each.only("distance" if distance else "mean_shift") for name, each in moved.items()}
    layer = next(iter(moved)) if len(moved) == 1 else ""
    (name,) = next(iter(lines.values())).values
    what, most = ("distance", 80) if len(moved) == 1 else (_ABOUT[name], _LONGEST)
    some = f" ({len(first.names)} of {first.of:,} groups)" if len(first.names) < first.of else ""
    title = f"Drift{f' of {layer}' if layer else ''}, each {first.by} from the one before{some}"

    def draw(_: xr.DataArray, panel: Axes) -> None:
        _draw(panel, lines, what, most)

    size = (6.4 if len(lines) <= _MOST_INSIDE else 8.4), 4.8
    return drawn(xr.DataArray(0), draw, ax, title=title, size=size)


class _Moved(NamedTuple):
    """What each group of some differs from the one before it by."""

    by: str
    names: list[str]
    of: int  # groups in all
    values: dict[str, np.ndarray]

    def only(self, name: str) -> _Moved:
        return self._replace(values={name: self.values[name]})


def _groups(name: str, m: Any) -> int:
    if not isinstance(m, LabelledState):
        raise DataError(
            f"drift compares groups of moments, found a {type(m).__name__}{f' as {shown(name)!r}' if name else ''}: "
            "pass covdist.moments(x, dim=..., by=...)"
        )
    groups = m.layout.groups
    return 0 if groups is None or groups.positions else groups.size


def _moved(m: Any) -> _Moved:
    if BLOCK in m.layout.groups.levels:
        m = m.merge(BLOCK)
    groups = m.layout.groups
    if len(groups.levels) > 1:
        raise DataError(
            f"drift takes groups by one coordinate, found {m.layout.grouped()}: add up those of the others, such as by "
            f"m.merge({groups.levels[-1]!r})"
        )
    by = groups.levels[0] if groups.levels else groups.dim
    m = m.compute(scheduler="threads") if m.deferred.lazy else m
    labels = (groups.values[by] if groups.levels else groups.values).tolist()
    most = int(np.clip(_WORK / max(m.layout.widths[0], 1) ** 3, _FEWEST, _MOST_GROUPS))
    taken = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), most)).astype(int))
    states = [m.sel(**{by: labels[place]}) for place in taken]
    found = np.array([_between(*pair) for pair in pairwise(states)]).T
    values = dict(zip(_ABOUT, found, strict=True))
    kept = {name: each for name, each in values.items() if name == "mean_shift" or np.isfinite(each).any()}
    return _Moved(by, names_of([labels[place] for place in taken]), len(labels), kept)


def _between(a: Any, b: Any) -> tuple[float, float, float]:
    try:
        found = compare(a, b)
    except DataError:  # no rows
        return np.nan, np.nan, np.nan
    spread = float(root_sum_squares(a.std().to_numpy().ravel()))
    square = float(found["frechet"])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what is infinite is not drawn
        distance = np.nan if square < np.finfo(float).tiny < spread else np.divide(np.sqrt(square), spread)
    return float(found["mean_shift"]), float(distance), float(found["corr_change"])


def _draw(ax: Axes, lines: Mapping[str, _Moved], what: str, most: int) -> None:
    handles = []
    for number, one in enumerate(lines.values()):
        (values,) = one.values.values()
        places = np.arange(1, len(one.names))
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "linestyle": _LINES[number // len(COLOURS)]}
        handles += ax.plot(places, values, marker="o", markersize=4 if len(places) <= 64 else 0, **style)
    longest = max(lines.values(), key=lambda each: len(each.names))
    name_places(ax, longest.names, "x", some=True)
    ax.set_xlim(0.5, len(longest.names) - 0.5)
    top = max(float(np.nanmax(each, initial=0.0)) for one in lines.values() for each in one.values.values())
    ax.set_ylim(0, 1.08 * top if 0 < top < np.inf else None)
    ax.set_xlabel(shown(longest.by), parse_math=False)
    ax.set_ylabel(what)
    outside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "fontsize": "small"}
    legend(ax, handles, [shown(name, most) for name in lines], **(outside if len(lines) > _MOST_INSIDE else {}))

"""What is wrong with each layer, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.plot._canvas import GREEN, NO_VALUE, ORANGE, computed, drawn, legend, name_places, names_along
from covdist.readings.gradients.health import health as health_of
from covdist.readings.gradients.health.verdicts import ratio_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from covdist.plot._canvas import Picture

_CHECKS = {  # the number that is judged, and the flags it can raise
    "gradient": ("relative", ("vanishing", "exploding", "no_gradient")),
    "dead units": ("dead_share", ("dead",)),
    "saturated": ("saturated_share", ("saturated",)),
    "redundant": ("redundant_share", ("redundant",)),
    "not finite": ("nonfinite", ("not_finite",)),
}
_UNKNOWN, _FINE, _FOUND = 0, 1, 2
_MEANINGS = {_FINE: "fine", _FOUND: "a finding", _UNKNOWN: "not known"}
_MOST_WRITTEN = 40  # layers


def health(x: xr.Dataset | xr.DataTree, *, ax: Axes | None = None, **options: Any) -> Picture:
    """A table in colour: layers downward, and for each of five questions whether something is wrong, with the number.

    Parameters
    ----------
    x : Dataset or DataTree
        What :func:`covdist.health` gives, or a log.
    ax : matplotlib Axes, optional
        To draw on; by default new ones. Groups need a figure of their own.
    **options
        Of :func:`covdist.health`, where ``x`` is a log.

    Returns
    -------
    Axes or FacetGrid
        A FacetGrid where there are groups, such as epochs, of at most 12 of them. Numbers are the gradient relative to
        that of the last layer, shares of units, and how many values are NaN or infinite; they are left out of panels.

    Raises
    ------
    DataError
        If ``x`` is nothing of the kind, or matplotlib is missing.

    Examples
    --------
    >>> import numpy as np, xarray as xr, covdist
    >>> rng = np.random.default_rng(0)
    >>> log = xr.DataTree.from_dict({
    ...     name: xr.Dataset({"gradient": (("step", "param"), size * rng.normal(size=(50, 8)))})
    ...     for name, size in {"fc1": 1e-6, "head": 1.0}.items()
    ... })
    >>> ax = covdist.plot.health(log)
    >>> [text.get_text() for text in ax.get_yticklabels()], ax.texts[0].get_text()
    (['fc1', 'head'], '9.9e-07')
    """
    if isinstance(x, xr.DataTree):
        x = health_of(x, **options)
    elif not (isinstance(x, xr.Dataset) and {"verdict", "relative", "layer"} <= {*x.variables}):
        raise DataError(
            f"health draws what covdist.health(log) gives, found a {type(x).__name__}: pass that, or the log itself"
        )
    found = computed(x)
    groups = [dim for dim in found["verdict"].dims if dim != "layer"]
    layers, longest = found.sizes["layer"], max(map(len, names_along(found, "layer")), default=0)
    size = 7.0 + 0.09 * min(longest, 24), 1.8 + 0.28 * min(layers, 40)

    def draw(one: xr.Dataset, panel: Axes) -> None:
        _draw(panel, one, written=not groups and layers <= _MOST_WRITTEN)

    return drawn(found, draw, ax, groups=groups, title="Health of the layers", size=size)


def _draw(ax: Axes, one: xr.Dataset, written: bool) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    numbers = one.assign(nonfinite=one["gradient_nonfinite"] + one["activation_nonfinite"])
    judged = np.array([_judged(numbers, *check) for check in _CHECKS.values()]).T
    colours = {_UNKNOWN: NO_VALUE, _FINE: GREEN, _FOUND: ORANGE}
    ax.imshow(
        judged, cmap=ListedColormap(list(colours.values())), vmin=0, vmax=2, aspect="auto", interpolation="nearest"
    )
    ax.set_xticks(range(len(_CHECKS)), _CHECKS, rotation=0 if written else 90)
    name_places(ax, names_along(one, "layer"), "y")
    ax.set_ylabel("layer")
    ax.set_yticks(np.arange(len(judged) + 1) - 0.5, minor=True)
    if written:
        ax.grid(which="minor", axis="y", color="white", linewidth=1)
        ax.tick_params(which="minor", length=0)
        for column, (name, _) in enumerate(_CHECKS.values()):
            for row, value in enumerate(numbers[name].to_numpy()):
                ax.text(column, row, _written(name, value), ha="center", va="center", color="black", fontsize="small")
    handles = [Patch(color=colours[kind]) for kind in _MEANINGS]
    legend(ax, handles, _MEANINGS.values(), loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small")


def _judged(one: xr.Dataset, number: str, flags: tuple[str, ...]) -> np.ndarray:
    found = np.any([one[flag].to_numpy() for flag in flags], axis=0)
    unknown = np.isnan(one[number].to_numpy().astype(float))
    return np.where(found, _FOUND, np.where(unknown, _UNKNOWN, _FINE))


def _written(name: str, value: float) -> str:
    if name == "relative":
        return ratio_text(value, ".1e")
    return "" if np.isnan(value) else f"{value:,.0f}" if name == "nonfinite" else f"{value:.0%}"

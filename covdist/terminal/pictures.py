"""Plots of a result as PNG files, those that its states have anything for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from covdist.errors import DataError, shown
from covdist.plot._canvas import pyplot
from covdist.plot.gradients import gradients
from covdist.plot.missing import holes
from covdist.results.moments import Moments
from covdist.results.store import free_path, whole
from covdist.terminal.tables import over_all_groups

_GRADIENT = "gradient"  # the variable that holds gradients, by the convention of logs
_LONGEST = 100  # letters of a name, which with its ending stays below what file systems take
_DOTS = 150  # an inch


def write_pictures(named: Mapping[str, Moments], folder: str | Path) -> list[str]:
    """Write a PNG file for each plot to a new folder, whole or not at all, and return their names."""
    pyplot().switch_backend("agg")  # files alone: no window, and no display that is needed
    target = free_path(folder)
    names: list[str] = []
    with whole(target) as place:
        place.mkdir()
        for name, draw in _plots(named):
            safe = _file_name(name, names)
            _save(draw, place / safe)
            names.append(safe)
        if not names:
            raise DataError(f"there is nothing to draw: the result holds {', '.join(map(shown, named)) or 'one state'}")
    return names


def _save(draw: Callable[[], Any], path: Path) -> None:
    plt = pyplot()
    with plt.rc_context({"figure.max_open_warning": 0}):
        found = draw()
        figure = getattr(found, "fig", None) or found.figure
        figure.savefig(path, dpi=_DOTS)
        plt.close(figure)


def _plots(named: Mapping[str, Moments]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name of each picture, and what draws it."""
    for path, m in named.items():
        name = path or "result"
        if m.layout.axes[0].size > 1 and (m.can_answer("correlation") or m.can_answer("pair_correlation")):
            yield f"{name}.correlation", m.plot.correlation
        if m.can_answer("spectrum"):
            yield f"{name}.spectrum", m.plot.spectrum
        if holes(m).any():
            yield f"{name}.missing", m.plot.missing
        groups = m.layout.groups
        if groups is not None and not groups.positions and groups.size > 1 and len(groups.levels) < 2:
            yield f"{name}.drift", m.plot.drift
    of_gradients = {
        path: m for path, m in named.items()
        if path.rpartition("/")[2] == _GRADIENT and (m.layout.groups is None or not m.layout.state.ordered)
    }  # fmt: skip
    if of_gradients:
        layers = {path.rpartition("/")[0] or path: over_all_groups(m) for path, m in of_gradients.items()}
        yield "gradients", partial(gradients, layers)


def _file_name(name: str, taken: list[str]) -> str:
    """Return a new name with no letter that a file system or a shell minds, in the case of letters too."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name.replace("/", ".")).lstrip(".-") or "_"
    stem, _, kind = safe.rpartition(".")
    safe = f"{stem[:_LONGEST]}.{kind}" if stem else safe[:_LONGEST]
    known = {each.lower() for each in taken}
    while f"{safe}.png".lower() in known:
        stem, _, kind = safe.rpartition(".")
        safe = f"{stem}_.{kind}" if stem else f"{safe}_"
    return f"{safe}.png"

"""The magnitude of correlations as a small picture: means of blocks, of large matrices those of some of the rows."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from covdist.errors import DataError, shown
from covdist.results.labelled_state import LabelledState
from covdist.results.labels import Groups
from covdist.results.looks.png import png
from covdist.state.grouped import Grouped

_PLACES = 64  # of a picture, across and down
_ROWS_READ = 4  # of each place; a matrix of 4,096 columns is 67 MB, of which these are 1 MB
_MOST_MERGED = 1 << 24  # bytes of groups' states that are summed for a picture
_MOST_WHOLE = 512  # columns of a state that gives all of its correlations or none
_WIDTH = 128  # of the picture in a page


class Thumbnail(NamedTuple):
    values: np.ndarray  # (height, width), of at most 64 places each
    caption: str

    def page(self) -> str:
        source = f"data:image/png;base64,{b64encode(png(self.values)).decode()}"
        style = f"width:{_WIDTH}px;height:{_WIDTH}px;image-rendering:pixelated"
        said = escape(self.caption)
        return (
            f'<figure style="margin:0;flex-shrink:0"><img alt="{said}" style="{style}" src="{source}">'
            f'<figcaption style="max-width:{_WIDTH}px;font-size:smaller">{said}</figcaption></figure>'
        )


def thumbnail(m: LabelledState) -> Thumbnail | None:
    """Return |corr| of all rows, or of a group where summing all of them would take long; None where there is none."""
    sizes = tuple(axis.size for axis in m.layout.matrix_axes())
    if m.deferred.lazy or m.matrix is not None or max(sizes) < 2 or min(sizes) < 1:
        return None
    state, of = _state(m.deferred.joined(), m.layout.groups, m.layout.nbytes)
    blocks = None if state is None else _blocks(m, state, sizes)
    if blocks is None or np.isnan(blocks).all():
        return None
    places = "" if blocks.shape == sizes else f", means of {' × '.join(map(str, blocks.shape))} blocks"
    return Thumbnail(blocks, f"|corr|{of}{places}: dark 0, bright 1")


def _state(state: Any, groups: Groups | None, size: int) -> tuple[Any, str]:
    """Return the state to draw and what it is of; None where that would take long to make."""
    if groups is None or not isinstance(state, Grouped):
        return state, ""
    if size <= _MOST_MERGED and not groups.positions:
        return state.union(), " of all groups" if groups.size > 1 else ""
    code = next(iter(state.folded), None)
    if code is None and max(state.inner.columns.mean.shape) <= _MOST_WHOLE:  # else folding a group's rows takes long
        code = next(iter(state), None)
    if code is None:
        return None, ""
    return state[code], f" of {shown(groups.dim, 30)} {shown(str(groups.values[code]), 30)}"


def _blocks(m: LabelledState, state: Any, sizes: tuple[int, ...]) -> np.ndarray | None:
    try:
        if m.can_answer("correlation"):
            return _of_rows(state, sizes)
        if m.can_answer("pair_correlation") and max(sizes) <= _MOST_WHOLE:
            down, across = map(_edges, sizes)
            return np.stack([*_means(np.abs(state.pair_correlation(1)), down, across)])
    except DataError:  # of no rows, or too few
        return None
    return None


def _of_rows(state: Any, sizes: tuple[int, ...]) -> np.ndarray:
    down, across = map(_edges, sizes)
    found = np.empty((len(down) - 1, len(across) - 1))
    for place, (start, stop) in enumerate(pairwise(down.tolist())):
        rows = np.abs(state.correlation(slice(start, min(stop, start + _ROWS_READ))))
        (found[place],) = _means(rows, np.array([0, len(rows)]), across)
    return found


def _edges(size: int) -> np.ndarray:
    """Return where places begin and end: one a column, or so many of as near to equal numbers as can be."""
    places = min(size, _PLACES)
    return np.arange(places + 1) * size // places


def _means(values: np.ndarray, down: np.ndarray, across: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, place by place downward, the means of what is known."""
    known = ~np.isnan(values)
    sums, counts = (
        np.add.reduceat(np.add.reduceat(each, across[:-1], axis=1), down[:-1], axis=0)
        for each in (np.where(known, values, 0.0), known.astype(np.int64))
    )
    with np.errstate(invalid="ignore"):
        yield from sums / counts

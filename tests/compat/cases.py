"""What the kept results were made of: the first half of the rows; whoever reads them has the other half to add."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import covdist

DATA = Path(__file__).parent / "data"
ROWS = 24
FIRST, SECOND, ALL = slice(ROWS // 2), slice(ROWS // 2, None), slice(None)
DEPTH = [1.5, 2.0, 3.0, np.nan]
WIDE = 33  # columns; their tiles are two columns wide, the last one is one

# Labels of the rows: some groups are in one half only.
EPOCH = np.arange(ROWS) // 5
PHASE = np.array(["warm-up", "long", "été"])[[*[0, 1] * 6, *[1, 2, 2] * 4]]
DAY = np.array(["2024-02-01", "2024-01-01", "2025-03-04T05:06"], "M8[ns]")[[*[0, 1] * 6, *[0, 2] * 6]]


@cache
def numbers() -> np.ndarray:
    """Normal deviates."""
    return np.load(DATA / "rows.npy")


def values(rows: slice) -> np.ndarray:
    return numbers()[rows, :4] * [1, 10, 0.1, 1e3] + [0, 1e3, 0, 5]


def labelled(rows: slice, array: np.ndarray) -> xr.DataArray:
    """Columns with text and numbers as coordinates."""
    coords: dict[str, Any] = {
        "unit": ["a", "bb", "ccc", "dé"],
        "depth": ("unit", DEPTH),
        "epoch": ("step", EPOCH[rows]),
        "phase": ("step", PHASE[rows]),
        "day": ("step", DAY[rows]),
    }
    return xr.DataArray(array, dims=("step", "unit"), coords=coords, name="gradient")


def x(rows: slice) -> xr.DataArray:
    return labelled(rows, values(rows))


def y(rows: slice) -> xr.DataArray:
    """Fewer columns, single precision, a dim of their own."""
    array = numbers()[rows, 3:6].astype("f4")
    return xr.DataArray(array, dims=("step", "out"), coords={"out": [3, 4, 5], "side": ("out", list("lrl"))}, name="y")


def twin(rows: slice) -> xr.DataArray:
    """Other values whose dim and coordinates are called as those of x."""
    return labelled(rows, numbers()[rows, 4:]).rename("twin")


def clashing(rows: slice) -> xr.DataArray:
    """A coordinate called as the dim of x, and one as a coordinate of x."""
    coords = {"unit": ("out", [30, 40, 50]), "depth": ("out", [0.5, 0.25, 0.125])}
    return y(rows).drop_vars(["out", "side"]).assign_coords(coords)


def holed(rows: slice) -> np.ndarray:
    """Holes of several shapes, none of them at the ends of either half."""
    array = values(ALL).copy()
    array[[2, 5, 14, 20], 0] = array[[5, 6, 7, 17], 2] = np.nan
    return array[rows]


def infinite(rows: slice) -> np.ndarray:
    array = holed(ALL)
    array[[3, 15], 1] = np.inf
    return array[rows]


def odd(rows: slice) -> np.ndarray:
    """Zeros, subnormal numbers, infinities and NaN."""
    array = values(ALL).copy()
    array[::3, 0], array[1::5, 2] = 0.0, 5e-324
    array[[4, 19], 1], array[[7, 8], 3] = np.nan, [np.inf, -np.inf]
    return array[rows]


def extreme(rows: slice) -> np.ndarray:
    return numbers()[rows, :4] * [1e-200, 1e200, 1, 1e150] + [0, 1e200, 0, 0]


def wide(rows: slice) -> np.ndarray:
    """More columns, some of them extreme."""
    array = numbers()[rows]
    mixed = np.concatenate([array, array[:, ::-1] ** 2, array**3, np.abs(array), array[:, :1] - 3], axis=1)
    return mixed * np.where(np.arange(WIDE) % 5 == 0, 1e-200, 1.0)


def counts(rows: slice) -> np.ndarray:
    return (np.arange(ROWS) % 4)[rows]


def trust(rows: slice) -> np.ndarray:
    return (1 / (1 + np.arange(ROWS)))[rows]


def labels_of_other_kinds(rows: slice) -> xr.DataArray:
    coords = {
        "unit": np.array(["2024-01-01", "NaT", "2024-01-03", "2024-01-04"], "M8[ns]"),
        "trained": ("unit", [True, False, True, True]),
        "number": ("unit", np.array([1, 2, 3, 4], "u1")),
        "taken": ("unit", np.array([1, 2, 3, 4], "m8[s]")),
    }
    return xr.DataArray(values(rows), dims=("step", "unit"), coords=coords)


def labels_that_become_text(rows: slice) -> xr.DataArray:
    coords = {"unit": np.array([b"a", b"bb", b"c", b"d"]), "thing": ("unit", np.array([1, "b", None, 2.5], object))}
    return xr.DataArray(values(rows), dims=("step", "unit"), coords=coords)


def stacked(rows: slice) -> xr.DataArray:
    coords = {"channel": ["red", "blue"], "unit": [10, 20], "depth": ("unit", [0.5, 0.25])}
    return xr.DataArray(values(rows).reshape(-1, 2, 2), dims=("step", "channel", "unit"), coords=coords, name="image")


def two_sample_dims(rows: slice) -> xr.DataArray:
    return xr.DataArray(values(rows).reshape(2, -1, 4), dims=("run", "step", "unit"), name="gradient")


fold = partial(covdist.moments, dim="step")
cross = partial(fold, state="cross")

CASES: dict[str, Callable[[slice], covdist.Moments]] = {
    "full": lambda rows: fold(x(rows)),
    "fast": lambda rows: fold(x(rows).astype("f4"), precision="fast"),
    "plain": lambda rows: covdist.moments(values(rows).astype("f4")),
    "one variable": lambda rows: fold(x(rows)[:, 1]),
    "stacked": lambda rows: fold(stacked(rows)),
    "two sample dims": lambda rows: covdist.moments(two_sample_dims(rows), dim=("run", "step")),
    "labels": lambda rows: fold(labels_of_other_kinds(rows)),
    "labels as text": lambda rows: fold(labels_that_become_text(rows)),
    "cross": lambda rows, **options: cross(x(rows), y(rows), **options),
    "cross with a twin": lambda rows: cross(x(rows), twin(rows)),
    "cross, clashing": lambda rows: cross(x(rows), clashing(rows)),
    "cross with one variable": lambda rows: cross(x(rows), y(rows)[:, 0].drop_vars(["out", "side"])),
    "cross, plain": lambda rows: covdist.moments(values(rows), numbers()[rows, 5:7], state="cross"),
    "variances": lambda rows: fold(x(rows), y(rows)).x,
    "variances of y": lambda rows: fold(x(rows), clashing(rows)).y,
    "by numbers": lambda rows: fold(x(rows), by="epoch"),
    "by text": lambda rows: fold(x(rows), by="phase"),
    "by days": lambda rows: fold(x(rows), by="day"),
    "cross by text": lambda rows, **options: cross(x(rows), twin(rows), by="phase", **options),
    "variances by days": lambda rows: fold(x(rows), y(rows), by="day").x,
    "pairwise": lambda rows: fold(labelled(rows, holed(rows)), missing="pairwise"),
    "pairwise, weighted": lambda rows: fold(labelled(rows, holed(rows)), missing="pairwise", weights=trust(rows)),
    "pairwise cross": lambda rows: fold(labelled(rows, holed(rows)), clashing(rows), missing="pairwise"),
    "pairwise variances": lambda rows: fold(labelled(rows, holed(rows)), y(rows), missing="pairwise").x,
    "pairwise by text": lambda rows: fold(labelled(rows, holed(rows)), by="phase", missing="pairwise"),
    "pairwise extremes": lambda rows: fold(labelled(rows, extreme(rows) + 0 * holed(rows)), missing="pairwise"),
    "maxent": lambda rows: fold(labelled(rows, holed(rows)), missing="maxent"),
    "maxent cross": lambda rows: fold(labelled(rows, holed(rows)), y(rows), missing="maxent"),
    "frequency": lambda rows: fold(x(rows), weights=counts(rows)),
    "reliability": lambda rows: fold(x(rows), weights=trust(rows)),
    "both weights": lambda rows: fold(x(rows), weights={"frequency": counts(rows), "reliability": trust(rows)}),
    "drop": lambda rows: fold(labelled(rows, holed(rows)), missing="drop"),
    "interpolate": lambda rows: fold(labelled(rows, holed(rows)), missing="interpolate"),
    "infinity is missing": lambda rows: fold(labelled(rows, infinite(rows)), missing="drop", inf="missing"),
    "propagate": lambda rows: fold(labelled(rows, odd(rows)), missing="propagate"),
    "extremes": lambda rows: fold(labelled(rows, extreme(rows))),
    "extremes, cross": lambda rows: cross(labelled(rows, extreme(rows)), y(rows)),
    "sum": lambda rows: fold(x(rows)) + fold(x(rows).rename("other")),
    "tiles": lambda rows: covdist.moments(wide(rows), matrix="tiles"),
}
RELABELLED = ("labels as text",)  # rows with the labels they had before have others
FITTED = ("maxent", "maxent cross")  # not the sum of two halves
TILED = ("tiles",)
NOT_SHOWN = ("one variable",)  # by the version that wrote it

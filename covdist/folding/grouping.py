"""Groups of rows: by coordinates, or by bins of them."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple, cast

import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd

from covdist.engine import small_arrays
from covdist.errors import DataError
from covdist.folding.binning.edges import between, edges_of, listed, unrounded
from covdist.folding.binning.widths import multiples, of_width, width_text
from covdist.folding.inputs import along_samples
from covdist.given import told
from covdist.results.accepted import plain_labels
from covdist.results.labels import NO_TEXT, Array, ArrayLike, Bins, Groups, Labelled, Rows, structured

BLOCK = "block"  # the name of groups by runs of rows


def bins(
    name: str | ArrayLike,
    bins: int | npt.ArrayLike | None = None,
    *,
    width: float | str | timedelta | np.timedelta64 | None = None,
) -> Bins:
    """Ranges of a coordinate as groups of rows, for ``by=``.

    Parameters
    ----------
    name : str or array_like
        Name of a coordinate along the sample dim, or one value per sample: numbers, dates or times, lazy ones too.
    bins : int or sequence, optional
        How many bins of equal width between the smallest and the largest value; or their edges, ascending, of which
        dates and times may be text.
    width : float, timedelta64 or str, optional
        Bins of this width instead, from its multiples on (of dates since 1970-01-01), such as 100 or "2h": those of
        several runs are alike, so that their moments add up. Bins in which there are no rows are left out.

    Returns
    -------
    Bins
        Each bin holds its left edge, which is its label, the last also its right edge, as in ``numpy.histogram``. The
        dim of results is the coordinate's name with ``_bins`` behind it, as in xarray's ``groupby_bins``. Rows outside
        all bins, also those at NaN, belong to no group.

    Raises
    ------
    DataError
        If it is not one of the two, or they do not make bins.

    Examples
    --------
    >>> import numpy as np, xarray as xr, covdist
    >>> x = xr.DataArray(np.arange(6.0), dims="step", coords={"step": np.arange(6) * 10})
    >>> covdist.moments(x, dim="step", by=covdist.bins("step", 2)).mean().to_series().to_dict()
    {0.0: 1.0, 25.0: 4.0}
    >>> covdist.moments(x, dim="step", by=covdist.bins("step", width=30)).mean().to_series().to_dict()
    {0: 1.0, 30: 4.0}
    """
    if (bins is None) == (width is None):
        found = "neither" if bins is None else "both"
        raise DataError(f"bins takes a number of bins, their edges, or width=, found {found}: pass one of them")
    if bins is None:
        plain = isinstance(width, np.ndarray | np.generic) and width.ndim == 0 and width.dtype.kind in "iuf"
        return Bins(name, None, cast(Any, width).item() if plain else width)
    try:
        cut = np.asarray(bins)
    except (TypeError, ValueError):  # of lists of several lengths, of a Dataset
        cut = np.empty((0, 0))
    if isinstance(bins, list | tuple) and cut.ndim == 1 and cut.dtype.kind == "f":
        cut = unrounded(bins, cut)
    if cut.ndim == 0 and cut.dtype.kind in "iu" and cut >= 1:
        return Bins(name, int(cut), None)
    if cut.ndim == 1:
        return Bins(name, cut, None)
    raise DataError(f"bins={told(bins)} is not a number of bins: pass a whole number, 1 or more, or a list of edges")


def named(text: str) -> str | Bins:
    """Return what a name on the command line stands for: a coordinate, or such as "bins(step, 10)" bins of one."""
    if not text.startswith("bins("):
        return text
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError
        values = [each.id if isinstance(each, ast.Name) else ast.literal_eval(each) for each in call.args]
        return bins(*values, **{str(each.arg): ast.literal_eval(each.value) for each in call.keywords})
    except (ValueError, TypeError, SyntaxError):
        advice = "write it like 'bins(step, 10)', 'bins(step, [0, 10, 100])' or 'bins(step, width=100)'"
        raise DataError(f"by={text!r} cannot be read: {advice}") from None


def grouping(by: Rows, x: Labelled, *others: Labelled) -> tuple[Groups | None, np.ndarray | None]:
    """Return the groups, and each row's group code, negative for a row of no group."""
    if by is None:
        return None, None
    several = keys(by) if isinstance(by, tuple) else []
    names = [_name(each) for each in several or [by]]
    name = "_".join(names)
    for side in (x, *others):
        for each in {name, *names} & {side.axis.dim, *side.axis.coords}:
            raise DataError(f"by is called {each!r}, as are columns of {side.name}: rename one of them")
    if len(several) > 1:
        return _pairs(name, {own: grouping(each, x) for own, each in zip(names, several, strict=True)})
    by = several[0] if several else by
    of: Any = by.of if isinstance(by, Bins) else by
    values = small_arrays.values(along_samples(of, x, "by"))
    if isinstance(by, Bins):
        return _binned(by, name, values)
    distinct, codes = np.unique(plain_labels(_with_missing(values), "by"), return_inverse=True)
    return Groups(name, distinct), codes.reshape(values.shape).astype(np.int32)


def _with_missing(values: np.ndarray) -> np.ndarray:
    """Return labels among which some are None or NaN, as numbers with NaN, dates with NaT, or text."""
    if values.dtype.kind == "T":  # a text's own mark for what is missing cannot be compared
        values = values.astype(object)
    if values.dtype.kind != "O" or not (missing := pd.isna(values)).any():
        return values
    there = values[~missing].tolist()
    if all(isinstance(label, str) for label in there) and there:
        if NO_TEXT in there:
            raise DataError(
                f"by has the label {NO_TEXT!r} and rows without a label, which it stands for: give one of them a name"
            )
        return np.where(missing, NO_TEXT, values)
    flags = {isinstance(label, bool) for label in there}
    if len(flags) < 2 and all(isinstance(label, int | float | np.number) and float(label) == label for label in there):
        found = np.full(values.shape, np.nan)
        found[~missing] = there
        return found
    if all(isinstance(label, date | timedelta) for label in there):
        return np.where(missing, pd.NaT, values)
    return values


class Grouping(NamedTuple):
    """Groups of rows."""

    groups: Groups
    codes: Array  # the group of each row, negative for a row of no group
    rows: np.ndarray  # how many each group has, int64 (groups,)


def grouped_rows(by: Rows, blocks: int | None, *sides: Labelled) -> Grouping | None:
    """Return the groups by coordinates, by blocks of rows, or by both."""
    groups, codes = grouping(by, *sides)
    if blocks is not None:
        return _in_blocks(blocks, groups, codes, *sides)
    return None if groups is None or codes is None else _counted(groups, codes)


def _counted(groups: Groups, codes: np.ndarray) -> Grouping:
    return Grouping(groups, codes, np.bincount(codes[codes >= 0], minlength=groups.size))


def _in_blocks(
    blocks: int, groups: Groups | None, codes: np.ndarray | None, x: Labelled, *others: Labelled
) -> Grouping:
    """Return groups by runs of consecutive rows, of all rows or of those of each group."""
    if not isinstance(blocks, int | np.integer) or isinstance(blocks, bool) or blocks < 1:
        raise DataError(f"blocks={blocks!r} is not a number of blocks: pass a whole number, 2 or more for error bars")
    levels = [] if groups is None else [*(groups.levels or (groups.dim,))]
    name = "_".join([*levels, BLOCK])
    for side in (x, *others):
        for each in {name, BLOCK} & {*levels, side.axis.dim, *side.axis.coords}:
            raise DataError(f"blocks are groups by {each!r}, as by or columns of {side.name} are: rename those")
    if groups is None or codes is None:
        rows = math.prod(x.sample_shape)
        count = min(int(blocks), rows)
        starts = -(-np.arange(count + 1) * rows // count)
        numbers: Array
        if isinstance(x.data, da.Array) and len(x.sample_dims) == 1:
            numbers = da.arange(rows, chunks=x.data.chunks[:1])
        else:
            numbers = np.arange(rows).reshape(x.sample_shape)
        return Grouping(Groups(BLOCK, np.arange(count)), (numbers * count // rows).astype(np.int32), np.diff(starts))
    columns = {level: groups.values[level] if groups.levels else groups.values for level in levels}
    cuts = {level: {level: groups.cuts[level]} if level in groups.cuts else {} for level in levels}
    own = {level: (Groups(level, values, cuts=cuts[level]), codes) for level, values in columns.items()}
    return _counted(*_pairs(name, {**own, BLOCK: (Groups(BLOCK, np.arange(int(blocks))), _ranked(codes, int(blocks)))}))


def _ranked(codes: np.ndarray, blocks: int) -> np.ndarray:
    """Return for each row the number of its block among the rows of its group."""
    order = np.argsort(codes, axis=None, kind="stable")
    _, starts, counts = np.unique(codes.ravel()[order], return_index=True, return_counts=True)
    sizes = np.repeat(counts, counts)
    ranks = np.empty(codes.size, np.int64)
    ranks[order] = (np.arange(codes.size) - np.repeat(starts, counts)) * np.minimum(sizes, blocks) // sizes
    return ranks.reshape(codes.shape)


def keys(by: object) -> list[Any]:
    """Return the coordinates and bins that rows are grouped by; an array of one value a row is none."""
    each = list(by) if isinstance(by, tuple) else [by]
    return each if all(isinstance(one, str | Bins) for one in each) else []


def labelling(by: object) -> Iterator[tuple[str, Any]]:
    """Yield what holds one value a row, by names for messages."""
    for number, each in enumerate(keys(by) or [by]):
        yield f"by[{number}]" if isinstance(by, tuple) else "by", each.of if isinstance(each, Bins) else each


def _name(by: Any) -> str:
    if isinstance(by, Bins):
        return f"{_name(by.of)}_bins"
    own = None if isinstance(by, da.Array) else getattr(by, "name", None)  # dask's is a key
    return by if isinstance(by, str) else str(own or "group")


def _pairs(name: str, levels: Mapping[str, tuple[Any, Any]]) -> tuple[Groups, np.ndarray]:
    """Return the groups of rows that are alike in all of several coordinates."""
    codes = np.stack([own.ravel() for _, own in levels.values()])
    inside = (codes >= 0).all(axis=0)
    joint = np.full(codes.shape[1], -1, np.int32)
    distinct, numbers = np.unique(codes[:, inside], axis=1, return_inverse=True)
    joint[inside] = numbers.ravel()  # NumPy 2.0.0 keeps an axis
    if not inside.any():
        raise DataError(f"no row lies in a bin of each of {', '.join(map(repr, levels))}: pass other edges")
    found = {level: groups.values[own] for (level, (groups, _)), own in zip(levels.items(), distinct, strict=True)}
    cuts = {key: cut for groups, _ in levels.values() for key, cut in groups.cuts.items()}
    return Groups(name, structured(found), cuts=cuts), joint.reshape(next(iter(levels.values()))[1].shape)


def _binned(asked: Bins, name: str, values: np.ndarray) -> tuple[Groups, np.ndarray]:
    values = _on_a_line(values, name)
    if asked.width is None:
        edges = edges_of(asked.bins, values, name)
        if isinstance(asked.bins, int) and edges.dtype.kind == "f":
            values = values.astype(np.float64)  # as they were for the edges
        (left, codes), cut = between(edges, values), f"edges {listed(edges)}"
    else:
        left, codes = of_width(multiples(asked.width, values, name))
        cut = f"width {width_text(asked.width, values.dtype)}"
    if not (codes >= 0).any():
        raise DataError(f"no row lies in a bin of {name!r}: pass bins over the range of the coordinate's values")
    return Groups(name, left, cuts={name: cut}), codes.astype(np.int32)


def _on_a_line(values: np.ndarray, name: str) -> np.ndarray:
    """Return numbers as float64 or 64-bit integers, and times in microseconds or finer, so that edges lie between."""
    if values.dtype.kind in "mM":
        return values.astype(np.result_type(values.dtype, f"{values.dtype.kind}8[us]"))
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name!r} are bins of values of dtype {values.dtype}, expected numbers, dates or times")
    return values.astype({"f": np.float64, "u": np.uint64}.get(values.dtype.kind, np.int64))

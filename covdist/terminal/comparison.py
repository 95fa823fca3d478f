"""Two results side by side: what has changed of each array that both hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from covdist.errors import DataError, MergeError, shown
from covdist.readings.distributions.compare import compare
from covdist.results.labels import Groups
from covdist.results.moments import Moments
from covdist.terminal.columns import TableRow, columns, facts
from covdist.terminal.tables import over_all_groups

Named = Mapping[str, Moments]  # by the paths of their arrays
Record = dict[str, Any]
_LISTED = 10  # names that only one of two has
_HEADER = "rows", "mean shift", "std ratio", "Frechet", "Δcov", "Δcorr", "rank"


def comparison(a: Named, b: Named, by: str | None) -> Record:
    """Return what has changed from a to b of each array of both, of each group where ``by`` names them, and the rest.

    DataError where there is nothing to compare.
    """
    record: Record = {"arrays": {}, "refused": {}, "only_in_a": _others(a, b), "only_in_b": _others(b, a)}
    for path in (path for path in a if path in b):
        try:
            record["arrays"][path] = _changes(a[path], b[path], by)
        except (DataError, MergeError) as error:
            record["refused"][path] = str(error)
    if not record["arrays"]:
        raise DataError(_nothing(record))
    return record


def _others(a: Named, b: Named) -> list[str]:
    return [path for path in a if path not in b]


def _nothing(record: Record) -> str:
    """Return why there is nothing to compare."""
    if record["refused"]:
        path, reason = next(iter(record["refused"].items()))
        return f"{shown(path)}: {reason}" if path else reason
    first, second = (_listed([path or "one state" for path in record[f"only_in_{side}"]]) for side in "ab")
    return (
        f"the results hold no array of the same name, A has {first} and B has {second}: compare results of the same "
        "layers and variables"
    )


def _changes(a: Moments, b: Moments, by: str | None) -> Record:
    if by is None:
        return _figures(over_all_groups(a), over_all_groups(b))
    labels, labels_b = ({str(value): value for value in _labels(each, by)} for each in (a, b))
    groups = {
        label: _figures(*(over_all_groups(each.sel(**{by: value})) for each in (a, b)))
        for label, value in labels.items()
        if label in labels_b
    }
    if not groups:
        raise DataError(
            f"the results have no group by {by!r} in common, A has {_listed(list(labels))} and B has "
            f"{_listed(list(labels_b))}: leave out --by to compare all rows"
        )
    return {"groups": groups, "only_in_a": _others(labels, labels_b), "only_in_b": _others(labels_b, labels)}


def _labels(m: Moments, by: str) -> np.ndarray:
    groups: Groups | None = m.layout.groups
    if groups is None or by not in (groups.levels or (groups.dim,)):
        raise DataError(f"--by {by} needs groups by that coordinate in both results, one has {m.layout.grouped()}")
    return np.unique(groups.values[by]) if groups.levels else groups.values


def _figures(a: Moments, b: Moments) -> Record:
    found = {str(name): float(value) for name, value in compare(a, b).compute().items()}
    rows = {name: int(found.pop(name)) for name in ("rows_a", "rows_b")}
    return {**rows, **{name: value if math.isfinite(value) else _odd(value) for name, value in found.items()}}


def _odd(value: float) -> str | None:
    """Return what JSON has no number for."""
    return None if math.isnan(value) else "infinite"


# ---- as people read it


def comparison_table(record: Record) -> str:
    """Lay out a row an array, or a row a group, and below what is in one result alone or cannot be compared."""
    return "\n".join([columns("array", _HEADER, _rows(record["arrays"])), *_rest(record)])


def _rest(record: Record) -> Iterator[str]:
    for side in "ab":
        if names := record[f"only_in_{side}"]:
            yield facts([(f"only in {side.upper()}:", _listed(names))])
        for path, found in record["arrays"].items():
            if names := found.get(f"only_in_{side}"):
                yield facts([(f"{shown(path or '(root)')}: only in {side.upper()}:", _listed(names))])
    for path, reason in record["refused"].items():
        yield facts([(f"not compared: {shown(path)}:", reason)])


def _rows(arrays: Mapping[str, Record]) -> Iterator[TableRow]:
    for path, found in arrays.items():
        name = path or "(root)"
        if "groups" not in found:
            yield TableRow(name, _cells(found))
            continue
        below = tuple(TableRow(f"  {shown(label)}", _cells(each)) for label, each in found["groups"].items())
        yield TableRow(name, ("",) * len(_HEADER), below)


def _cells(found: Record) -> tuple[str, ...]:
    names = "mean_shift", "std_ratio", "frechet", "cov_change", "corr_change"
    shown_ones = (_number(found[name]) for name in names)
    ranks = [_number(found[f"effective_rank_{side}"]) for side in "ab"]
    return _pair(*(f"{found[f'rows_{side}']:,}" for side in "ab")), *shown_ones, _pair(*ranks)


def _pair(first: str, second: str) -> str:
    return first if first == second else f"{first} → {second}"


def _number(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.3g}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(shown, names[:_LISTED])) + more

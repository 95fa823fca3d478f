"""A state as labelled arrays, and back: the form in which it is looked at and saved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from covdist.results.deferred import Deferred
from covdist.results.labels import Axis
from covdist.results.layout import Layout
from covdist.results.matrix import read_matrix
from covdist.state.base import Field, State, field_value, rebuilt
from covdist.state.grouped import Grouped
from covdist.state.named import described

Arrays = Callable[[str], np.ndarray]


def dataset(deferred: Deferred, layout: Layout) -> xr.Dataset:
    """Return the fields of a state as labelled arrays."""
    arrays = {name: _read(deferred, layout, name, field) for name, field in layout.state.FIELDS.items()}
    return xr.Dataset(arrays, attrs={"kind": layout.kind, **_parameters(layout), "ddof": 0, **layout.provenance})


def _parameters(layout: Layout) -> dict[str, object]:
    parameters = {key: value for key, value in described(layout.state).items() if key != "name"}
    return {"parameters": parameters} if parameters else {}


def _read(deferred: Deferred, layout: Layout, name: str, field: Field) -> xr.DataArray:
    axes = layout.matrix_axes()
    if len(field.axes) == 2:
        return read_matrix(deferred, axes, _rows_of, field, name=name, dtype=field.dtype)
    leading = [] if field.leading is None else [Axis(*field.leading)]
    named = [*leading, *(axes[axis] for axis in field.axes)]
    return deferred.read(field_value, named, field, name=name, dtype=field.dtype)


def _rows_of(state: State, rows: slice, field: Field) -> np.ndarray:
    return field_value(state, field, rows)


def from_arrays(arrays: Arrays, layout: Layout) -> State | Grouped:
    """Rebuild the state of ``layout`` from arrays by the names that ``dataset`` gives them."""
    kind, widths = layout.state, layout.widths
    whole = {name: np.asarray(arrays(name)) for name in kind.FIELDS}
    if layout.groups is None:
        return rebuilt(kind, widths, whole)

    def one(code: int) -> State:
        return rebuilt(kind, widths, {name: values[code] for name, values in whole.items()})

    return Grouped(kind.empty(*widths), {code: one(code) for code in range(len(layout.groups.values))})

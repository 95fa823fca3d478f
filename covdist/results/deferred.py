"""``Deferred``: a state with the names of its groups, or the promise of one; of very many columns, in strips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from covdist.errors import DataError, MergeError
from covdist.results.labels import Array, Attrs, Axis, Groups, labelled
from covdist.state.base import State, merged
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances, side_by_side

T = TypeVar("T")


class Deferred(NamedTuple):
    """Parts side by side, each a state or a ``Delayed`` of one, with the columns of each."""

    parts: tuple[Any, ...]
    widths: tuple[int, ...]
    groups: Groups | None = None

    @property
    def lazy(self) -> bool:
        """Whether a part is still to be computed."""
        return any(isinstance(part, Delayed) for part in self.parts)

    def map(self, function: Callable[..., object]) -> Deferred:
        """Apply a function to each part, groups and all."""
        return self._replace(parts=tuple(apply(function, part) for part in self.parts))

    def map_groups(self, function: Callable[..., object]) -> Deferred:
        """Apply a function to the state of each group, or to the state where there are no groups."""
        return self.map(partial(Grouped.map, function=function) if self.groups else function)

    def after(self, others: Sequence[Delayed]) -> Deferred:
        """Let the first part come after ``others`` are computed."""
        return self._replace(parts=(apply(_first, self.parts[0], *others), *self.parts[1:]))

    def merge(self, other: Deferred) -> Deferred:
        """Merge part by part."""
        if self.widths != other.widths:
            raise MergeError(
                f"cannot merge lazily {len(self.widths)} strips of columns with {len(other.widths)}: the arrays are "
                "chunked differently along their columns; compute() both first"
            )
        return self._replace(parts=tuple(apply(merged, a, b) for a, b in zip(self.parts, other.parts, strict=True)))

    def read(
        self,
        function: Callable[..., object],
        axes: Sequence[Axis],
        *arguments: object,
        name: str | None = None,
        dtype: npt.DTypeLike = np.float64,
        attrs: Attrs = None,
    ) -> xr.DataArray:
        """Label the array of the sizes of ``axes`` that ``function(state, *arguments)`` returns, once a group.

        The arguments are part of a lazy result's key.
        """
        shape = tuple(axis.size for axis in axes)
        if self.groups is not None:
            shape = (len(self.groups.values), *shape)
            function, arguments = by_group, (function, shape, *arguments)
        data = self._array(function, arguments, shape, np.dtype(dtype), per_column=bool(axes))
        return labelled(data, list(axes), self.groups, name, attrs)

    def _array(
        self,
        function: Callable[..., object],
        arguments: tuple[object, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        per_column: bool,
    ) -> Array:
        """Join the parts' arrays along the last axis, or read one that does not run along columns off the first."""
        if not per_column or len(self.parts) == 1:
            return _read(self.parts[0], function, arguments, shape, dtype)
        arrays = [
            _read(part, function, arguments, (*shape[:-1], width), dtype)
            for part, width in zip(self.parts, self.widths, strict=True)
        ]
        return da.concatenate(arrays, axis=-1)

    def graph(self) -> HighLevelGraph | None:
        """Return the graph of what is still to be computed."""
        return HighLevelGraph.merge(*(part.__dask_graph__() for part in self.parts)) if self.lazy else None

    def joined(self) -> object:
        """Return computed parts as one state."""
        if len(self.parts) == 1:
            return self.parts[0]
        if isinstance(self.parts[0], Grouped):
            codes = sorted(set().union(*self.parts))
            groups = {code: side_by_side([part.group(code) for part in self.parts]) for code in codes}
            return Grouped(side_by_side([part.inner for part in self.parts]), groups)
        return side_by_side(list(self.parts))


def apply(function: Callable[..., object], *states: object) -> Any:
    """Call now, or later where a state is still to come."""
    if not any(isinstance(state, Delayed) for state in states):
        return function(*states)
    return delayed(function, pure=True, traverse=False)(*states)


def by_group(
    state: Grouped, function: Callable[..., npt.ArrayLike], shape: tuple[int, ...], *arguments: object
) -> np.ndarray:
    """Stack what a function returns for each group; NaN where a group alone has too few rows."""
    parts: list[np.ndarray | None] = []
    for code in range(shape[0]):
        try:
            parts.append(np.asarray(function(state.group(code), *arguments)))
        except DataError:
            parts.append(None)
    one = next((np.shape(part) for part in parts if part is not None), _blank(state.inner, shape[1:]))
    return np.stack([np.full(one, np.nan) if part is None else part for part in parts])


def members(state: State | Grouped, size: int) -> list[State]:
    """Return the states of the groups in the order of their codes; of a state without groups, itself."""
    return [state.group(code) for code in range(size)] if isinstance(state, Grouped) else [state]


def _blank(inner: State, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A strip of many columns is narrower than what is read of all of them."""
    return tuple(inner.columns.width for _ in shape) if isinstance(inner, Variances) else shape


def _read(
    state: object,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Array:
    if not isinstance(state, Delayed):
        return _array_of(state, function, *arguments)
    key = f"read-{tokenize(function, arguments, state.key)}"
    value = delayed(_array_of, pure=True, traverse=False)(state, function, *arguments, dask_key_name=key)
    return da.from_delayed(value, shape, dtype, name=f"array-{key}")


def _array_of(state: object, function: Callable[..., object], *arguments: object) -> np.ndarray:
    return np.asarray(function(state, *arguments))


def _first(state: T, *_: object) -> T:
    return state

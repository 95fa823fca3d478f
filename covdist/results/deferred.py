"""``Deferred``: a state with the names of its groups, or the promise of one; of very many columns, in strips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from dask.base import tokenize
from dask.delayed import Delayed, delayed

from covdist.engine.plan import Plan
from covdist.engine.task_names import letters
from covdist.engine.threads import of_caller, of_task, sharing
from covdist.errors import DataError, MergeError
from covdist.kernel.threads import shared
from covdist.limits import limits
from covdist.results.labels import Array, Attrs, Axis, Groups, labelled
from covdist.results.pieces import in_pieces
from covdist.state.at_once import answers
from covdist.state.base import State, merged
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances, side_by_side

Function = Callable[..., object]


class Deferred(NamedTuple):
    """Parts side by side, each a state or a ``Delayed`` of one, with the columns of each."""

    parts: tuple[Any, ...]
    widths: tuple[int, ...]
    groups: Groups | None = None
    plans: tuple[Plan, ...] = ()  # of the passes over rows that are to come, where they are known

    @property
    def lazy(self) -> bool:
        """Whether a part is still to be computed."""
        return any([isinstance(part, Delayed) for part in self.parts])

    def map(self, function: Function) -> Deferred:
        """Apply a function to each part, groups and all."""
        return self._replace(parts=tuple(apply(function, part) for part in self.parts))

    def map_groups(self, function: Function) -> Deferred:
        """Apply a function to the state of each group, or to the state where there are no groups."""
        return self.map(partial(Grouped.map, function=function) if self.groups else function)

    def once_folded(self) -> Deferred:
        """Return the same where each group has a state already: for what asks the groups several times."""
        return self.map(Grouped.all_folded) if self.groups is not None and not self.lazy else self

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
        parts = tuple(apply(merged, a, b) for a, b in zip(self.parts, other.parts, strict=True))
        return self._replace(parts=parts, plans=self.plans + other.plans)

    def read(
        self,
        function: Function,
        axes: Sequence[Axis],
        *arguments: object,
        name: str | None = None,
        dtype: npt.DTypeLike = np.float64,
        attrs: Attrs = None,
    ) -> xr.DataArray:
        """Label the array of the sizes of ``axes`` that ``function(state, *arguments)`` returns, once a group.

        The arguments are part of a lazy result's key.
        """
        return labelled(self.values(function, axes, *arguments, dtype=dtype), axes, self.groups, name, attrs)

    def values(
        self, function: Function, axes: Sequence[Axis], *arguments: object, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """Return the array that ``read`` labels."""
        shape = tuple([axis.size for axis in axes])
        if self.groups is not None:
            shape = (len(self.groups.values), *shape)
            function, arguments = by_group, (function, shape, *arguments)
        if not axes or len(self.parts) == 1:  # what does not run along columns is read off the first part
            return _read(self.parts[0], shape, np.dtype(dtype), function, *arguments)
        strips = zip(self.parts, [(*shape[:-1], width) for width in self.widths], strict=True)
        return da.concatenate([_read(*strip, np.dtype(dtype), function, *arguments) for strip in strips], axis=-1)

    def read_matrix(
        self,
        function: Function,
        axes: tuple[Axis, Axis],
        *arguments: object,
        name: str,
        dtype: npt.DTypeLike = np.float64,
        attrs: Attrs = None,
    ) -> xr.DataArray:
        """Label the matrix of which ``function(state, rows, *arguments)`` returns a slice of rows, lazily in chunks."""
        first, second = axes
        height = max(1, limits().matrix_chunk_bytes // (8 * max(1, second.size))) if self.lazy else first.size
        if first.size <= height:
            return self.read(function, axes, slice(0, first.size), *arguments, name=name, dtype=dtype, attrs=attrs)
        chunks = []
        for start in range(0, first.size, height):
            rows = slice(start, min(start + height, first.size))
            some = Axis(first.dim, rows.stop - start), second
            chunks.append(self.read(function, some, rows, *arguments, dtype=dtype).data)
        return labelled(in_pieces(da.concatenate(chunks, axis=-2)), axes, self.groups, name, attrs)

    def joined(self) -> object:
        """Return computed parts as one state."""
        if len(self.parts) == 1:
            return self.parts[0]
        if isinstance(self.parts[0], Grouped):
            codes = sorted(set().union(*self.parts))
            groups = {code: side_by_side([part.group(code) for part in self.parts]) for code in codes}
            return Grouped(side_by_side([part.inner for part in self.parts]), groups)
        return side_by_side(list(self.parts))


class TiledMatrix(Protocol):
    """A matrix too large for a state, beside the moments of its columns."""

    def cov(self, columns: Deferred, ddof: float) -> da.Array:
        """Return the covariance as a lazy array of tiles."""

    def corr(self, columns: Deferred) -> da.Array:
        """Return the correlation as a lazy array of tiles."""

    def written(self, columns: Deferred, axes: tuple[Axis, Axis], group: zarr.Group) -> Deferred:
        """Return the columns' moments; the tiles are written to ``group`` as they are computed."""


def apply(function: Function, *states: object) -> Any:
    """Call now, or later where a state is still to come."""
    if not any(isinstance(state, Delayed) for state in states):
        return function(*states)
    return delayed(function, pure=True, traverse=False)(*states)


def by_group(state: Grouped, function: Function, shape: tuple[int, ...], *arguments: object) -> np.ndarray:
    """Join what a function returns for each group; NaN where a group alone has too few rows."""

    def answer(code: int) -> np.ndarray | None:
        try:
            return np.asarray(function(state.group(code), *arguments))
        except DataError:
            return None

    found, codes = answers(state, shape, function, arguments) or _begun(state, shape, answer)

    def fill(code: int) -> list[tuple[int, np.ndarray | None]]:
        """Return the answer where there is none, or one of another dtype than the first."""
        part = answer(code)
        if part is None or part.dtype != found.dtype:
            return [(code, part)]
        found[code] = part
        return []

    def fill_all(codes: Iterable[int]) -> list[tuple[int, np.ndarray | None]]:
        return [each for code in codes for each in fill(code)]

    for code, part in list(chain.from_iterable(shared(fill_all, codes, found.size))):
        part = np.array(np.nan) if part is None else part
        found = found.astype(np.result_type(found, part), copy=False)
        found[code] = part
    return found


def _begun(
    state: Grouped, shape: tuple[int, ...], answer: Callable[[int], np.ndarray | None]
) -> tuple[np.ndarray, list[int]]:
    """Return an array that holds the first answer there is, and the codes of the groups that are to fill it."""
    answers = ((code, answer(code)) for code in range(shape[0]))
    start, first = next(((code, part) for code, part in answers if part is not None), (shape[0], None))
    if first is None:
        return np.full((shape[0], *_inner_shape(state, shape[1:])), np.nan), []
    # Filled as the answers come: a list of them would hold all twice.
    found = np.empty((shape[0], *first.shape), first.dtype)
    found[start] = first
    return found, [code for code in range(shape[0]) if code != start]


def _inner_shape(state: Grouped, one: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a group's answer: maybe of a strip, narrower than what is read of all columns."""
    return tuple(state.inner.columns.width for _ in one) if isinstance(state.inner, Variances) else one


def members(state: State | Grouped, size: int) -> list[State]:
    """Return the states of the groups in the order of their codes; of a state without groups, itself."""
    return [state.group(code) for code in range(size)] if isinstance(state, Grouped) else [state]


def _read(state: object, shape: tuple[int, ...], dtype: np.dtype, function: Function, *arguments: object) -> Array:
    if function is by_group and not isinstance(state, Delayed):
        with sharing(of_caller):
            return _answer(state, function, *arguments)
    if not isinstance(state, Delayed):
        return _answer(state, function, *arguments)
    asked = next((letters(each) for each in arguments if isinstance(each, str)), "")
    key = f"read{'-' * bool(asked)}{asked}-{tokenize(function, arguments, state.key)}"
    value = delayed(_array_of, pure=True, traverse=False)(state, function, *arguments, dask_key_name=key)
    return da.from_delayed(value, shape, dtype, name=f"array-{key}")


def _array_of(state: object, function: Function, *arguments: object) -> np.ndarray:
    with sharing(of_task):
        return _answer(state, function, *arguments)


def _answer(state: object, function: Function, *arguments: object) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is beyond float64's range is infinite
        return np.asarray(function(state, *arguments))


def _first(state: object, *_: object) -> object:
    return state

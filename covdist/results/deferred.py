"""``Deferred``: the state behind a ``Moments``, or the promise of one; of very many columns, in strips of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from covdist.errors import MergeError
from covdist.numerics.columns import concatenate
from covdist.state.base import merged
from covdist.state.grouped import Grouped
from covdist.state.variances import Variances


class Deferred(NamedTuple):
    """Parts side by side, each a state or a ``Delayed`` of one, with the columns of each."""

    parts: tuple[Any, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, state: Any, width: int) -> Deferred:
        return state if isinstance(state, cls) else cls((state,), (width,))

    @property
    def lazy(self) -> bool:
        return any(isinstance(part, Delayed) for part in self.parts)

    def map(self, function: Callable[[Any], Any]) -> Deferred:
        """Apply to each part."""
        return Deferred(tuple(apply(function, part) for part in self.parts), self.widths)

    def after(self, others: Sequence[Delayed]) -> Deferred:
        """Let the first part come after ``others`` are computed."""
        return Deferred((apply(_first, self.parts[0], *others), *self.parts[1:]), self.widths)

    def merge(self, other: Deferred) -> Deferred:
        if self.widths != other.widths:
            raise MergeError(
                f"cannot merge lazily {len(self.widths)} strips of columns with {len(other.widths)}: the arrays are "
                "chunked differently along their columns; compute() both first"
            )
        parts = [apply(merged, a, b) for a, b in zip(self.parts, other.parts, strict=True)]
        return Deferred(tuple(parts), self.widths)

    def array(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        shape: tuple[int, ...],
        dtype: Any,
        per_column: bool,
    ) -> Any:
        """Read an array off the parts: joined along its last axis, or what does not run along columns off the first."""
        if not per_column or len(self.parts) == 1:
            return _read(self.parts[0], function, arguments, shape, dtype)
        arrays = [
            _read(part, function, arguments, (*shape[:-1], width), dtype)
            for part, width in zip(self.parts, self.widths, strict=True)
        ]
        return da.concatenate(arrays, axis=-1)

    def graph(self) -> Any:
        return HighLevelGraph.merge(*(part.__dask_graph__() for part in self.parts)) if self.lazy else None

    def joined(self) -> Any:
        """Return computed parts as one state."""
        if len(self.parts) == 1:
            return self.parts[0]
        if isinstance(self.parts[0], Grouped):
            codes = sorted(set().union(*self.parts))
            groups: dict[int, Any] = {
                code: _beside([part.get(code, part.inner) for part in self.parts]) for code in codes
            }
            return Grouped(_beside([part.inner for part in self.parts]), groups)
        return _beside(list(self.parts))


def apply(function: Callable[..., Any], *states: Any) -> Any:
    """Call now, or later where a state is still to come."""
    if not any(isinstance(state, Delayed) for state in states):
        return function(*states)
    return delayed(function, pure=True, traverse=False)(*states)


def _read(
    state: Any, function: Callable[..., Any], arguments: tuple[Any, ...], shape: tuple[int, ...], dtype: Any
) -> Any:
    if not isinstance(state, Delayed):
        return _array_of(state, function, *arguments)
    key = f"read-{tokenize(function, arguments, state.key)}"
    value = delayed(_array_of, pure=True, traverse=False)(state, function, *arguments, dask_key_name=key)
    return da.from_delayed(value, shape, dtype, name=f"array-{key}")


def _array_of(state: Any, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
    return np.asarray(function(state, *arguments))


def _first(state: Any, *_: Any) -> Any:
    return state


def _beside(states: Sequence[Variances]) -> Variances:
    return Variances(concatenate([state.columns for state in states]))

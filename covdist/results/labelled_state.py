"""``LabelledState``: a state with names, as something that dask computes and that readings ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self, TypeVar

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from dask.base import compute, persist, tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from covdist.errors import DataError
from covdist.results.deferred import Deferred, Function, TiledMatrix
from covdist.results.labels import Attrs, Axis
from covdist.results.layout import Layout
from covdist.state.base import Field, State, ask, ask_rows, can_answer, field_value, get, of_columns
from covdist.state.cross import Cross, FittedCross
from covdist.state.named import answering, state_types
from covdist.state.scatter import Fitted, Scatter
from covdist.state.variances import Tiled

_ROWS = {"long_name": "rows folded", "units": "rows"}


class LabelledState:
    """A state or the promise of one, its layout, and beside it perhaps a matrix in tiles."""

    def __init__(self, state: object, layout: Layout, matrix: TiledMatrix | None = None):
        deferred = state if isinstance(state, Deferred) else Deferred((state,), layout.widths[:1])
        self._deferred = deferred if deferred.groups is layout.groups else deferred._replace(groups=layout.groups)
        self._layout, self._matrix = layout, matrix

    @property
    def layout(self) -> Layout:
        """Names, type of state and provenance; known without computing.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2)).layout.kind
        'full'
        """
        return self._layout

    @property
    def state(self) -> object:
        """The state: arrays without names, or a ``dask.delayed.Delayed`` of them.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(3)).state.columns.rows
        3
        """
        return self._deferred.parts[0] if len(self._deferred.parts) == 1 else self._deferred

    @property
    def deferred(self) -> Deferred:
        """The state with the names of its groups, or the promise of it.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(3)).deferred.lazy
        False
        """
        return self._deferred

    @property
    def matrix(self) -> TiledMatrix | None:
        """The tiles of a matrix too large for a state, where there are any.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(3)).matrix is None
        True
        """
        return self._matrix

    @property
    def count(self) -> xr.DataArray:
        """Rows folded, int64, per group where there are groups; under ``missing="pairwise"`` those of each pair.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> int(covdist.moments(np.eye(3)).count)
        3
        """
        field = self.layout.state.FIELDS[getattr(self.layout.state, "COUNT", "count")]
        axes = [self._layout.matrix_axes()[axis] for axis in field.axes]
        return self._deferred.read(get, axes, field.path, name="count", dtype=np.int64, attrs=_ROWS)

    @property
    def rows(self) -> xr.DataArray:
        """Rows folded, int64, whatever they hold; per group where there are groups.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> int(covdist.moments(np.array([[1.0, np.nan]]), missing="pairwise").rows)
        1
        """
        return self._deferred.read(get, (), "columns.rows", name="rows", dtype=np.int64, attrs=_ROWS)

    @property
    def dataset(self) -> xr.Dataset:
        """The state itself as labelled arrays: those that :meth:`Moments.save` writes, of groups of few rows too.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> list(covdist.moments(np.eye(2)).dataset)[:6]
        ['count', 'skipped', 'weight', 'weight2', 'mean', 'mean_low']
        """
        state, fields = self._deferred.once_folded(), self._layout.state.FIELDS
        arrays = {name: self._field(state, name, field) for name, field in fields.items() if self._told(state, field)}
        return xr.Dataset(arrays, attrs=self._layout.attributes())

    def _told(self, state: Deferred, field: Field) -> bool:
        """Return whether a field says more than its default."""
        if field.default is None or state.lazy:
            return field.default is None
        return bool((self._field(state, "", field) != field.default).any())

    def _field(self, state: Deferred, name: str, field: Field) -> xr.DataArray:
        (axes, groups), dtype = self._layout.stored(), field.dtype
        state = state._replace(groups=groups)
        if len(field.axes) == 2:
            first, second = (axes[axis] for axis in field.axes)
            return state.read_matrix(_rows_of, (first, second), field, name=name, dtype=dtype)
        leading = [] if field.leading is None else [Axis(*field.leading)]
        named = [*leading, *(axes[axis] for axis in field.axes)]
        return state.read(field_value, named, field, name=name, dtype=dtype)

    def read(
        self,
        answer: str,
        axes: Sequence[Axis],
        *arguments: object,
        name: str | None = None,
        dtype: npt.DTypeLike = np.float64,
        attrs: Attrs = None,
    ) -> xr.DataArray:
        """Ask the state, once a group, and label its answer.

        Parameters
        ----------
        answer : str
            A method of the state that returns an array whose shape is the sizes of ``axes``.
        axes : sequence of Axis
        *arguments
            Of the method.
        name, dtype, attrs
            Of the result.

        Raises
        ------
        DataError
            If states of this type cannot answer; the message says which can.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> m = covdist.moments(np.array([1.0, 2.0, 4.0]), state="higher")
        >>> m.read("skewness", m.layout.axes).round(3).item()
        0.382
        """
        return self.asking(answer).read(ask, axes, answer, *arguments, name=name, dtype=dtype, attrs=attrs)

    def read_matrix(self, answer: str, *arguments: object, name: str, attrs: Attrs) -> xr.DataArray:
        """Ask the state for a matrix by rows, ``answer(rows, *arguments)``, and label it; as :meth:`read`.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> m = covdist.moments(np.eye(2))
        >>> m.read_matrix("covariance", 0, name="cov", attrs={}).values
        array([[ 0.25, -0.25],
               [-0.25,  0.25]])
        """
        return self.read_rows(answer, self._layout.matrix_axes(), *arguments, name=name, attrs=attrs)

    def read_rows(
        self, answer: str, axes: tuple[Axis, Axis], *arguments: object, name: str, attrs: Attrs
    ) -> xr.DataArray:
        """As :meth:`read_matrix`, with axes other than those of the state.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> m = covdist.moments(np.eye(2))
        >>> m.read_rows("covariance", m.layout.matrix_axes(), 0, name="c", attrs={}).dims
        ('unit', 'unit_2')
        """
        return self.asking(answer).read_matrix(ask_rows, axes, answer, *arguments, name=name, attrs=attrs)

    def read_columns(
        self,
        function: Function,
        *arguments: object,
        name: str | None = None,
        dtype: npt.DTypeLike = np.float64,
        attrs: Attrs = None,
    ) -> xr.DataArray:
        """Label ``function(columns, *arguments)`` of the state of single columns of x, an array (columns,).

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2)).read_columns(lambda columns: columns.zeros()).values
        array([1, 1])
        """
        axes = self._layout.axes[:1]
        return self._deferred.read(of_columns, axes, function, *arguments, name=name, dtype=dtype, attrs=attrs)

    def can_answer(self, answer: str) -> bool:
        """Return whether states of this type have an answer.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2)).can_answer("kurtosis")
        False
        """
        return can_answer(self._layout.state, answer)

    def asking(self, answer: str) -> Deferred:
        """Return the state, or the promise of it, that has an answer; DataError where it has not.

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.eye(2)).asking("covariance").widths
        (2,)
        """
        if not self.can_answer(answer):
            raise DataError(
                f"this needs a state of kind {' or '.join(answering(answer))}, found a {self._layout.describe()}: "
                f"fold the data with {ways_to_fold(answer, self._layout)}"
            )
        return self._deferred

    def with_tiles_in(self, group: zarr.Group) -> Self:
        """Return moments that, when computed, write the tiles beside them, if there are any, to a Zarr group.

        Examples
        --------
        >>> import numpy as np, zarr, covdist
        >>> m = covdist.moments(np.eye(2))
        >>> m.with_tiles_in(zarr.group()) is m
        True
        """
        if self._matrix is None:
            return self
        first, second, *_ = self._layout.stored()[0]
        return type(self)(self._matrix.written(self._deferred, (first, second), group), self._layout)

    # ---- a dask collection

    def compute(self, **options: object) -> Self:
        """Return the same with the state computed; options as for ``dask.compute``.

        Examples
        --------
        >>> import dask.array as da, covdist
        >>> covdist.moments(da.ones((10, 2), chunks=(5, 2))).compute()
        <covdist.Moments of 10 rows: full state of unit (2)>
        """
        return compute(self, **options)[0]

    def persist(self, **options: object) -> Self:
        """Return the same with the state kept on the cluster; options as for ``dask.persist``.

        Examples
        --------
        >>> import dask.array as da, covdist
        >>> covdist.moments(da.ones((10, 2), chunks=(5, 2))).persist(scheduler="threads")
        <covdist.Moments, lazy: full state of unit (2)>
        """
        return persist(self, **options)[0]

    def __dask_graph__(self) -> HighLevelGraph | None:
        parts = self._deferred.parts
        return HighLevelGraph.merge(*(part.__dask_graph__() for part in parts)) if self._deferred.lazy else None

    def __dask_keys__(self) -> list[Key]:
        return [part.key for part in self._deferred.parts]

    def __dask_layers__(self) -> Sequence[str]:
        return [layer for part in self._deferred.parts for layer in part.__dask_layers__()]

    # dask merges the graphs of collections that share this function: so a pass is shared with lazy arrays too.
    __dask_optimize__ = staticmethod(da.Array.__dask_optimize__)
    __dask_scheduler__ = staticmethod(Delayed.__dask_scheduler__)

    def __dask_postcompute__(self) -> tuple[Function, tuple[object, ...]]:
        return computed, (type(self), self._deferred.widths, self._layout, self._matrix)

    def __dask_postpersist__(self) -> tuple[Function, tuple[object, ...]]:
        return self._persisted, ()

    def _persisted(self, graph: Mapping[Key, object], *, rename: Mapping[Key, Key] | None = None) -> Self:
        parts = tuple(Delayed(rename.get(key, key) if rename else key, graph) for key in self.__dask_keys__())
        return type(self)(self._deferred._replace(parts=parts, plans=()), self._layout, self._matrix)

    def __dask_tokenize__(self) -> object:
        return tokenize(self._deferred.parts, self._layout.kind)


def ways_to_fold(answer: str, found: Layout) -> str:
    """Return the calls that make states with an answer, for messages about one that lacks it."""
    return " or ".join(_call(kind, found) for kind in answering(answer))


def _call(kind: str, found: Layout) -> str:
    named = "" if kind in (Scatter.name, Cross.name) else f", state={kind!r}"
    in_one_piece = ", matrix='memory'" if found.state is Tiled and kind == Scatter.name else ""
    return f"covdist.moments({'x, y' if state_types()[kind].sides == 2 else 'x'}, dim=...{named}{in_one_piece})"


S = TypeVar("S", bound=LabelledState)


def computed(
    states: Sequence[object], cls: type[S], widths: tuple[int, ...], layout: Layout, matrix: TiledMatrix | None = None
) -> S:
    """Return the moments of neighbouring columns' states; those of an estimated state say how it was estimated."""
    state = Deferred(tuple(states), widths).joined()
    if isinstance(state, Fitted | FittedCross):
        layout = replace(layout, provenance={**layout.provenance, **state.record})
    return cls(state, layout, matrix)


def _rows_of(state: State, rows: slice, field: Field) -> np.ndarray:
    return field_value(state, field, rows)

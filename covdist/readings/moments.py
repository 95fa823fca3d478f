"""``moments``: one pass over the rows of an array, or of two, to a state with names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.shard import Shard, fold
from covdist.engine.streams import SharedStream, Stream, stream
from covdist.engine.tree import root_key, tree
from covdist.errors import DataError
from covdist.readings.inputs import (
    aligned,
    grouping,
    matching,
    one_of,
    side_names,
    weight_vectors,
    y_dim,
)
from covdist.readings.labels import label
from covdist.readings.result import STATES, Layout, Moments, variances_of
from covdist.state.accumulator import Options
from covdist.state.grouped import Grouped
from covdist.state.missing import POLICIES
from covdist.state.variances import CONTAINED_COLUMNS

PRECISIONS = ("high", "fast")


def moments(
    x: Any,
    y: Any = None,
    *,
    dim: Any = None,
    by: Any = None,
    weights: Any = None,
    missing: str = "raise",
    precision: str = "high",
) -> Moments:
    """Count, mean and scatter of x's columns in one pass, or of x's columns with y's: the state behind every result.

    Parameters
    ----------
    x, y : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several. With ``y`` only the
        block x × y is built, never the matrix of both together.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    by : str or array_like, optional
        Name of a coordinate along the sample dim, or one value per sample: a state for each distinct value.
    weights : array_like or mapping, optional
        One value per sample. Integers say how often a row counts (frequency), floats how far it is trusted
        (reliability); the two have different ddof rules. ``{"frequency": f, "reliability": a}`` gives both.
    missing : str
        Rows with NaN or infinity: "raise", "propagate" into their columns, or "drop".
    precision : str
        "high": float64 products. "fast": float32 products summed in float64, about twice as fast; covariances are
        off by some 1e-7 of σ_i σ_j, 1.3e-4 at the worst; means and variances are not.

    Returns
    -------
    Moments
        Lazy where ``x`` is a dask array.

    Raises
    ------
    DataError
        If dims, rows, dtypes or options do not fit together.

    Notes
    -----
    Deviations from a pilot are summed and merged by the update of Chan, Golub and LeVeque (1983). The covariance
    read with the default ``ddof=0`` divides by N.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> int(m.count), m.mean().values
    (2, array([2., 4.]))
    >>> m.cov().values
    array([[1., 2.],
           [2., 4.]])
    """
    return fold_rows(x, y, dim=dim, by=by, weights=weights, missing=missing, precision=precision)


def fold_rows(
    x: Any,
    y: Any = None,
    *,
    dim: Any,
    by: Any,
    weights: Any,
    missing: str,
    precision: str = "high",
    kind: str | None = None,
    ddof: float = 0,
) -> Moments:
    """Do what ``moments`` says, for the kind of state a reading needs; ``ddof`` is only checked."""
    return Folding(x, y, dim=dim, by=by, weights=weights, missing=missing, precision=precision, kind=kind).moments(ddof)


class Folding:
    """The pieces of one call: names, streams and plan; no row is read while it is made."""

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        dim: Any = None,
        by: Any = None,
        weights: Any = None,
        missing: str = "raise",
        precision: str = "high",
        kind: str | None = None,
    ):
        one_of("missing", missing, tuple(POLICIES))
        one_of("precision", precision, PRECISIONS)
        self._options = Options(missing, precision)
        self._sides = [label(x, dim, fallback="x")]
        if y is not None:
            self._sides.append(matching(self._sides[0], label(y, y_dim(x, y, dim), fallback="y")))
        self._kind = kind or ("full" if y is None else "cross")
        self._groups, codes = grouping(by, self._sides[0])
        self._vectors = weight_vectors(weights, self._sides[0])
        if codes is not None:
            self._vectors["by"] = codes
        self.rows = int(np.prod(self._sides[0].sample_shape))
        self._weighted = weights is not None

    @property
    def _ndim(self) -> int:
        return len(self._sides[0].sample_dims)

    def _streams(self) -> tuple[list[Stream], dict[str, Stream]]:
        first = self._sides[0]
        blocks = [stream(side.data, self._ndim) for side in self._sides]
        vectors = {name: stream(aligned(values, first), self._ndim) for name, values in self._vectors.items()}
        return blocks, vectors

    def plan(self, streams: list[Stream] | None = None) -> Plan:
        """Say what folding will read, compute and hold."""
        blocks = self._streams()[0] if streams is None else streams
        return make_plan(self._work(blocks, self._kind), self._work(blocks, "full") if self._contained else None)

    @property
    def _contained(self) -> bool:
        """Whether a full state of the same rows would hold this result, bit for bit because it is cut alike."""
        return self._kind == "variances" and self._sides[0].axis.size <= CONTAINED_COLUMNS

    def _work(self, blocks: list[Stream], kind: str) -> Work:
        widths = [side.axis.size for side in self._sides]
        itemsizes = [side.data.dtype.itemsize for side in self._sides]
        groups = 1 if self._groups is None else len(self._groups.values)
        return Work(
            rows=self.rows,
            pieces=len(blocks[0].bounds) - 1,
            columns=" × ".join(f"{width:,}" for width in widths),
            row_bytes=sum(w * size for w, size in zip(widths, itemsizes, strict=True)),
            piece_bytes=sum(block.piece_bytes for block in blocks),
            row_flops=_row_flops(kind, widths),
            state_bytes=groups * _state_bytes(kind, widths),
            block_bytes=2 * 8 * max(256 * sum(widths), 1 << 18),
            shared=any(isinstance(block, SharedStream) for block in blocks),
        )

    def moments(self, ddof: float = 0) -> Moments:
        """Return the moments: lazy for dask arrays, computed on this machine's threads for numpy arrays."""
        if not self._weighted and self._groups is None and ddof >= self.rows:
            raise DataError(
                f"ddof={ddof} leaves nothing to divide by with {self.rows} rows: use a smaller ddof or more rows"
            )
        blocks, vectors = self._streams()
        plan = self.plan(blocks)
        names = dict(zip(side_names(self._sides), blocks, strict=True))
        collections = [s.collection for s in (*blocks, *vectors.values()) if isinstance(s, SharedStream)]
        state = tree(
            fold,
            _merge,
            [self._item(names, vectors, *cut) for cut in plan.cuts(blocks[0].bounds)],
            name=self._key(blocks, vectors, self._kind),
            fan_in=plan.fan_in,
            dependencies=collections,
            contained=(variances_of, root_key(self._key(blocks, vectors, "full"), plan.shards, plan.fan_in))
            if self._contained
            else None,
        )
        result = Moments(state, self._layout())
        if any(isinstance(side.data, da.Array) for side in self._sides):
            return result
        return result.compute(scheduler="threads")

    def _item(
        self, blocks: Mapping[str, Stream], vectors: Mapping[str, Stream], start: int, stop: int
    ) -> tuple[Any, ...]:
        shard = Shard(
            self._accumulator(),
            start,
            {name: s.part(start, stop) for name, s in blocks.items()},
            {name: s.part(start, stop) for name, s in vectors.items()},
        )
        streams = {**blocks, **vectors}
        # Pairs, not a mapping: dask looks for keys in lists alone.
        given = [(name, s.keys(start, stop)) for name, s in streams.items() if isinstance(s, SharedStream)]
        return shard, given

    def _accumulator(self) -> Any:
        widths = [side.axis.size for side in self._sides]
        inner = partial(STATES[self._kind].accumulator, *widths, options=self._options)
        return inner if self._groups is None else partial(Grouped.accumulator, inner)

    def _key(self, blocks: list[Stream], vectors: Mapping[str, Stream], kind: str) -> str:
        tokens = [b.token for b in blocks], {n: v.token for n, v in vectors.items()}
        return f"moments-{tokenize(tokens, kind, self._options.missing, self._options.precision, self._ndim)}"

    def _layout(self) -> Layout:
        provenance = {
            "rows": self.rows,
            "source": " with ".join(side.name for side in self._sides),
            "dims": ", ".join(self._sides[0].sample_dims),
            "dtype": ", ".join(str(side.data.dtype) for side in self._sides),
            "missing": self._options.missing,
            "precision": self._options.precision,
        }
        return Layout(self._kind, tuple(side.axis for side in self._sides), self._groups, provenance)


def _row_flops(kind: str, widths: list[int]) -> float:
    products = {"full": widths[0] ** 2, "cross": 2 * widths[0] * widths[-1], "variances": 0}[kind]
    return products + 8.0 * sum(widths)


def _state_bytes(kind: str, widths: list[int]) -> int:
    numbers = {"full": widths[0] * (widths[0] + 1) // 2, "cross": widths[0] * widths[-1], "variances": 0}[kind]
    return 8 * (numbers + 8 * sum(widths))


def _merge(a: Any, b: Any) -> Any:
    return a.merge(b)

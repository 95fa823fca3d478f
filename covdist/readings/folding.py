"""``Folding``: everything one call says about its arrays, brought together before a row is read."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import dask.array as da
from dask.base import tokenize

from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.shard import Shard, fold
from covdist.engine.streams import SharedStream, Stream, stream
from covdist.engine.tree import root_key, tree
from covdist.errors import DataError
from covdist.readings.held import Held
from covdist.readings.inputs import aligned, grouping, matching, one_of, side_names, weight_vectors, y_dim
from covdist.readings.labels import label
from covdist.readings.result import STATES, Layout, Moments, variances_of
from covdist.state.accumulator import Options
from covdist.state.grouped import Grouped
from covdist.state.missing import POLICIES
from covdist.state.variances import CONTAINED_COLUMNS

PRECISIONS = ("high", "fast")
_STRIP = 1 << 20  # columns whose variances are one state: 64 MiB


class _Streams(NamedTuple):
    """The arrays of one strip of columns, by the names that messages and accumulators know."""

    blocks: dict[str, Stream]
    vectors: dict[str, Stream]

    @property
    def all(self) -> dict[str, Stream]:
        return {**self.blocks, **self.vectors}

    @property
    def first(self) -> Stream:
        return next(iter(self.blocks.values()))

    def shared(self) -> dict[str, SharedStream]:
        return {name: s for name, s in self.all.items() if isinstance(s, SharedStream)}


class Folding:
    """The pieces of one call: names, strips of columns, streams and plan."""

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
        self._groups, codes = grouping(by, *self._sides)
        vectors = weight_vectors(weights, self._sides[0])
        self._weighted = bool(vectors)
        if codes is not None:
            vectors["by"] = codes
        self._ndim = len(self._sides[0].sample_dims)
        self.rows = math.prod(self._sides[0].sample_shape)
        data = aligned([side.data for side in self._sides] + list(vectors.values()), self._ndim)
        self._blocks = dict(zip(side_names(self._sides), data, strict=False))
        self._vectors = dict(zip(vectors, data[len(self._sides) :], strict=True))
        self._lazy = any(isinstance(array, da.Array) for array in data)

    # ---- strips of columns

    def _strips(self) -> list[slice]:
        """Ranges of the first column axis, one for each state; only variances can be had strip by strip."""
        array = next(iter(self._blocks.values()))
        if self._kind != "variances" or self._sides[0].axis.size <= _STRIP:
            return [slice(0, array.shape[self._ndim] if array.ndim > self._ndim else 1)]
        length, inner = array.shape[self._ndim], math.prod(array.shape[self._ndim + 1 :])
        step = max(1, _STRIP // inner)
        chunk = array.chunks[self._ndim][0] if isinstance(array, da.Array) else 1
        if chunk <= 4 * step:  # else every strip must read more than it needs
            step = max(1, round(step / chunk)) * chunk
        return [slice(start, min(start + step, length)) for start in range(0, length, step)]

    def _widths(self, strip: slice) -> list[int]:
        """Columns of each side."""
        sizes = [side.axis.size for side in self._sides]
        array = next(iter(self._blocks.values()))
        length = array.shape[self._ndim] if array.ndim > self._ndim else 1
        return [sizes[0] // length * (strip.stop - strip.start), *sizes[1:]]

    def _streams(self, strip: slice) -> _Streams:
        blocks = {
            name: stream(array, self._ndim, strip if i == 0 else None)
            for i, (name, array) in enumerate(self._blocks.items())
        }
        return _Streams(blocks, {name: stream(array, self._ndim) for name, array in self._vectors.items()})

    # ---- plan

    def plan(self) -> Plan:
        """Say what folding will read, compute and hold."""
        strips = self._strips()
        return self._plan(self._streams(strips[0]), self._widths(strips[0]), len(strips))

    def _plan(self, streams: _Streams, widths: list[int], strips: int) -> Plan:
        work = partial(self._work, streams, widths)
        return make_plan(work(self._kind), work("full") if self._contained else None, strips)

    @property
    def _contained(self) -> bool:
        """Whether a full state of the same rows would hold this result, bit for bit because it is cut alike."""
        return self._kind == "variances" and self._sides[0].axis.size <= CONTAINED_COLUMNS

    def _work(self, streams: _Streams, widths: list[int], kind: str) -> Work:
        itemsizes = [side.data.dtype.itemsize for side in self._sides]
        row_bytes = sum(width * size for width, size in zip(widths, itemsizes, strict=True))
        cost = STATES[kind].cost(*widths)
        groups = 1 if self._groups is None else len(self._groups.values)
        return Work(
            rows=self.rows,
            pieces=len(streams.first.bounds) - 1,
            columns=" × ".join(f"{side.axis.size:,}" for side in self._sides),
            row_bytes=row_bytes,
            piece_bytes=sum(block.piece_bytes for block in streams.blocks.values()),
            row_flops=cost.row_flops,
            state_bytes=groups * cost.state_bytes,
            block_bytes=cost.block_bytes + 2 * cost.least_rows * row_bytes,
            shared=bool(streams.shared()),
        )

    # ---- moments

    def moments(self, ddof: float = 0) -> Moments:
        """Return the moments: lazy where an array is, else computed on this machine's threads."""
        if not self._weighted and self._groups is None and ddof >= self.rows:
            raise DataError(
                f"ddof={ddof} leaves nothing to divide by with {self.rows} rows: use a smaller ddof or more rows"
            )
        strips = self._strips()
        parts = tuple(self._tree(self._streams(strip), self._widths(strip), len(strips)) for strip in strips)
        held = Held(parts, tuple(self._widths(strip)[0] for strip in strips))
        result = Moments(held, self._layout())
        return result if self._lazy else result.compute(scheduler="threads")

    def _tree(self, streams: _Streams, widths: list[int], strips: int) -> Any:
        plan = self._plan(streams, widths, strips)
        # The token of numpy arrays is a pass over them, which a result computed at once has no use for.
        name = self._key(streams, self._kind) if self._lazy else f"moments-{uuid4().hex}"
        contained = None
        if self._lazy and self._contained:
            contained = (variances_of, root_key(self._key(streams, "full"), plan.shards, plan.fan_in))
        return tree(
            fold,
            _merge,
            [self._item(streams, widths, *cut) for cut in plan.cuts(streams.first.bounds)],
            name=name,
            fan_in=plan.fan_in,
            dependencies=[s.collection for s in streams.shared().values()],
            contained=contained,
        )

    def _item(self, streams: _Streams, widths: list[int], start: int, stop: int) -> tuple[Any, ...]:
        shard = Shard(
            self._accumulator(widths),
            start,
            {name: s.part(start, stop) for name, s in streams.blocks.items()},
            {name: s.part(start, stop) for name, s in streams.vectors.items()},
        )
        # Pairs, not a mapping: dask looks for keys in lists alone.
        return shard, [(name, s.keys(start, stop)) for name, s in streams.shared().items()]

    def _accumulator(self, widths: list[int]) -> Any:
        inner = partial(STATES[self._kind].accumulator, *widths, options=self._options)
        return inner if self._groups is None else partial(Grouped.accumulator, inner)

    def _key(self, streams: _Streams, kind: str) -> str:
        tokens = [s.token for s in streams.blocks.values()], {n: s.token for n, s in streams.vectors.items()}
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


def _merge(a: Any, b: Any) -> Any:
    return a.merge(b)

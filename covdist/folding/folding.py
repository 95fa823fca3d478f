"""``Folding``: everything one call says about its arrays, brought together before a row is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import astuple, replace
from functools import cached_property, partial
from typing import Any, NamedTuple
from uuid import uuid4

import dask.array as da
from dask.base import tokenize
from dask.delayed import Delayed
from dask.utils import parse_bytes

from covdist.engine.plan import Plan, Work, make_plan
from covdist.engine.tree import root_key, tree
from covdist.errors import DataError
from covdist.folding.fitted import check, fitted_moments, pattern_plan, patterns_of
from covdist.folding.inputs import aligned, grouping, matching, one_of, side_names, weight_vectors, y_dim
from covdist.folding.interpolated import filled_stream
from covdist.folding.strategy import MATRICES, choose, result_bytes, way
from covdist.folding.tiled import Tiles
from covdist.numerics.accumulator import Options
from covdist.numerics.divisors import PAIRWISE
from covdist.numerics.em import Fit
from covdist.numerics.nonfinite import INFINITIES, POLICIES
from covdist.results.counts import variances_of
from covdist.results.deferred import Deferred
from covdist.results.labels import label
from covdist.results.moments import STATES, Layout, Moments
from covdist.rows.filled import FilledStream
from covdist.rows.fold import Shard, fold
from covdist.rows.stream import Stream, stream
from covdist.state.base import merged
from covdist.state.grouped import Grouped
from covdist.state.variances import CONTAINED_COLUMNS

PRECISIONS = ("high", "fast")
_STRIP = 1 << 20  # columns whose variances are one state: 64 MiB


class Streams(NamedTuple):
    """The arrays of one strip, or of two, of columns, by the names that messages and accumulators know."""

    blocks: dict[str, Stream]
    vectors: dict[str, Stream]

    @property
    def all(self) -> dict[str, Stream]:
        return {**self.blocks, **self.vectors}

    @property
    def first(self) -> Stream:
        return next(iter(self.blocks.values()))

    @property
    def shared(self) -> bool:
        return any(each.shared for each in self.all.values())

    @property
    def collections(self) -> list[Any]:
        """What makes those keys."""
        return [each for stream in self.all.values() for each in stream.collections]

    def keys(self, start: int, stop: int) -> list[list[Any]]:
        """Return the keys of what dask makes for a shard, stream by stream."""
        return [each.keys(start, stop) for each in self.all.values()]

    def made(self) -> list[list[Any]]:
        """Return what dask would make for any shard, where pieces share no work."""
        return [each.made() if isinstance(each, FilledStream) else [] for each in self.all.values()]


class Strip(NamedTuple):
    """Columns that one tree of folds and merges is about."""

    plan: Plan
    width: int
    items: list[tuple[Any, ...]]  # arguments of ``fold``, for each shard


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
        inf: str = "raise",
        precision: str = "high",
        kind: str | None = None,
        matrix: str = "auto",
        memory: int | str | None = None,
    ):
        one_of("matrix", matrix, MATRICES)
        one_of("missing", missing, tuple(POLICIES))
        one_of("inf", inf, INFINITIES)
        one_of("precision", precision, PRECISIONS)
        self.options, self.fit = Options(missing, precision, inf), Fit()
        self.matrix, self.memory = matrix, None if memory is None else parse_bytes(memory)
        self.sides = [label(x, dim, fallback="x")]
        if y is not None:
            self.sides.append(matching(self.sides[0], label(y, y_dim(x, y, dim), fallback="y")))
        self.kind = kind or ("full" if y is None else "cross")
        if missing == "pairwise":
            self.kind = PAIRWISE[self.kind]
        self.groups, codes = grouping(by, *self.sides)
        vectors = weight_vectors(weights, self.sides[0])
        self._weighted = bool(vectors)
        if codes is not None:
            vectors["by"] = codes
        self.sample_ndim = len(self.sides[0].sample_dims)
        self.rows = math.prod(self.sides[0].sample_shape)
        if missing == "maxent":
            check(self)
        data = aligned([side.data for side in self.sides] + list(vectors.values()), self.sample_ndim)
        self.blocks = dict(zip(side_names(self.sides), data, strict=False))
        self.vectors = dict(zip(vectors, data[len(self.sides) :], strict=True))
        self._made: dict[Any, Stream] = {}
        self.lazy = any(isinstance(array, da.Array) for array in data)

    # ---- strips of columns

    def _strips(self) -> list[slice]:
        """Ranges of the first column axis, one for each state; only variances can be had strip by strip."""
        array = next(iter(self.blocks.values()))
        if self.kind != "variances" or self.sides[0].axis.size <= _STRIP:
            return [slice(0, array.shape[self.sample_ndim] if array.ndim > self.sample_ndim else 1)]
        length, inner = array.shape[self.sample_ndim], math.prod(array.shape[self.sample_ndim + 1 :])
        step = max(1, _STRIP // inner)
        chunk = array.chunks[self.sample_ndim][0] if isinstance(array, da.Array) else 1
        if chunk <= 4 * step:  # else every strip must read more than it needs
            step = max(1, round(step / chunk)) * chunk
        return [slice(start, min(start + step, length)) for start in range(0, length, step)]

    def _widths(self, strip: slice) -> list[int]:
        """Columns of each side."""
        sizes = [side.axis.size for side in self.sides]
        array = next(iter(self.blocks.values()))
        length = array.shape[self.sample_ndim] if array.ndim > self.sample_ndim else 1
        return [sizes[0] // length * (strip.stop - strip.start), *sizes[1:]]

    @property
    def widths(self) -> list[int]:
        """Columns of each side."""
        return [side.axis.size for side in self.sides]

    def streams(self, *strips: slice) -> Streams:
        """Return the arrays' streams; of x a strip of its first column axis, or several."""
        x, *others = self.blocks.items()
        blocks = {x[0] + " " * i: self._block(0, x[1], strip) for i, strip in enumerate(strips)}
        blocks |= {name: self._block(1, array) for name, array in others}
        return Streams(blocks, {name: self._stream(array) for name, array in self.vectors.items()})

    def all_streams(self) -> Streams:
        """Return the arrays' streams, whole."""
        return self.streams(self._strips()[0])

    def _block(self, side: int, array: Any, strip: slice | None = None) -> Stream:
        if self.options.missing != "interpolate":
            return self._stream(array, strip)
        return self._once((side, strip), filled_stream, self.sides[side], self.options.inf, self.lazy, strip, side)

    def _stream(self, array: Any, strip: slice | None = None) -> Stream:
        return self._once((id(array), strip), stream, array, self.sample_ndim, strip)

    def _once(self, key: Any, make: Callable[..., Stream], *arguments: Any) -> Stream:
        key = str(key)  # slices have no hash
        if key not in self._made:  # looking through a graph takes a while
            self._made[key] = make(*arguments)
        return self._made[key]

    # ---- plan

    def plan(self) -> Plan:
        """Say what folding will read, compute and hold, and what other ways would."""
        return choose(self, self.in_memory())

    @cached_property
    def tiles(self) -> Tiles:
        return Tiles(self)

    def in_memory(self) -> Plan:
        """Plan one state of everything."""
        strips = self._strips()
        return self._plan(self.streams(strips[0]), self._widths(strips[0]), len(strips))

    def _plan(self, streams: Streams, widths: list[int], strips: int) -> Plan:
        work = partial(self._work, streams, widths)
        if self.options.missing == "maxent":
            return pattern_plan(work("full"), sum(widths))
        return make_plan(work(self.kind), work("full") if self._contained else None, strips)

    @property
    def _contained(self) -> bool:
        """Whether a full state of the same rows would hold this result, bit for bit because it is cut alike."""
        return self.kind == "variances" and self.sides[0].axis.size <= CONTAINED_COLUMNS

    def _work(self, streams: Streams, widths: list[int], kind: str) -> Work:
        itemsizes = [side.data.dtype.itemsize for side in self.sides]
        row_bytes = sum(width * size for width, size in zip(widths, itemsizes, strict=True))
        cost = STATES[kind].cost(*([sum(widths)] if kind == "full" else widths))
        groups = 1 if self.groups is None else len(self.groups.values)
        return Work(
            rows=self.rows,
            pieces=len(streams.first.bounds) - 1,
            columns=" × ".join(f"{side.axis.size:,}" for side in self.sides),
            row_bytes=row_bytes,
            piece_bytes=sum(block.piece_bytes for block in streams.blocks.values()),
            row_flops=cost.row_flops,
            state_bytes=groups * cost.state_bytes,
            block_bytes=cost.block_bytes + 2 * cost.least_rows * row_bytes,
            shared=streams.shared,
            result_bytes=groups * result_bytes(kind, [side.axis.size for side in self.sides]),
        )

    # ---- moments

    def moments(self, ddof: float = 0) -> Moments:
        """Return the moments: lazy where an array is, else computed on this machine's threads."""
        if not self._weighted and self.groups is None and ddof >= self.rows:
            raise DataError(
                f"ddof={ddof} leaves nothing to divide by with {self.rows} rows: use a smaller ddof or more rows"
            )
        if self.memory is not None:
            self.plan()  # refuses what does not fit
        if way(self)[0] == "tiles":
            return self._tiled()
        if self.options.missing == "maxent":
            return fitted_moments(self, self.layout(), self.fit)
        strips = self._strips()
        parts = tuple(self._tree(self.streams(strip), self._widths(strip), len(strips)) for strip in strips)
        held = Deferred(parts, tuple(self._widths(strip)[0] for strip in strips))
        result = Moments(held, self.layout())
        return result if self.lazy else result.compute(scheduler="threads")

    def _tiled(self) -> Moments:
        """Return the columns' moments, and beside them the matrix; tiles are made when they are read."""
        columns = copy(self)
        columns.kind, columns.matrix, columns.memory = "variances", "auto", None
        found = columns.moments()
        return Moments(found.state, replace(found.layout, kind="tiles"), self.tiles)

    @property
    def shared(self) -> bool:
        """Whether chunks are made by dask tasks of their own."""
        return self.all_streams().shared

    def strips(self) -> list[Strip]:
        """Return what ``moments`` folds in its first pass, for those who run it as something else than a graph."""
        strips = self._strips()
        return [self._strip(self.streams(strip), self._widths(strip), len(strips)) for strip in strips]

    def _strip(self, streams: Streams, widths: list[int], strips: int) -> Strip:
        plan, made = self._plan(streams, widths, strips), streams.made()
        items = self.items(streams, self.accumulator(widths), plan)
        return Strip(plan, widths[0], [(shard, made) for shard, _ in items])

    def _tree(self, streams: Streams, widths: list[int], strips: int) -> Any:
        plan = self._plan(streams, widths, strips)
        contained = None
        if self.lazy and self._contained:
            contained = (variances_of, root_key(self.key(streams, "full")))
        return self.tree(streams, self.accumulator(widths), plan, self.kind, contained=contained)

    def tree(
        self,
        streams: Streams,
        accumulator: Callable[[], Any],
        plan: Plan,
        kind: str,
        *,
        function: Callable[..., Any] = fold,
        contained: Any = None,
    ) -> Delayed:
        """Return the state that ``accumulator`` makes of all rows, or of one shard what ``function`` makes of it.

        ``kind`` is all that keys know of these two.
        """
        return tree(
            function,
            merged,
            self.items(streams, accumulator, plan),
            name=self.key(streams, kind),
            fan_in=plan.fan_in,
            dependencies=streams.collections,
            derived_from=contained,
        )

    def items(self, streams: Streams, accumulator: Any, plan: Plan) -> list[tuple[Any, ...]]:
        """Return the arguments of ``fold`` for each shard."""
        cuts = plan.cuts(streams.first.bounds)
        return [(self._shard(streams, accumulator, *cut), streams.keys(*cut)) for cut in cuts]

    def _shard(self, streams: Streams, accumulator: Any, start: int, stop: int) -> Shard:
        return Shard(
            accumulator,
            start,
            {name: s.part(start, stop) for name, s in streams.blocks.items()},
            {name: s.part(start, stop) for name, s in streams.vectors.items()},
        )

    def accumulator(self, widths: list[int]) -> Any:
        """Return what makes the accumulator of a shard in the first pass."""
        make: Any = patterns_of if self.options.missing == "maxent" else STATES[self.kind].accumulator
        inner = partial(make, *widths, options=self.options)
        return inner if self.groups is None else partial(Grouped.accumulator, inner)

    def key(self, streams: Streams, kind: str) -> str:
        """Return what names a tree: the same for the same rows and options."""
        if not self.lazy:  # the token of numpy arrays is a pass over them, which nobody has a use for
            return f"moments-{uuid4().hex}"
        tokens = [s.token for s in streams.blocks.values()], {n: s.token for n, s in streams.vectors.items()}
        return f"moments-{tokenize(tokens, kind, astuple(self.options), self.sample_ndim)}"

    @property
    def source(self) -> str:
        """What the arrays are called."""
        return " with ".join(side.name for side in self.sides)

    def layout(self) -> Layout:
        provenance = {
            "rows": self.rows,
            "source": self.source,
            "dims": ", ".join(self.sides[0].sample_dims),
            "dtype": ", ".join(str(side.data.dtype) for side in self.sides),
            "missing": self.options.missing,
            "inf": self.options.inf,
            "precision": self.options.precision,
        }
        return Layout(self.kind, tuple(side.axis for side in self.sides), self.groups, provenance)

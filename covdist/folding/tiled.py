"""The covariance of more columns than one state can hold: bands of the matrix, each folded by tasks of its own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import cached_property, partial
from itertools import accumulate
from typing import cast

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize
from dask.delayed import Delayed

from covdist.engine.bands import Band, band_bytes, band_plan, cut_bands, tile_side
from covdist.engine.plan import Plan, Work
from covdist.errors import NonFiniteError
from covdist.folding.passes import Pass
from covdist.folding.request import Request
from covdist.folding.streams import Streams, column_axis, streams_of
from covdist.numerics.accumulator import Options
from covdist.results import tile_store
from covdist.results.deferred import Deferred, apply
from covdist.results.labels import Axis
from covdist.rows.fold import Shard, fold
from covdist.state.cross import Cross

Reads = tuple[tuple[int, int], ...]  # one or two ranges of the first column axis


class Tiles:
    """The matrix of one array's columns, computed tile by tile when it is read or written."""

    def __init__(self, request: Request):
        self._request = request
        (self._columns,) = request.widths
        self._length = column_axis(request)
        self._inner = self._columns // self._length
        self._side = tile_side(self._columns)
        self._bands = cut_bands(self._columns, self._side, band_bytes(self._columns))
        if request.room is not None:
            memory, threads = request.room
            plan = self._plan()
            held = 2 * plan.at_once(threads) + 1  # states
            room = (memory - plan.peak(threads)) // held + plan.state_bytes
            if room < plan.state_bytes:
                self._bands = cut_bands(self._columns, self._side, max(room, 0))

    @cached_property
    def plan(self) -> Plan:
        return self._plan()

    def _plan(self) -> Plan:
        read_by_each = [self._reads(band) for band in self._bands]
        streams = {reads: self._streams(reads) for reads in set(read_by_each)}
        row_bytes = [self._row_bytes(reads) for reads in read_by_each]
        costs = [Cross.cost(band.height, band.width) for band in self._bands]
        read = sum(row_bytes)
        count, state_bytes = len(self._bands), max(cost.state_bytes for cost in costs)
        tile_bytes = 8 * self._side**2
        work = Work(
            rows=self._request.rows,
            pieces=max(len(each.first.bounds) - 1 for each in streams.values()),
            columns=f"{self._columns:,}",
            row_bytes=-(-(read + self._row_bytes(((0, self._length),))) // count),  # a pass for the means is one more
            piece_bytes=max(sum(block.piece_bytes for block in each.blocks.values()) for each in streams.values()),
            row_flops=sum(cost.row_flops for cost in costs) / count,
            state_bytes=state_bytes,
            # Beside a band there may be another that is still to be read from, and a few of its tiles.
            block_bytes=max(
                cost.block_bytes + 2 * cost.least_rows * read_bytes
                for cost, read_bytes in zip(costs, row_bytes, strict=True)
            )
            + state_bytes
            + 4 * tile_bytes,
            shared=any(each.shared for each in streams.values()),
            result_bytes=tile_bytes * sum(1 for band in self._bands for _ in tile_store.tiles_of(band, self._side)),
        )
        return band_plan(work, count)

    def _row_bytes(self, reads: Reads) -> int:
        itemsize = self._request.sides[0].data.dtype.itemsize
        return itemsize * self._inner * sum(stop - start for start, stop in reads)

    # ---- what a band reads

    @cached_property
    def _borders(self) -> list[int]:
        """Borders of the chunks along the first column axis, read whole anyway; equal reads share one stream."""
        array, ndim = self._request.x, self._request.sample_ndim
        if not isinstance(array, da.Array) or array.ndim == ndim:
            return [0, self._length]
        return list(accumulate(array.chunks[ndim], initial=0))

    def _reads(self, band: Band) -> Reads:
        if self._request.policy.whole_rows:
            return ((0, self._length),)
        rows, columns = self._range(band.start, band.stop), self._range(band.first, band.last)
        return (rows, columns) if rows[1] < columns[0] else ((rows[0], max(rows[1], columns[1])),)

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        borders = self._borders
        first = bisect_right(borders, start // self._inner) - 1
        return borders[first], borders[bisect_left(borders, -(-stop // self._inner))]

    # ---- bands

    def _streams(self, reads: Reads) -> Streams:
        return streams_of(self._request, *(slice(*ends) for ends in reads))

    def _band(self, band: Band, then: Callable[[Cross], object] | None = None) -> Delayed:
        """Return ``then(state)`` of a band, or its state."""
        request, plan = self._request, self.plan
        one = Pass(self._streams(self._reads(band)), plan, request.lazy)
        key = one.key("band", str(band), tokenize(then), request.options, request.sample_ndim)
        function: Callable[..., object] = fold if then is None or plan.shards > 1 else partial(_fold_and, then)
        state = one.tree(key, self._accumulator(band), function=request.in_turn(plan, function))
        return state if then is None or plan.shards == 1 else apply(then, state)

    def _accumulator(self, band: Band) -> Callable[[], BandAccumulator]:
        reads = self._reads(band)
        before = reads[0][0] * self._inner, reads[-1][0] * self._inner
        left = slice(band.start - before[0], band.stop - before[0])
        right = slice(band.first - before[1], band.last - before[1])
        return partial(BandAccumulator, left, right, before, self._request.options, self._request.policy.whole_rows)

    # ---- results

    def cov(self, columns: Deferred, ddof: float) -> da.Array:
        return self._tiles("cov", partial(tile_store.covariance_tile, ddof), ddof)

    def corr(self, columns: Deferred) -> da.Array:
        return self._tiles("corr", tile_store.correlation_tile)

    def _tiles(self, name: str, read: Callable[..., np.ndarray], *about: object) -> da.Array:
        """Return the array whose tiles ``read(band, rows, columns, state)`` returns."""
        bands = [self._band(band) for band in self._bands]
        owners = {tile: n for n, band in enumerate(self._bands) for tile in tile_store.tiles_of(band, self._side)}
        cuts = tile_store.edges(self._columns, self._side)

        def upper(i: int, j: int) -> tuple[object, ...]:
            n = owners[i, j]
            return partial(read, self._bands[n], cuts[i], cuts[j]), bands[n].key

        name = f"{name}-{tokenize(*about, [band.key for band in bands])}"
        return tile_store.tiled(name, self._columns, self._side, upper, {}, *bands)

    def written(self, columns: Deferred, axes: tuple[Axis, Axis], group: zarr.Group) -> Deferred:
        """Return the columns' moments that, when computed, also write the tiles to ``group``."""
        tile_store.create(group, self._bands, self._side, [str(axis.dim) for axis in axes])
        place = str(group.store_path).removeprefix("file://")
        write = partial(tile_store.write_band, place)
        writes = [self._band(band, partial(write, n, band, self._side)) for n, band in enumerate(self._bands)]
        return columns.after(writes)


def _fold_and(then: Callable[[Cross], object], shard: Shard, given: list[list[object]]) -> object:
    return then(cast(Cross, fold(shard, given)))


class BandAccumulator:
    """Makes a ``Cross`` of the columns ``left`` of the first block that is added, and ``right`` of the last one.

    Counts of rows and of special values are those of the rectangle's columns alone. ``origins`` are the columns of the
    whole array before those blocks; with ``whole_rows`` a missing value leaves its row out of all columns.
    """

    def __init__(self, left: slice, right: slice, origins: tuple[int, int], options: Options, whole_rows: bool):
        self._cuts, self._options, self._whole_rows = (left, right), options, whole_rows
        self._before = [origin + cut.start for origin, cut in zip(origins, self._cuts, strict=True)]
        self._seen = 0
        self._inner = Cross.accumulator(left.stop - left.start, right.stop - right.start, options)
        self.least_rows, self.state = self._inner.least_rows, self._inner.state

    def add(self, *blocks: np.ndarray, **vectors: np.ndarray) -> None:
        """Fold rows of one block that holds all the columns, or of two."""
        if self._whole_rows:
            keep = self._kept(blocks)
            if keep is not None and not keep.all():
                blocks = tuple(block[keep] for block in blocks)
                vectors = {name: vector[keep] for name, vector in vectors.items()}
        left, right = self._cuts
        try:
            self._inner.add(blocks[0][:, left], blocks[-1][:, right], **vectors)
        except NonFiniteError as error:
            error.column += self._before[error.side]
            error.side = 0
            raise

    def _kept(self, blocks: tuple[np.ndarray, ...]) -> np.ndarray | None:
        try:
            keep = self._options.missing(blocks, self._options.inf)
        except NonFiniteError as error:
            error.row += self._seen
            raise
        self._seen += len(blocks[0])
        return keep

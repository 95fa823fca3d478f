"""The covariance of more columns than one state can hold: bands of the matrix, each folded by tasks of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from covdist.engine.bands import Band, band_bytes, band_plan, cut_bands, tile_side
from covdist.engine.plan import Plan, Work
from covdist.folding.band import BandAccumulator
from covdist.numerics.columns import divisor
from covdist.results.deferred import Deferred, apply
from covdist.results.moments import Moments
from covdist.results.tile_store import (
    column_exponents,
    cov_tile,
    create,
    edges,
    inside,
    mirrored,
    scatter_tile,
    tiles_of,
    write_band,
)
from covdist.rows.fold import fold
from covdist.state.cross import Cross

if TYPE_CHECKING:
    from covdist.folding.folding import Folding


class Tiles:
    """The matrix of one array's columns, computed tile by tile when it is read or written."""

    def __init__(self, folding: Folding):
        self._folding = folding
        self._columns = folding.sides[0].axis.size
        self._side = tile_side(self._columns)
        self._bands = cut_bands(self._columns, self._side, band_bytes(self._columns))
        if folding.memory is not None:
            plan = self._plan()
            room = (folding.memory - plan.peak_bytes) // 3 + plan.state_bytes
            if room < plan.state_bytes:
                self._bands = cut_bands(self._columns, self._side, max(room, 0))

    # ---- plan

    @cached_property
    def plan(self) -> Plan:
        return self._plan()

    def _plan(self) -> Plan:
        streams = {reads: self._folding.streams(*map(_slice, reads)) for reads in set(map(self._reads, self._bands))}
        row_bytes = {reads: self._row_bytes(reads) for reads in streams}
        costs = [Cross.cost(band.height, band.width) for band in self._bands]
        read = sum(row_bytes[self._reads(band)] for band in self._bands)
        count, state_bytes = len(self._bands), max(cost.state_bytes for cost in costs)
        tile_bytes = 8 * self._side**2
        work = Work(
            rows=self._folding.rows,
            pieces=max(len(each.first.bounds) - 1 for each in streams.values()),
            columns=f"{self._columns:,}",
            row_bytes=-(-(read + self._row_bytes(((0, self._length),))) // count),  # a pass for the means is one more
            piece_bytes=max(sum(block.piece_bytes for block in each.blocks.values()) for each in streams.values()),
            row_flops=sum(cost.row_flops for cost in costs) / count,
            state_bytes=state_bytes,
            # Beside a band there may be one that is still to be read from, and a few of its tiles.
            block_bytes=max(
                cost.block_bytes + 2 * cost.least_rows * row_bytes[self._reads(band)]
                for cost, band in zip(costs, self._bands, strict=True)
            )
            + state_bytes
            + 4 * tile_bytes,
            shared=any(each.shared for each in streams.values()),
            result_bytes=tile_bytes * sum(1 for band in self._bands for _ in tiles_of(band, self._side)),
        )
        return band_plan(work, count)

    def _row_bytes(self, reads: tuple[tuple[int, int], ...]) -> int:
        itemsize = self._folding.sides[0].data.dtype.itemsize
        return itemsize * self._inner * sum(stop - start for start, stop in reads)

    # ---- what a band reads

    @property
    def _array(self) -> Any:
        return next(iter(self._folding.blocks.values()))

    @property
    def _length(self) -> int:
        """Of the first axis that is no sample axis."""
        return self._array.shape[self._folding.sample_ndim] if self._array.ndim > self._folding.sample_ndim else 1

    @property
    def _inner(self) -> int:
        return self._columns // self._length

    @cached_property
    def _borders(self) -> np.ndarray:
        """Of the chunks along that axis, which are read whole anyway; equal reads share one stream."""
        ndim = self._folding.sample_ndim
        if not isinstance(self._array, da.Array) or self._array.ndim == ndim:
            return np.array([0, self._length])
        return np.concatenate([[0], np.cumsum(self._array.chunks[ndim])])

    def _reads(self, band: Band) -> tuple[tuple[int, int], ...]:
        """Return the one or two ranges of that axis."""
        if self._folding.options.missing == "drop":
            return ((0, self._length),)
        rows, columns = self._range(band.start, band.stop), self._range(band.first, band.last)
        return (rows, columns) if rows[1] < columns[0] else ((rows[0], max(rows[1], columns[1])),)

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        borders = self._borders
        first = int(np.searchsorted(borders, start // self._inner, side="right")) - 1
        last = int(np.searchsorted(borders, -(-stop // self._inner)))
        return int(borders[first]), int(borders[last])

    # ---- bands

    def _band(self, band: Band, then: Callable[[Cross], Any] | None = None) -> Delayed:
        """Return what ``then`` makes of a band, or the band itself."""
        folding, plan = self._folding, self.plan
        streams = folding.streams(*map(_slice, self._reads(band)))
        function: Callable[..., Any] = fold if then is None or plan.shards > 1 else partial(_fold_and, then)
        made = folding.tree(streams, self._accumulator(band), plan, f"{band} {tokenize(then)}", function=function)
        return made if then is None or plan.shards == 1 else apply(then, made)

    def _accumulator(self, band: Band) -> Callable[[], BandAccumulator]:
        reads = self._reads(band)
        before = reads[0][0] * self._inner, reads[-1][0] * self._inner
        left = slice(band.start - before[0], band.stop - before[0])
        right = slice(band.first - before[1], band.last - before[1])
        return partial(BandAccumulator, left, right, before, self._folding.options)

    # ---- results

    def cov(self, moments: Moments, ddof: float) -> da.Array:
        """Return the covariance as a lazy array of tiles, those below the diagonal mirrored."""
        made = [self._band(band) for band in self._bands]
        owners = {tile: n for n, band in enumerate(self._bands) for tile in tiles_of(band, self._side)}
        cuts = edges(self._columns, self._side)

        def upper(i: int, j: int) -> tuple[Any, ...]:
            n = owners[i, j]
            return partial(_tile, self._bands[n], cuts[i], cuts[j], ddof), made[n].key

        name = f"cov-{tokenize(ddof, [band.key for band in made])}"
        tasks = mirrored(name, self._columns, self._side, upper)
        sizes = tuple(stop - start for start, stop in cuts)
        dependencies: list[Any] = list(made)
        graph = HighLevelGraph.from_collections(name, tasks, dependencies=dependencies)
        return da.Array(graph, name, chunks=(sizes, sizes), dtype=float)

    def written(self, moments: Moments, group: zarr.Group) -> Moments:
        """Return moments without a matrix that, when computed, also write the tiles to ``group``."""
        first, second = moments.layout.matrix_axes()
        create(group, self._bands, self._side, [str(first.dim), str(second.dim)])
        place = str(group.store_path).removeprefix("file://")
        writes = [
            self._band(band, partial(write_band, place, n, band, self._side)) for n, band in enumerate(self._bands)
        ]
        return Moments(Deferred.of(moments.state, self._columns).after(writes), moments.layout)


def _slice(ends: tuple[int, int]) -> slice:
    return slice(*ends)


def _fold_and(then: Callable[[Cross], Any], shard: Any, given: Any) -> Any:
    return then(fold(shard, given))


def _tile(band: Band, rows: tuple[int, int], columns: tuple[int, int], ddof: float, state: Cross) -> np.ndarray:
    tile = scatter_tile(state, band, rows, columns)
    down = state.columns.exponent[inside(rows, band.start)]
    across = column_exponents(state, band)[inside(columns, band.first)]
    return cov_tile(tile, down, across, divisor(state.columns, ddof))

"""``Plan``: all that a run will read, compute, hold and move, known before it starts. No dask."""

from __future__ import annotations

import logging
import math
import timeit
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NoReturn

import numpy as np

from covdist.engine.notebook import facts_html
from covdist.engine.order import depth, merge_order
from covdist.errors import PlanError
from covdist.limits import limits
from covdist.numerics import packed
from covdist.numerics.blas import add_gram, single_thread

logger = logging.getLogger(__name__)

# These rates decide how finely rows are cut. They must not depend on the machine, since results would.
_FLOPS, _BYTES = 40e9, 1e9  # per second of one core
_PIECE_SECONDS = 2e-4  # opening a chunk and starting to fold it
_MOST_SECONDS = 600.0
_MOST_SHARDS = 960  # with as many merges at most, fewer than 2,000 tasks
_MERGE_BYTES = 1 << 26  # of the states that one merge takes
_MOST_FAN_IN = 16
_SHARED_BYTES = 1 << 27
PROCESS_BYTES = 250 << 20  # a worker that has imported dask, zarr and scipy: 190 MB measured, and room for messages
_BLOCK_BYTES = 5 << 20


@dataclass(frozen=True)
class Work:
    """The work of folding an array, or one strip or band of it."""

    rows: int
    pieces: int  # the chunks that the rows come in
    columns: str  # for display: "1,024", or "784 × 10" for a cross-covariance
    row_bytes: int  # as stored
    piece_bytes: int  # the most memory that one piece takes while it is read
    row_flops: float
    state_bytes: int  # all groups included
    block_bytes: int = _BLOCK_BYTES  # working memory of one fold besides its piece and its state
    shared: bool = False  # whether dask tasks make the pieces, so that a shard holds all of its pieces at once
    result_bytes: int = 0  # as saved, over all strips


@dataclass(frozen=True)
class Plan:
    """How the work is cut into tasks, and what it costs; all sizes are in bytes.

    Attributes
    ----------
    work : Work
        The work of one strip or band.
    shards : int
        Folds in each strip or band.
    fan_in : int
        States that one task merges, at most.
    strips : int
        Ranges of columns, or bands of the matrix, each with shards and states of its own.
    strategy : str
        "memory" (one state) or "tiles" (the matrix in bands); among ``strategies`` also "dual" and "sketch", which
        make a spectrum and no matrix.
    reason : str
        Why this strategy was chosen; empty if there is no other.
    strategies : tuple of Plan
        A plan for each strategy that is possible, the chosen one included.
    refusal : str
        Why ``covdist run`` and :func:`covdist.submit` would not write the result unless forced; empty if they would.

    Examples
    --------
    >>> from dataclasses import replace
    >>> work = Work(
    ...     rows=1_000_000, pieces=250, columns="64", row_bytes=256, piece_bytes=1 << 20, row_flops=4096,
    ...     state_bytes=20_000,
    ... )
    >>> plan = make_plan(work)
    >>> plan.shards, plan.fan_in, plan.tasks, plan.depth
    (1, 16, 1, 0)
    >>> plan.bytes_read
    256000000
    >>> make_plan(replace(work, rows=100_000_000, pieces=25_000)).shards
    88
    """

    work: Work
    shards: int
    fan_in: int
    strips: int = 1
    strategy: str = "memory"
    reason: str = ""
    strategies: tuple[Plan, ...] = ()
    refusal: str = ""

    @property
    def way(self) -> str:
        """Old name of ``strategy``; it goes with the next release."""
        return self.strategy

    @property
    def why(self) -> str:
        """Old name of ``reason``; it goes with the next release."""
        return self.reason

    @property
    def ways(self) -> tuple[Plan, ...]:
        """Old name of ``strategies``; it goes with the next release."""
        return self.strategies

    @property
    def depth(self) -> int:
        """Levels of merging above the folds."""
        return depth(self.shards, self.fan_in)

    @property
    def tasks(self) -> int:
        """Folds and merges in all."""
        return self.strips * len(merge_order(self.shards, self.fan_in))

    @property
    def bytes_read(self) -> int:
        """Bytes read over the whole run; strips and bands may read the same rows."""
        return self.strips * self.work.rows * self.work.row_bytes

    @property
    def flops(self) -> float:
        """Floating-point operations over the whole run."""
        return self.strips * self.work.rows * self.work.row_flops

    @property
    def state_bytes(self) -> int:
        """Bytes of one state."""
        return self.work.state_bytes

    @property
    def bytes_moved(self) -> int:
        """Bytes of states that workers send each other, at most."""
        return (self.tasks - self.strips) * self.work.state_bytes

    @property
    def core_seconds(self) -> float:
        """Time of a core that does 40e9 operations and reads 1e9 bytes a second; divide by the cores."""
        return self.strips * core_seconds(self.work)

    @property
    def seconds_here(self) -> float:
        """Time of a core like this machine's, measured when first asked for, with the data in memory."""
        return self.strips * core_seconds(self.work, *_rates_here())

    @property
    def bytes_written(self) -> int:
        """Bytes of the saved result."""
        return self.work.result_bytes

    @property
    def shard_bytes(self) -> int:
        """Memory of one fold besides its state."""
        pieces = -(-self.work.pieces // self.shards) if self.work.shared else 1
        return pieces * self.work.piece_bytes + self.work.block_bytes

    @property
    def peak_bytes(self) -> int:
        """Most memory of a single-threaded worker."""
        return self.peak(1)

    def peak(self, threads: int) -> int:
        """Most memory of a worker: its process, a fold of each thread, a merge, and states that wait to be merged."""
        waiting = self.depth * (min(self.shards, self.fan_in) - 1)
        return PROCESS_BYTES + (1 + waiting) * self.state_bytes + self.at_once(threads) * self.fold_bytes

    @property
    def fold_bytes(self) -> int:
        """Memory of one fold with its state."""
        return self.shard_bytes + self.state_bytes

    def at_once(self, threads: int) -> int:
        """Folds that run at the same time on a worker."""
        return min(threads, self.shards * self.strips)

    def cuts(self, bounds: np.ndarray) -> list[tuple[int, int]]:
        """Return the first and last row of each shard, cut at the borders of pieces nearest to equal shares."""
        if self.shards == 1:
            return [(0, self.work.rows)]
        shares = np.arange(1, self.shards) * (self.work.rows / self.shards)
        inner = bounds[np.searchsorted(bounds, shares)]
        edges = np.unique(np.concatenate([[0], inner, [self.work.rows]]).astype(np.int64))
        return [(int(a), int(b)) for a, b in pairwise(edges)] or [(0, 0)]

    def check(self, memory_limit: int | None) -> None:
        """Raise PlanError if a worker's memory limit, in bytes, is below ``peak_bytes``."""
        if memory_limit is not None and self.peak_bytes > memory_limit:
            self._refuse(self.peak_bytes, memory_limit)

    def check_workers(self, memory_limit: int) -> None:
        """Raise PlanError if not even one fold, and the state that it is merged with, fit into the workers at hand."""
        need = PROCESS_BYTES + self.fold_bytes + self.state_bytes  # states that wait are spilled to disk
        if need > memory_limit:
            self._refuse(need, memory_limit)

    def _refuse(self, need: int, has: int) -> NoReturn:
        tiled = [plan.peak_bytes for plan in self.strategies if plan.strategy == "tiles" != self.strategy]
        or_tiles = f", or tile the matrix, which needs {human_bytes(tiled[0])}" if tiled else ""
        raise PlanError(
            f"a worker needs {human_bytes(need)} (process {human_bytes(PROCESS_BYTES)}, one chunk "
            f"{human_bytes(self.shard_bytes)}, states of {human_bytes(self.state_bytes)}) but has {human_bytes(has)}: "
            f"give workers more memory, write smaller chunks, choose fewer columns{or_tiles}"
        )

    def rows_of_text(self) -> list[tuple[str, str]]:
        """Return pairs of (name, value) for a table."""
        work, tiled = self.work, self.strategy == "tiles"
        how_often = f"for {self.strips:,} bands" if tiled else "once"
        merged = f"merged {self.fan_in} at a time in {self.depth} levels"
        return [
            ("rows", f"{work.rows:,}"),
            ("columns", work.columns),
            *([("strategy", f"{self.strategy}: {self.reason}")] if self.reason else []),
            ("read", f"{human_bytes(self.bytes_read)} in {work.pieces:,} chunks, {how_often}"),
            ("compute", f"{self.flops:.3g} floating-point operations"),
            ("time", f"about {self.seconds_here:.2g} s on one core like this one, besides waiting for the disk"),
            ("shards of each band" if tiled else "shards", f"{self.shards:,}, {merged}"),
            *([("strips of columns", f"{self.strips:,}")] if self.strips > 1 and not tiled else []),
            ("tasks", f"{self.tasks:,}"),
            ("one state", human_bytes(self.state_bytes)),
            ("moved between workers", f"at most {human_bytes(self.bytes_moved)}"),
            ("peak memory of a worker", human_bytes(self.peak_bytes)),
            ("saved result", human_bytes(self.bytes_written)),
            *([("refused", self.refusal)] if self.refusal else []),
            *((f"by {plan.strategy}", plan.in_short) for plan in self.strategies if plan.strategy != self.strategy),
        ]

    @property
    def in_short(self) -> str:
        """All costs in one line."""
        read, peak, written = map(human_bytes, (self.bytes_read, self.peak_bytes, self.bytes_written))
        return f"read {read}, {self.flops:.3g} operations, {self.seconds_here:.2g} s, peak {peak}, write {written}"

    def __repr__(self) -> str:
        read, peak, written = map(human_bytes, (self.bytes_read, self.peak_bytes, self.bytes_written))
        shards = f"{self.strips * self.shards:,} shards"
        return (
            f"<covdist.Plan of {self.work.rows:,} rows of {self.work.columns} columns: read {read}, {shards}, "
            f"peak {peak}, write {written}>"
        )

    def _repr_html_(self) -> str:
        return facts_html("covdist.Plan", self.rows_of_text())

    def __str__(self) -> str:
        rows = self.rows_of_text()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def make_plan(work: Work, cut_like: Work | None = None, strips: int = 1) -> Plan:
    """Choose the shards by the data and the options alone, never by the machine.

    ``work`` is that of one of so many ``strips``; ``cut_like``, other work on the same rows, which is to have the same
    shards.
    """
    shards, fan_in = _cut(cut_like or work)
    plan = Plan(work, shards, fan_in, strips)
    logger.debug("%s rows in %d strips of %d shards, fan-in %d", f"{work.rows:,}", strips, shards, fan_in)
    return plan


def core_seconds(work: Work, flops: float = _FLOPS, bytes_read: float = _BYTES) -> float:
    """Return how long one core, by default of a middling machine, takes for one strip or band."""
    return work.rows * (work.row_flops / flops + work.row_bytes / bytes_read) + work.pieces * _PIECE_SECONDS


@cache
def _rates_here() -> tuple[float, float]:
    """Measure the operations and the bytes a second of one core for the times that plans show, never for how they cut.

    For a tenth of a second: float64 products as for a covariance, and copies of memory beyond the cache.
    """
    columns, count, copied, tries = 512, 1024, 1 << 25, 3  # 0.27e9 operations, 4 MiB: some ten milliseconds
    rows, triangle = np.ones((count, columns)), np.zeros(packed.size(columns))
    source, target = np.ones(copied, np.uint8), np.empty(copied, np.uint8)
    with single_thread():
        product = min(timeit.repeat(lambda: add_gram(rows, triangle), number=1, repeat=tries))
    copy = min(timeit.repeat(lambda: np.copyto(target, source), number=1, repeat=tries))
    return count * columns**2 / product, copied / copy


def _cut(work: Work) -> tuple[int, int]:
    seconds = core_seconds(work)
    least = max(limits().least_shard_seconds, work.state_bytes / limits().state_bytes_per_second)
    shards = max(1.0, min(seconds / least, max(_MOST_SHARDS, seconds / _MOST_SECONDS)))
    if work.shared:
        shards = max(shards, work.pieces * work.piece_bytes / _SHARED_BYTES)
    # A multiple of eight keeps two, four and eight workers busy to the end.
    count = 2 ** math.ceil(math.log2(shards)) if shards <= 8 else math.ceil(shards / 8) * 8
    fan_in = min(max(_MERGE_BYTES // max(work.state_bytes, 1), 2), _MOST_FAN_IN)
    return max(1, min(count, work.pieces)), fan_in


def human_bytes(count: float) -> str:
    """Format a number of bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024 or unit == "PiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    raise AssertionError

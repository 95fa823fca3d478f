"""Plans, never run, of logs far beyond this machine: few tasks, small graphs, short trees, little to move."""

from __future__ import annotations

import pickle
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from covdist.engine.bands import band_bytes, band_plan, cut_bands, tile_side
from covdist.engine.plan import Plan, Work, make_plan
from covdist.logs.dask_arrays import to_dask
from covdist.rows.fold import Shard
from covdist.rows.stream import stream
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter

from .fake import FakeSource

TASK_BYTES = 4000  # of one task on its way to the scheduler; the last test holds it to that
WORKERS = [10, 1_000, 10_000]
DOCS = Path(__file__).parents[2] / "docs" / "concepts" / "plans-and-memory.md"


def tall() -> Plan:
    """1e12 rows × 1,024 columns of float32 in chunks of 16 MiB."""
    rows, columns = 10**12, 1024
    cost = Scatter.cost(columns)
    return make_plan(
        Work(
            rows=rows,
            pieces=rows // 4096,
            columns="1,024",
            row_bytes=4 * columns,
            piece_bytes=1 << 24,
            row_flops=cost.row_flops,
            state_bytes=cost.state_bytes,
            block_bytes=cost.block_bytes,
        )
    )


def wide() -> Plan:
    """1e7 rows × 1e6 columns of float32 in chunks of 1,024 × 4,096."""
    rows, columns = 10**7, 10**6
    bands = cut_bands(columns, tile_side(columns), band_bytes(columns))
    costs = [Cross.cost(band.height, band.width) for band in bands]
    mean = Work(
        rows=rows, pieces=rows // 1024, columns="1,000,000",
        row_bytes=4 * sum(band.height + band.width for band in bands) // len(bands), piece_bytes=1 << 28,
        row_flops=sum(cost.row_flops for cost in costs) / len(costs),
        state_bytes=max(cost.state_bytes for cost in costs), block_bytes=max(cost.block_bytes for cost in costs),
    )  # fmt: skip
    return band_plan(mean, len(bands))


each_plan = pytest.mark.parametrize("make", [tall, wide])


@each_plan
def test_planning_allocates_nothing_of_that_size(make):
    tracemalloc.start()
    make()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@each_plan
def test_tasks_and_graph_fit_a_scheduler(make):
    plan = make()
    assert 10_000 <= plan.tasks <= 100_000
    assert plan.tasks * TASK_BYTES <= 400e6
    assert plan.depth <= 10
    assert plan.peak_bytes <= 8 << 30


@each_plan
@pytest.mark.parametrize("workers", WORKERS)
def test_every_worker_has_much_to_do_and_little_to_move(make, workers):
    plan = make()
    assert plan.strips * plan.shards >= 2 * workers
    share = plan.core_seconds / workers
    assert plan.bytes_moved / workers / 1e8 <= 0.05 * share  # seconds at 100 MB/s
    assert plan.core_seconds / (plan.strips * plan.shards) <= 7200


def test_the_flops_are_those_of_the_algorithm():
    assert tall().flops == pytest.approx(1e12 * 1024**2, rel=0.02)
    assert wide().flops == pytest.approx(1e7 * 1e12, rel=0.02)


def figure(value: float) -> str:
    """Two digits, without an exponent."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def table_row(plan: Plan, workers: int) -> str:
    """What the page says of a plan."""
    return (
        f"| {plan.work.rows:,} × {plan.work.columns} | {workers:,} | {plan.tasks:,} | {plan.depth} "
        f"| {figure(plan.bytes_read / workers / 1e12)} TB | {figure(plan.bytes_moved / workers / 1e9)} GB "
        f"| {figure(plan.core_seconds / workers / 3600)} h |"
    )


@each_plan
@pytest.mark.parametrize("workers", WORKERS)
def test_the_page_says_what_the_plans_say(make, workers):
    assert table_row(make(), workers) in DOCS.read_text()


def test_a_task_is_as_small_as_assumed():
    rows = stream(to_dask(FakeSource((1_000_000, 8), (100, 8))), 1)
    shard = Shard(partial(Scatter.accumulator, 8), 0, {"x": rows.part(0, 10_000)}, {})
    assert len(pickle.dumps(shard)) <= TASK_BYTES / 2

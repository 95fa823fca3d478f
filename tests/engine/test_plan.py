"""Plans: every row once, few tasks, the same on any machine."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covdist.engine.plan import Plan, Work, human_bytes, make_plan
from covdist.errors import PlanError

quick = settings(deadline=None, max_examples=200)


def work(rows: int, pieces: int, **changes: float) -> Work:
    plain = Work(
        rows=rows, pieces=pieces, columns="256", row_bytes=1024, piece_bytes=1 << 20, row_flops=7e4,
        state_bytes=280_000,
    )  # fmt: skip
    return replace(plain, **changes)


works = st.builds(
    Work,
    rows=st.integers(1, 10**10),
    pieces=st.integers(1, 10**6),
    columns=st.just("many"),
    row_bytes=st.integers(1, 10**6),
    piece_bytes=st.integers(1, 10**9),
    row_flops=st.floats(0, 1e9),
    state_bytes=st.integers(1, 10**10),
    shared=st.booleans(),
)


@quick
@given(st.lists(st.integers(0, 50), min_size=1, max_size=400).filter(any), st.integers(1, 40))
def test_shards_cover_all_rows_once_and_cut_at_the_borders_of_pieces(heights, shards):
    bounds = np.concatenate([[0], np.cumsum(heights)])
    plan = Plan(work(int(bounds[-1]), len(heights)), min(shards, len(heights)), 4)
    cuts = plan.cuts(bounds)
    assert [row for start, stop in cuts for row in range(start, stop)] == list(range(bounds[-1]))
    assert {edge for cut in cuts for edge in cut} <= set(bounds.tolist())
    assert all(start < stop for start, stop in cuts)
    assert len(cuts) <= plan.shards


def test_even_pieces_make_even_shards():
    plan = Plan(work(64_000, 640), 16, 4)
    assert {stop - start for start, stop in plan.cuts(np.arange(0, 64_001, 100))} == {4000}


@quick
@given(works)
def test_sound_for_any_work(work):
    plan = make_plan(work)
    assert 1 <= plan.shards <= work.pieces
    assert plan.fan_in >= 2
    assert plan.shards <= plan.tasks <= 2 * plan.shards
    assert plan.peak_bytes > work.state_bytes + work.piece_bytes
    assert plan.shards % 8 == 0 or plan.shards in (1, 2, 4, work.pieces)
    assert str(plan)


@pytest.mark.parametrize("pieces", [100_000, 1_000_000])
def test_many_chunks_are_few_tasks(pieces):
    assert 8 <= make_plan(work(pieces * 10, pieces)).tasks <= 2000


def test_little_work_is_one_task():
    plan = make_plan(work(1000, 10))
    assert (plan.shards, plan.tasks, plan.bytes_moved) == (1, 1, 0)


def test_shared_pieces_are_held_together():
    plan = make_plan(work(10**6, 1000, shared=True, piece_bytes=1 << 24))
    assert plan.shard_bytes >= (1000 // plan.shards) << 24


@quick
@given(works, st.sampled_from(["piece_bytes", "block_bytes", "state_bytes"]), st.integers(1, 10**9))
def test_a_larger_piece_or_state_never_lowers_the_peak_of_the_same_cut(work, name, more):
    plan = make_plan(work)
    larger = replace(plan, work=replace(work, **{name: getattr(work, name) + more}))
    assert larger.peak_bytes > plan.peak_bytes


def test_check_refuses_with_both_numbers_and_the_way_out():
    plan = make_plan(work(10**7, 1000, state_bytes=10 << 30))
    with pytest.raises(PlanError) as caught:
        plan.check(4 << 30)
    for words in (human_bytes(plan.peak_bytes), "4 GiB", "10 GiB", "more memory", "fewer columns"):
        assert words in str(caught.value)


def test_check_accepts_what_fits_and_no_limit_at_all():
    plan = make_plan(work(10**6, 1000))
    plan.check(plan.peak_bytes)
    plan.check(None)
    with pytest.raises(PlanError):
        plan.check(plan.peak_bytes - 1)


@pytest.mark.parametrize("cores", [1, 64])
def test_the_machine_does_not_count(cores, monkeypatch):
    expected = make_plan(work(10**7, 10_000))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    with dask.config.set(num_workers=cores):
        assert make_plan(work(10**7, 10_000)) == expected


def test_sizes_are_told_with_units():
    assert [human_bytes(n) for n in (0, 1023, 1024, 3 << 29, 5 << 50, 5000 << 50)] == [
        "0 B", "1023 B", "1 KiB", "1.5 GiB", "5 PiB", "5e+03 PiB",
    ]  # fmt: skip


def test_old_names_are_read_only():
    plan = replace(make_plan(work(100, 1)), strategy="tiles", reason="asked for")
    plan = replace(plan, strategies=(plan,))
    assert (plan.way, plan.why, plan.ways) == (plan.strategy, plan.reason, plan.strategies)
    with pytest.raises(AttributeError):
        plan.way = "memory"


def test_a_plan_is_logged_and_silent_by_default(caplog):
    make_plan(work(1000, 10))
    assert not caplog.records
    with caplog.at_level(logging.DEBUG, "covdist"):
        make_plan(work(1000, 10))
    assert "1,000 rows in 1 strips of 1 shards, fan-in 16" in caplog.text

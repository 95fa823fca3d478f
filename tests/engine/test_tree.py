"""The tree against ``functools.reduce``, with a merge in which order shows."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from operator import add

import pytest
from dask._task_spec import convert_legacy_graph
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st

from covdist.engine.order import Span, depth, merge_order
from covdist.engine.tree import root_key, tree

quick = settings(deadline=None, max_examples=100)
words = st.lists(st.text(max_size=3), min_size=1, max_size=80)
fan_ins = st.integers(2, 20)


def bracketed(a: str, b: str) -> str:
    return f"({a}{b})"


@quick
@given(words, fan_ins)
def test_the_order_is_kept(items, fan_in):
    built = tree(str.upper, add, [(word,) for word in items], name="words", fan_in=fan_in)
    assert built.compute(scheduler="synchronous") == reduce(add, map(str.upper, items))


@quick
@given(st.integers(1, 3000), fan_ins)
def test_every_state_is_made_once_of_neighbours_and_merged_once(leaves, fan_in):
    order = merge_order(leaves, fan_in)
    used = [part for parts in order.values() for part in parts]
    assert sorted(used) == sorted(set(order) - {Span(0, leaves)})
    for span, parts in order.items():
        assert len(parts) in range(2, fan_in + 1) or (parts == () and span.stop == span.start + 1)
        assert not parts or [part.start for part in parts] + [span.stop] == [span.start] + [part.stop for part in parts]


@quick
@given(st.integers(1, 3000), fan_ins)
def test_few_states_wait_for_others_where_one_worker_goes_depth_first(leaves, fan_in):
    waiting: set[Span] = set()
    most = 0
    for span, parts in _depth_first(merge_order(leaves, fan_in), Span(0, leaves)):
        waiting = waiting - set(parts) | {span}
        most = max(most, len(waiting))
    assert most <= depth(leaves, fan_in) * (fan_in - 1) + 1


@quick
@given(st.integers(1, 3000), fan_ins)
def test_the_depth_is_that_of_the_order(leaves, fan_in):
    heights: dict[Span, int] = {}
    for span, parts in merge_order(leaves, fan_in).items():
        heights[span] = 1 + max(heights[part] for part in parts) if parts else 0
    assert heights[Span(0, leaves)] == depth(leaves, fan_in)


def _depth_first(order, root):
    done, waiting = [], [root]
    while waiting:
        done.append(waiting.pop())
        waiting.extend(order[done[-1]])
    return [(span, order[span]) for span in reversed(done)]


@quick
@given(st.integers(1, 100), fan_ins)
def test_the_shape_depends_on_the_number_of_items_alone(leaves, fan_in):
    shapes = {
        tree(str, bracketed, [(start,)] * leaves, name=name, fan_in=fan_in)
        .compute(scheduler=scheduler)
        .replace(str(start), "x")
        for start, name in [(1, "a"), (2, "b")]
        for scheduler in ("synchronous", "threads")
    }
    assert len(shapes) == 1


def test_a_merge_takes_at_most_fan_in_states():
    built = tree(str, bracketed, [(i,) for i in range(9)], name="t", fan_in=3)
    assert built.compute() == "((((01)2)((34)5))((67)8))"


def test_no_merge_without_a_second_state():
    assert tree(str, None, [(7,)], name="t", fan_in=2).compute() == "7"


def test_what_dependencies_make_is_passed_on():
    made = delayed(lambda: 5, pure=False)()
    built = tree(add, add, [(made.key, 1), (10, made.key)], name="t", fan_in=2, dependencies=[made])
    assert built.compute(scheduler="synchronous") == 21


def test_an_error_in_a_fold_reaches_the_caller():
    with pytest.raises(ValueError, match="invalid literal"):
        tree(int, add, [("1",), ("one",)], name="t", fan_in=2).compute(scheduler="synchronous")


def test_folds_wait_for_one_small_task_and_are_queued_for_whoever_is_free():
    """Dask starts such tasks in their order, on any worker, and fuses what waits for one task alone with it."""
    built = tree(str, bracketed, [(i,) for i in range(5)], name="t", fan_in=2)
    graph = convert_legacy_graph(dict(built.__dask_graph__()))
    folds = [task for key, task in graph.items() if key.startswith("fold-")]
    assert len(folds) == 5
    assert {*chain.from_iterable(task.dependencies for task in folds)} == {"begin-t"}
    assert all(task.data_producer for task in folds)
    assert len(graph[root_key("t")].dependencies) == 2

"""The tree against ``functools.reduce``, with a merge in which order shows."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st

from covdist.engine.plan import depth, merges
from covdist.engine.tree import tree

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
@given(st.integers(1, 300), fan_ins)
def test_depth_and_merges_are_those_of_the_graph(leaves, fan_in):
    graph = dict(tree(str, add, [(i,) for i in range(leaves)], name="t", fan_in=fan_in).__dask_graph__())
    merged = [key for key in graph if "-merge-" in key]
    assert len(graph) - len(merged) == leaves
    assert len(merged) == merges(leaves, fan_in)
    levels = {key.split("-merge-")[1].split("-")[0] for key in merged}
    # A level may hold no merge where a single state is passed up.
    assert len(levels) <= depth(leaves, fan_in)
    assert max(map(int, levels), default=0) == depth(leaves, fan_in)


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

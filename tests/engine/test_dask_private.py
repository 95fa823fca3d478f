"""What covdist takes for granted of dask's private parts. Where one fails, look at covdist/engine/dask_private.py."""

from __future__ import annotations

from operator import add
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from dask._task_spec import Task
from dask.base import optimize
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph
from distributed import Client, worker_client

import covdist
from covdist.engine.dask_private import (
    PiecesLayer,
    computed_keys,
    constants_replaced,
    one_block,
    put_together,
    queued_task,
    wrapped_by,
)
from covdist.engine.tree import root_key, tree

from .fake import FakeSource

SOURCE = FakeSource((6, 2), (2, 2), "f8")


def wrapped(**options) -> da.Array:
    return da.from_array(SOURCE, chunks=(2, 2), meta=np.empty((0, 0)), **options)


def test_from_array_keeps_what_it_was_given_under_a_key_of_its_own():
    assert wrapped_by(wrapped()) is wrapped_by(wrapped(name="x")) is SOURCE
    for changed in (wrapped() + 1, wrapped()[2:], wrapped().rechunk(3), da.zeros(4), wrapped(inline_array=True)):
        assert wrapped_by(changed) is None


@pytest.mark.parametrize("shape", [(6, 2), (6,), (), (0, 3)])
def test_an_array_of_one_block_is_as_from_array_makes_it(shape):
    source = FakeSource(shape, tuple(max(1, size) for size in shape), "f8")
    meta = np.empty((0,) * len(shape))
    found, expected = one_block(source, "x", meta), da.from_array(source, shape, "x", fancy=False, meta=meta)
    assert wrapped_by(found) is wrapped_by(expected) is source
    for change in (lambda x: x, lambda x: x + 1, lambda x: x[1:] if shape else x, lambda x: x.sum()):
        one, other = change(found), change(expected)
        assert (one.chunks, one.dtype, one.__dask_keys__()) == (other.chunks, other.dtype, other.__dask_keys__())
        np.testing.assert_array_equal(one.compute(scheduler="sync"), other.compute(scheduler="sync"))


def test_constants_stand_in_optimised_graphs_as_data():
    (array,) = optimize(wrapped() + 1)
    graph = dict(array.__dask_graph__())
    assert len(computed_keys(graph)) == 3
    (constant,) = set(graph) - computed_keys(graph)
    assert graph[constant].value is SOURCE
    replaced = constants_replaced(graph, lambda value: 10 * value.values())
    blocks = dask.get(replaced, array.__dask_keys__())
    np.testing.assert_array_equal(np.concatenate([row[0] for row in blocks]), 10 * SOURCE.values() + 1)
    assert constants_replaced(graph, lambda value: None) == graph


def test_a_queued_task_has_the_dependencies_named_and_is_marked_for_the_scheduler():
    task = queued_task("key", (add, "a", ["b", "c"]), {"a", "b"})
    assert isinstance(task, Task)
    assert task.dependencies == {"a", "b"}
    assert task.data_producer
    assert task({"a": ["x"], "b": "y"}) == ["x", "y", "c"]


def test_the_scheduler_queues_such_tasks_even_where_they_are_few():
    graph = dict(tree(str, add, [(0,), (1,)], name="queued", fan_in=2).__dask_graph__())

    def queued(dask_scheduler):
        return {key for key, task in dask_scheduler.tasks.items() if dask_scheduler.is_rootish(task)}

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        kept = client.get(graph, list(graph), sync=False)  # the scheduler forgets what nobody keeps
        assert client.gather(kept)
        assert client.run_on_scheduler(queued) == {"fold-queued-0-1", "fold-queued-1-2"}


def never(*_):
    pytest.fail("this was to be derived from another result")


def test_a_tree_is_derived_from_another_of_the_same_computation():
    source = tree(str, add, [("a",), ("b",)], name="source", fan_in=2)
    derived = tree(never, add, [("a",), ("b",)], name="d", fan_in=2, derived_from=(str.upper, root_key("source")))
    for scheduler in ("synchronous", "threads"):
        assert dask.compute(source, derived, scheduler=scheduler) == ("ab", "AB")
    read = delayed(str.title)(derived)
    assert dask.compute(source, read, scheduler="synchronous") == ("ab", "Ab")
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"):
        assert dask.compute(source, derived) == ("ab", "AB")


def test_a_tree_is_folded_where_the_other_is_not_computed():
    derived = tree(str, add, [("a",), ("b",)], name="d", fan_in=2, derived_from=(never, root_key("source")))
    assert derived.compute(scheduler="synchronous") == "ab"


def test_an_array_in_pieces_is_checked_where_all_of_it_is_put_together():
    asked = []
    array, other = pieces(lambda *about: asked.append(about)), da.ones(3, chunks=1)
    for scheduler in ("synchronous", "threads"):
        for part in (array[:1], array[:1].sum(), array.persist(scheduler=scheduler)):
            dask.compute(part, other, scheduler=scheduler)
        assert not asked
        for found in (array.compute(scheduler=scheduler), dask.compute(other, array, scheduler=scheduler)[1]):
            np.testing.assert_array_equal(found, [1, 1])
            assert asked.pop() == (("p", 0), 2)


def pieces(check) -> da.Array:
    layer = PiecesLayer(TWO, set(TWO), check)
    return da.Array(HighLevelGraph.from_collections("p", layer, dependencies=()), "p", ((1, 1),), float)


def test_a_scheduler_knows_what_is_put_together():
    array, other = pieces(ask), da.ones(3, chunks=1)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"):
        for parts in ([array.sum(), other], [array + 1, array[:1]], [array.mean(), array + 1]):
            dask.compute(*parts)
        for parts in ([array], [array, other], [other, array + 1, array], [array.sum(), array]):
            with pytest.raises(ValueError, match="together"):
                dask.compute(*parts)


def ask(first, count):
    with worker_client() as client:
        if client.run_on_scheduler(put_together, first, count):
            raise ValueError("together")


TWO = {("p", 0): (np.ones, 1), ("p", 1): (np.ones, 1)}

ALLOWED = {
    "from dask._task_spec": {"engine/dask_private.py"},
    "original-": {"engine/dask_private.py"},
    "def cull(": {"engine/dask_private.py"},
    "from distributed.comm": {"engine/cluster.py"},
    "from distributed.dashboard": {"jobs/dashboard/page.py", "jobs/dashboard/serving.py"},
    "from zarr.core": {
        *(f"logs/zarr/{name}.py" for name in ("metadata", "reading", "stores")),
        *(f"results/{name}.py" for name in ("store", "tile_store")),
    },
    "LazilyIndexedArray": {"logs/zarr/opened.py"},
    "fastpath=": {"results/accepted.py"},
    "__pyx_capi__": {"engine/dask_private.py", "numerics/blas.py"},
}


@pytest.mark.parametrize("text", ALLOWED)
def test_private_api_is_used_where_it_is_listed(text):
    root = Path(covdist.__file__).parent
    assert {str(path.relative_to(root)) for path in root.rglob("*.py") if text in path.read_text()} <= ALLOWED[text]

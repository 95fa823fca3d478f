"""The state machine's rules, one by one; the simulator mixes them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import dask
import pytest

from covdist.engine.tree import root_key, tree
from covdist.jobs.machine.events import Cancel, Deposed, Done, Drop, Failed, Lost, Missing, Slots, Start, Stop, Task
from covdist.jobs.machine.machine import Machine
from covdist.jobs.machine.tree import MergeTree, Node, keep_every


def names(actions: Iterable[object]) -> list[str]:
    return [f"{type(action).__name__.lower()} {action.task}" for action in actions]


def finished(machine: Machine, seen: list[str] | None = None) -> list[str]:
    """Let everything succeed; return what was started, in order."""
    seen = [] if seen is None else seen
    waiting = machine.on(Slots(machine.slots))
    while waiting:
        action = waiting.pop(0)
        if isinstance(action, Start):
            seen.append(str(action.task))
            waiting += machine.on(Done(action.task))
    return seen


def test_the_whole_life_of_a_job():
    machine = Machine([MergeTree(0, 4, 2, keep=2)])
    assert finished(machine) == [
        "fold 0-0-1", "fold 0-1-2", "merge 0-0-2", "fold 0-2-3", "fold 0-3-4", "merge 0-2-4", "merge 0-0-4", "finish",
    ]  # fmt: skip
    assert machine.status == "done"


def test_slots_bound_the_folds_that_run():
    machine = Machine([MergeTree(0, 9, 3, 1)])
    assert len(machine.on(Slots(4))) == 4
    assert machine.on(Slots(4)) == []
    assert len(machine.on(Slots(6))) == 2


def test_no_workers_no_folds():
    assert Machine([MergeTree(0, 9, 3, 1)]).on(Slots(0)) == []


def test_a_resumed_job_folds_only_what_no_checkpoint_holds():
    machine = Machine([MergeTree(0, 6, 2, keep=2)], saved={Node(0, 0, 2), Node(0, 4, 6)})
    assert machine.folded() == 4
    started = finished(machine)
    assert [task for task in started if task.startswith("fold")] == ["fold 0-2-3", "fold 0-3-4"]
    assert "load 0-0-2" in started


def test_nothing_is_left_to_do_for_a_job_whose_roots_are_on_disk():
    assert finished(Machine([MergeTree(0, 6, 2, 2)], saved={MergeTree(0, 6, 2, 2).root})) == ["finish"]


def test_an_event_twice_is_an_event_once():
    machine = Machine([MergeTree(0, 2, 2, 2)], slots=2)
    first, second = machine.on(Slots(2))
    assert machine.on(Done(first.task)) == []
    assert machine.on(Done(first.task)) == []
    assert names(machine.on(Done(second.task))) == ["start merge 0-0-2"]
    assert machine.on(Done(second.task)) == []


def test_what_an_earlier_attempt_says_is_not_listened_to():
    machine = Machine([MergeTree(0, 1, 2, 1)])
    (first,) = machine.on(Slots(1))
    (second,) = machine.on(Failed(first.task, "x"))
    assert machine.on(Done(first.task)) == []
    assert machine.on(Failed(first.task, "x")) == []
    assert names(machine.on(Done(second.task))) == ["drop fold 0-0-1", "start finish"]


def test_a_job_fails_when_one_thing_failed_too_often_and_says_which():
    machine = Machine([MergeTree(0, 2, 2, 2)], retries=2, slots=2)
    actions, other = machine.on(Slots(2))
    for _ in range(2):
        (actions,) = machine.on(Failed(actions.task, "disk on fire"))
    assert machine.on(Failed(actions.task, "disk on fire")) == [Stop(other.task)]
    assert machine.status == "failed"
    assert machine.reason == "fold 0-0-1 failed 3 times, the last time because disk on fire"
    assert machine.on(Done(other.task)) == []


def test_a_lost_state_is_made_again_and_nobody_is_blamed():
    machine = Machine([MergeTree(0, 2, 2, 2)], retries=0, slots=2)
    first, second = machine.on(Slots(2))
    machine.on(Done(first.task))
    (merge,) = machine.on(Done(second.task))
    stop, again = machine.on(Lost(first.task))
    assert stop == Stop(merge.task)
    assert str(again.task) == "fold 0-0-1"
    (merge,) = machine.on(Done(again.task))
    assert merge.inputs == (again.task, second.task)


def test_states_are_dropped_when_their_merge_is_there():
    machine = Machine([MergeTree(0, 4, 2, keep=4)], slots=2)
    first, second = machine.on(Slots(2))
    machine.on(Done(first.task))
    merge, _ = machine.on(Done(second.task))
    assert machine.on(Done(merge.task))[:2] == [Drop(first.task), Drop(second.task)]
    machine.on(Slots(4))
    assert names(machine.on(Lost(merge.task))) == ["start fold 0-0-1", "start fold 0-1-2"]


def test_a_state_that_is_kept_is_on_disk_as_soon_as_it_is_made():
    machine = Machine([MergeTree(0, 4, 2, keep=1)], slots=2)
    first, second = machine.on(Slots(2))
    machine.on(Done(first.task))
    assert machine.saved == {first.task.node}
    assert names(machine.on(Lost(first.task))) == []  # it waits on disk for its like
    assert "start load 0-0-1" in names(machine.on(Done(second.task)))


def test_a_merge_of_checkpoints_that_gets_lost_is_made_from_disk():
    merge_tree = MergeTree(0, 3, 2, keep=1)
    machine = Machine([merge_tree], saved={Node(0, 0, 1), Node(0, 1, 2)}, slots=1)
    loads = machine.on(Slots(1))
    assert names(loads) == ["start load 0-0-1", "start load 0-1-2", "start fold 0-2-3"]
    machine.on(Done(loads[0].task))
    (merge,) = machine.on(Done(loads[1].task))
    machine.on(Done(merge.task))
    assert names(machine.on(Lost(merge.task))) == ["start load 0-0-1", "start load 0-1-2"]


def test_a_damaged_checkpoint_is_made_again():
    machine = Machine([MergeTree(0, 2, 2, keep=1)], saved={Node(0, 0, 1), Node(0, 1, 2)})
    loads = machine.on(Slots(1))
    assert names(loads) == ["start load 0-0-1", "start load 0-1-2"]
    again = machine.on(Missing(loads[0].task, Node(0, 0, 1)))
    assert names(again) == ["start fold 0-0-1"]


def test_a_damaged_result_is_made_again():
    merge_tree = MergeTree(0, 2, 2, keep=1)
    machine = Machine([merge_tree], saved=merge_tree.kept)
    (finish,) = machine.on(Slots(1))
    assert names(machine.on(Missing(finish.task, merge_tree.root))) == ["start load 0-0-1", "start load 0-1-2"]


@pytest.mark.parametrize(("event", "status"), [(Cancel(), "cancelled"), (Deposed(), "deposed")])
def test_the_end_stops_and_drops_everything(event, status):
    machine = Machine([MergeTree(0, 4, 2, 2)], slots=2)
    first, second = machine.on(Slots(2))
    (third,) = machine.on(Done(first.task))
    actions = machine.on(event)
    assert machine.status == status
    assert set(actions) == {Stop(second.task), Stop(third.task), Drop(first.task)}
    assert machine.on(event) == []


@pytest.mark.parametrize("fan_in", [2, 3, 16])
@pytest.mark.parametrize("shards", [1, 2, 3, 7, 16, 17, 100])
def test_the_order_is_that_of_the_dask_tree(shards, fan_in):
    merge_tree = MergeTree(3, shards, fan_in, 1)
    graph = dict(tree(str, bracketed, [(i,) for i in range(shards)], name="t", fan_in=fan_in).__dask_graph__())
    assert dask.get(graph, root_key("t")) == made(merge_tree, merge_tree.root)
    assert {merge_tree.parent(child) for node in merge_tree.nodes() for child in merge_tree.children(node)} <= set(
        merge_tree.nodes()
    )


@pytest.mark.parametrize("keep", [1, 2, 5, 1000])
@pytest.mark.parametrize("fan_in", [2, 3, 16])
@pytest.mark.parametrize("shards", [1, 2, 17, 100])
def test_every_checkpoint_holds_enough_shards_that_none_below_it_has(shards, fan_in, keep):
    merge_tree = MergeTree(0, shards, fan_in, keep)
    held: set[int] = set()
    for node in sorted(merge_tree.kept, key=lambda node: node.shards):
        fresh = set(range(node.start, node.stop)) - held
        assert len(fresh) >= keep or node == merge_tree.root
        held |= fresh
    assert held == set(range(shards))


def bracketed(a: str, b: str) -> str:
    return f"({a}{b})"


def made(merge_tree: MergeTree, node: Node) -> str:
    children = merge_tree.children(node)
    assert len(children) != 1
    return reduce(bracketed, (made(merge_tree, child) for child in children)) if children else str(node.start)


@pytest.mark.parametrize(
    ("state_bytes", "seconds", "every"),
    [(1e3, 0.5, 1), (8e6, 0.5, 6), (8e6, 3.0, 1), (1e9, 10.0, 34), (1e12, 1.0, 256)],
)
def test_checkpoints_cost_less_than_three_percent_or_there_is_one(state_bytes, seconds, every):
    assert keep_every(256, int(state_bytes), seconds) == every


def test_a_task_names_itself():
    assert str(Task("merge", Node(0, 1, 2), 3)) == "merge 0-1-2"

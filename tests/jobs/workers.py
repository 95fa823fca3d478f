"""Simulated workers: tasks take a while, states live in a worker's memory, messages get lost, doubled and mixed up."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from covdist.jobs.directory.directory import Directory
from covdist.jobs.machine.events import FINISH, FOLD, LOAD, MERGE, Done, Event, Failed, Lost, Missing, Task
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.jobs.rounds import MissingState, checkpoint, clear, due
from tests.jobs.memory import Crash

JOB = "job"


def digest(state: str) -> str:
    """Tell one root from another."""
    return hashlib.blake2b(state.encode(), digest_size=4).hexdigest()


def merged(a: str, b: str) -> str:
    """Merge so that order, brackets and doubles show."""
    return f"({a}{b})"


class Rounds:
    """The trees of a job, and how often each is folded again; as a question's ``JobPlan``."""

    def __init__(self, directory: Directory, trees: list[MergeTree], last: list[int]):
        self.directory, self.first, self.last = directory, trees, last

    def at(self, tree: int, number: int) -> MergeTree:
        """Return a round's tree."""
        return replace(self.first[tree], round=number, keep=self.first[tree].keep + number)

    def due(self) -> list[tuple[MergeTree, bool]]:
        """Return each tree's round, and whether none comes after it."""
        return [
            due(self.directory, JOB, partial(self.at, tree), lambda number, root, last=last: number == last)
            if last
            else (self.first[tree], True)
            for tree, last in enumerate(self.last)
        ]

    def trees(self) -> list[MergeTree]:
        """Return the trees to be folded."""
        return [] if self.directory.result(JOB) else [tree for tree, _ in self.due()]


class Cluster:
    """A ``Runner`` for one driver, on workers that it has to itself.

    Attributes
    ----------
    started : Counter of Node
        Folds begun.
    excused : Counter of Node
        Reasons to begin a fold once more.
    on_disk : set of Node
        Shards that a checkpoint held when the driver began.
    blamed : Counter of (kind, node)
        Times something failed, or was lost while it ran.
    """

    def __init__(
        self,
        rng: random.Random,
        directory: Directory,
        rounds: Rounds,
        faults: Faults,
        gone: Callable[[list[Node]], None],
    ):
        self.rng, self.directory, self.rounds, self.faults, self.gone = rng, directory, rounds, faults, gone
        self.workers = rng.randint(1, 3)
        self.memory: dict[Task, tuple[int, str]] = {}  # worker, state
        self.queue: dict[Task, tuple[float, int, list[Task]]] = {}  # due, worker, inputs
        self.outcomes: dict[Task, Event] = {}
        self.messages: list[Event] = []
        self.now = 0.0
        self.started: Counter[Node] = Counter()
        self.excused: Counter[Node] = Counter()
        self.blamed: Counter[tuple[str, Node]] = Counter()
        self.on_disk: set[Node] = set()
        self._blamed: set[Task] = set()

    # ---- what a driver calls

    def slots(self) -> int:
        return self.workers

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        assert task not in self.queue
        assert task not in self.outcomes, f"{task} started twice"
        if task.kind == FOLD:
            self.started[task.node] += 1
        due = self.now + self.rng.random() * (3 if task.kind == FOLD else 1)
        self.queue[task] = due, self.rng.randrange(self.workers), list(inputs)

    def stop(self, task: Task) -> None:
        if self.rng.random() < 0.5:  # or it came too late, and the task goes on
            self.queue.pop(task, None)

    def drop(self, task: Task) -> None:
        self.memory.pop(task, None)

    def events(self, running: list[Task], holding: list[Task]) -> list[Event]:
        self.now += 0.7
        self.turn()
        if self.faults.strike(0.02):
            self._kill_worker(self.rng.randrange(self.workers))
        out, self.messages = self.messages, []
        if self.faults.left:
            out = [event for event in out if not self.faults.strike(0.04)]
            out += [event for event in out if self.rng.random() < 0.1]
            self.rng.shuffle(out)
            kept = self.rng.randint(0, len(out)) if self.rng.random() < 0.2 else 0
            self.messages, out = out[:kept], out[kept:]
        if self.rng.random() < 0.3 or not self.queue:
            out += self._asked(running, holding)
        return out

    def _asked(self, running: list[Task], holding: list[Task]) -> list[Event]:
        known = [self.outcomes.get(task, Lost(task)) for task in running if task not in self.queue]
        for event in known:
            self._blame(event)
        return known + [Lost(task) for task in holding if task not in self.memory]

    # ---- what happens meanwhile

    def turn(self) -> None:
        """Run what is due."""
        for task in [task for task, (when, _, _) in self.queue.items() if when <= self.now]:
            if task not in self.queue:
                continue  # its worker died of another one
            _, worker, inputs = self.queue.pop(task)
            event = self._ran(task, worker, inputs)
            self.outcomes[task] = event
            self.messages.append(event)
            self._blame(event)

    def _ran(self, task: Task, worker: int, inputs: list[Task]) -> Event:
        if self.faults.strike(0.03):
            return Failed(task, "of bad luck")
        gone = [one for one in inputs if one not in self.memory]
        if gone:
            self.messages += map(Lost, gone)
            return Failed(task, "its input was lost")
        states = [self.memory[one][1] for one in inputs]
        if task.kind == FINISH:
            return self._finished(task)
        try:
            state = self._made(task, states)
        except MissingState as error:
            self._excuse(error.node)
            return Missing(task, error.node)
        if task.kind != LOAD and task.node in self.rounds.at(task.node.tree, task.node.round).kept:
            try:
                self.directory.save(JOB, task.node, state.encode())
            except Crash:
                self._kill_worker(worker)
                return Lost(task)
        self.memory[task] = worker, state
        return Done(task)

    def _there(self, node: Node) -> str:
        return bytes(checkpoint(self.directory, JOB, node)).decode()

    def _made(self, task: Task, states: list[str]) -> str:
        if task.kind == LOAD:
            return self._there(task.node)
        if task.kind == MERGE:
            state, *others = states
            for other in others:
                state = merged(state, other)
            return state
        tree, number = task.node.tree, task.node.round
        before = digest(self._there(self.rounds.at(tree, number - 1).root)) if number else ""
        return f"{tree}:{task.node.start}{before} "

    def _finished(self, task: Task) -> Event:
        found = self.rounds.due()
        for tree, _ in found:
            self.gone(clear(self.directory, tree))
        try:
            if all(ended for _, ended in found):
                self.directory.finish(JOB, {"states": [self._there(tree.root) for tree, _ in found]})
        except MissingState as error:
            self._excuse(error.node)
            return Missing(task, error.node)
        return Done(task)

    def _kill_worker(self, worker: int) -> None:
        for task in [task for task, (_, where, _) in self.queue.items() if where == worker]:
            del self.queue[task]
            self.outcomes[task] = Lost(task)
            self.messages.append(Lost(task))
            self._blame(Lost(task))
        for task in [task for task, (where, _) in self.memory.items() if where == worker]:
            del self.memory[task]
            self._excuse(task.node)
            # The driver cannot know that it was done, if that message is still on its way.
            self.blamed[task.kind, task.node] += 1
            if self.rng.random() < 0.5:
                self.messages.append(Lost(task))

    def _blame(self, event: Event) -> None:
        if isinstance(event, Failed | Lost | Missing) and event.task not in self._blamed:
            self._blamed.add(event.task)
            self.blamed[event.task.kind, event.task.node] += 1
            if event.task.kind == FOLD:
                self._excuse(event.task.node)

    def _excuse(self, node: Node) -> None:
        for shard in range(node.start, node.stop):
            self.excused[node._replace(start=shard, stop=shard + 1)] += 1


class Faults:
    """So many things go wrong, and then no more."""

    def __init__(self, rng: random.Random, left: int):
        self.rng, self.left = rng, left

    def strike(self, chance: float) -> bool:
        if self.left > 0 and self.rng.random() < chance:
            self.left -= 1
            return True
        return False

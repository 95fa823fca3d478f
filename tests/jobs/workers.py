"""Simulated workers: tasks take a while, states live in a worker's memory, messages get lost, doubled and mixed up."""

from __future__ import annotations

import random
from collections import Counter

from covdist.engine.job.directory import Directory
from covdist.engine.job.shape import Node, Shape
from covdist.engine.job.words import FINISH, FOLD, LOAD, MERGE, Done, Event, Failed, Lost, Missing, Task
from tests.jobs.memory import Crash

JOB = "job"


def merged(a: str, b: str) -> str:
    """Merge so that order, brackets and doubles show."""
    return f"({a}{b})"


class Cluster:
    """A ``Runner`` for one driver, on workers that it has to itself.

    Attributes
    ----------
    started : Counter of (tree, shard)
        Folds begun.
    excused : Counter of (tree, shard)
        Reasons to begin a fold once more.
    on_disk : set of (tree, shard)
        Shards that a checkpoint held when the driver began.
    blamed : Counter of (kind, node)
        Times something failed, or was lost while it ran.
    """

    def __init__(self, rng: random.Random, directory: Directory, shapes: list[Shape], faults: Faults):
        self.rng, self.directory, self.shapes, self.faults = rng, directory, shapes, faults
        self.workers = rng.randint(1, 3)
        self.memory: dict[Task, tuple[int, str]] = {}  # worker, state
        self.queue: dict[Task, tuple[float, int, list[Task]]] = {}  # due, worker, inputs
        self.outcomes: dict[Task, Event] = {}
        self.messages: list[Event] = []
        self.now = 0.0
        self.started: Counter[tuple[int, int]] = Counter()
        self.excused: Counter[tuple[int, int]] = Counter()
        self.blamed: Counter[tuple[str, Node]] = Counter()
        self.on_disk: set[tuple[int, int]] = set()
        self._blamed: set[Task] = set()

    # ---- what a driver calls

    def slots(self) -> int:
        return self.workers

    def start(self, task: Task, inputs: tuple[Task, ...]) -> None:
        assert task not in self.queue
        assert task not in self.outcomes, f"{task} started twice"
        if task.kind == FOLD:
            self.started[task.node.tree, task.node.start] += 1
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
        for task in [task for task, (due, _, _) in self.queue.items() if due <= self.now]:
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
        state = self._made(task, states)
        if state is None:
            self._excuse(task.node)
            return Missing(task, task.node)
        if task.kind != LOAD and task.node in self.shapes[task.node.tree].kept:
            try:
                self.directory.save(JOB, task.node, state.encode())
            except Crash:
                self._kill_worker(worker)
                return Lost(task)
        self.memory[task] = worker, state
        return Done(task)

    def _made(self, task: Task, states: list[str]) -> str | None:
        if task.kind == LOAD:
            found = self.directory.load(JOB, task.node)
            return None if found is None else bytes(found).decode()
        if task.kind == MERGE:
            state, *others = states
            for other in others:
                state = merged(state, other)
            return state
        return f"{task.node.tree}:{task.node.start} "

    def _finished(self, task: Task) -> Event:
        states = []
        for shape in self.shapes:
            state = self.directory.load(JOB, shape.root)
            if state is None:
                self._excuse(shape.root)
                return Missing(task, shape.root)
            states.append(bytes(state).decode())
        self.directory.finish(JOB, {"states": states})
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
            self.excused[node.tree, shard] += 1


class Faults:
    """So many things go wrong, and then no more."""

    def __init__(self, rng: random.Random, left: int):
        self.rng, self.left = rng, left

    def strike(self, chance: float) -> bool:
        if self.left > 0 and self.rng.random() < chance:
            self.left -= 1
            return True
        return False

"""One seed, one schedule: drivers and workers that die, sleep and race, files that tear, a user who cancels."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from functools import reduce

from covdist.errors import JobError
from covdist.jobs.directory.directory import Directory
from covdist.jobs.driver import Driver, DriverSettings
from covdist.jobs.machine.tree import MergeTree, Node
from tests.jobs.memory import Crash, Memory
from tests.jobs.workers import JOB, Cluster, Faults, Rounds, digest, merged

LEASE, MOST_STEPS, MOST_AWAKE = 8.0, 3000, 2


class Process:
    """A driver, its cluster, and until when it sleeps."""

    def __init__(self, driver: Driver, cluster: Cluster):
        self.driver, self.cluster, self.wakes = driver, cluster, 0.0


class Simulation:
    """A job brought to its end through everything that ``seed`` has in store for it."""

    def __init__(self, seed: int):
        self.rng = rng = random.Random(seed)
        self.faults = Faults(rng, rng.choice([0, 3, 10, 30]))
        self.memory = Memory(self._write_fault)
        self.directory = Directory("memory", place=self.memory)
        self.trees = [
            MergeTree(tree, rng.choice([1, 2, 3, 5, 8, 13, 35]), rng.randint(2, 4), rng.randint(1, 4))
            for tree in range(rng.choice([1, 1, 1, 2, 3]))
        ]
        last = [rng.choice([0, 0, 0, 1, 3]) for _ in self.trees]
        self.rounds = Rounds(self.directory, self.trees, last)
        self.now = 0.0
        self.processes: list[Process] = []
        self.started = 0

    def _write_fault(self, name: str) -> str:
        return self.rng.choice(["before", "after", "torn"]) if self.faults.strike(0.02) else ""

    # ---- the schedule

    def run(self) -> None:
        """Run until the result is there; raise AssertionError where anything is not as it must be."""
        while not self._begun():
            pass
        for _ in range(MOST_STEPS):
            self.now += 0.3
            self._start_driver()
            self._step(self.rng.choice(self.processes) if self.processes else None)
            self._meddle()
            if self.directory.result(JOB) is not None:
                return self._check()
        raise AssertionError("stuck")

    def _begun(self) -> bool:
        """A torn manifest is refused for good, so one that tears is written to a new directory."""
        try:
            self.directory.begin(JOB, {"log": "x"}, self.trees, {})
            return self.directory.trees() == self.trees
        except Crash:
            return False
        except JobError:
            self.memory.files.clear()
            return False

    def _start_driver(self) -> None:
        if len(self.processes) >= MOST_AWAKE or (self.processes and self.rng.random() < 0.9):
            return
        try:
            lease = self.directory.owners.acquire(self.now, LEASE, steal=self.faults.strike(0.05))
            settings = DriverSettings(LEASE, self.rng.choice([0.1, 5.0]), retries=3)
            cluster = Cluster(self.rng, self.directory, self.rounds, self.faults, self._gone)
            following = self.rounds.trees
            driver = Driver(
                self.directory, lease, following(), cluster, lambda: self.now, settings, following=following
            )
        except (JobError, Crash):
            return
        self.started += 1
        cluster.on_disk = {
            node._replace(start=shard, stop=shard + 1)
            for node in self.directory.saved()
            if self._whole(node)
            for shard in range(node.start, node.stop)
        }
        self.processes.append(Process(driver, cluster))

    def _whole(self, node: Node) -> bool:
        return self.directory.load(JOB, node) is not None

    def _step(self, process: Process | None) -> None:
        if process is None or process.wakes > self.now:
            return
        cluster = process.cluster
        try:
            more = process.driver.step()
        except Crash:
            more = False
        if self.faults.strike(0.01):
            more = False  # killed
        for place, times in cluster.started.items():
            most = (place not in cluster.on_disk) + cluster.excused[place]
            assert times <= most, f"shard {place} folded {times} times, {most} were to be expected"
        if not more:
            self._end(process)

    def _end(self, process: Process) -> None:
        self.processes.remove(process)
        machine, cluster = process.driver.machine, process.cluster
        if machine.status == "failed":
            assert max(cluster.blamed.values()) > machine.retries, machine.reason
        if self.rng.random() < 0.5:  # what has been started runs on without anybody listening
            cluster.now += 10
            with suppress(Crash):
                cluster.turn()

    def _meddle(self) -> None:
        if self.processes and self.faults.strike(0.01):
            self.rng.choice(self.processes).wakes = self.now + 2 * LEASE
        if self.faults.strike(0.005):
            with suppress(Crash):
                self.directory.ask_to_cancel()
        states = self.memory.names("states")
        if states and self.faults.strike(0.01):
            self._damage(self.rng.choice(states))

    def _damage(self, name: str) -> None:
        data = bytearray(self.memory.files[f"states/{name}"])
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        self.memory.files[f"states/{name}"] = bytes(data)
        self._gone([Node.named(name)])

    def _gone(self, nodes: list[Node]) -> None:
        """Checkpoints that somebody counts on are there no more."""
        for process in self.processes:
            for node in nodes:
                process.cluster._excuse(node)

    # ---- what must hold

    def _check(self) -> None:
        result = self.directory.result(JOB)
        assert result is not None
        last = [self.rounds.at(tree, number) for tree, number in enumerate(self.rounds.last)]
        assert result["states"] == [plain(tree) for tree in last]


def plain(tree: MergeTree) -> str:
    """Reduce level by level and round by round, as slowly and as obviously as possible."""
    before = digest(plain(replace(tree, round=tree.round - 1))) if tree.round else ""
    level = [f"{tree.number}:{shard}{before} " for shard in range(tree.shards)]
    while len(level) > 1:
        level = [reduce(merged, level[i : i + tree.fan_in]) for i in range(0, len(level), tree.fan_in)]
    return level[0]

"""Drivers that race for one job after the other: whole commands in processes of their own, from a common start."""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from click.testing import CliRunner

from covdist.cli import main
from tests.cli.running import PATIENCE


class Said(NamedTuple):
    """How one driver fared in one race."""

    process: int
    code: int
    text: str


def race(drivers: int, commands: Sequence[Sequence[str]]) -> list[list[Said]]:
    """Let every driver run each command at the same moment as the others; return what they said of each."""
    context = multiprocessing.get_context("spawn")
    barrier, said = context.Barrier(drivers), context.Queue()
    processes = [context.Process(target=_run_all, args=(commands, barrier, said)) for _ in range(drivers)]
    for process in processes:
        process.start()
    found = defaultdict(list)
    try:
        for _ in range(drivers * len(commands)):
            number, one = said.get(timeout=PATIENCE)
            found[number].append(one)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return [found[number] for number in range(len(commands))]


def _run_all(commands: Sequence[Sequence[str]], barrier: Any, said: Any) -> None:
    for number, words in enumerate(commands):
        barrier.wait(PATIENCE)
        done = CliRunner().invoke(main, words)
        said.put((number, Said(os.getpid(), done.exit_code, done.output)))

"""Drivers that race for one job after the other: whole commands in processes of their own, from a common start."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from click.testing import CliRunner

from covdist.cli import main
from tests.cli.running import PATIENCE


class Said(NamedTuple):
    """How one driver fared in one race."""

    process: int
    code: int
    text: str


def race(
    drivers: int, commands: Sequence[Sequence[str]], hold: Callable[[], object], release: Callable[[], object]
) -> list[list[Said]]:
    """Let every driver run each command at the same moment as the others; return what they said of each.

    What the winner does is held up until the others have spoken: one that comes late would find it done.
    """
    context = multiprocessing.get_context("spawn")
    barrier, said = context.Barrier(drivers + 1), context.Queue()
    processes = [context.Process(target=_run_all, args=(commands, barrier, said)) for _ in range(drivers)]
    for process in processes:
        process.start()
    found = []
    try:
        for _ in commands:
            hold()
            barrier.wait(PATIENCE)
            others = [said.get(timeout=PATIENCE) for _ in range(drivers - 1)]
            release()
            found.append([*others, said.get(timeout=PATIENCE)])
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return found


def _run_all(commands: Sequence[Sequence[str]], barrier: Any, said: Any) -> None:
    for words in commands:
        barrier.wait(PATIENCE)
        done = CliRunner().invoke(main, words)
        said.put(Said(os.getpid(), done.exit_code, done.output))

"""Bars on a terminal's standard error: of shards of a job, and of the files of a log while they are opened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from covdist.engine.progress import Shown, showing

if TYPE_CHECKING:
    from rich.progress import Progress

_MANY = 1000  # files that take longer than one waits without a word


def bar(transient: bool = False) -> Progress:
    """Return a bar that shows what it counts, how many there are, and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=transient)


@contextmanager
def showing_files() -> Iterator[None]:
    """Within, a bar shows how many files of a log have been opened, if there are many, and goes when all have."""
    if not sys.stderr.isatty():
        yield
        return
    with ExitStack() as open_bars, showing(_shown_by(open_bars)):
        yield


def _shown_by(open_bars: ExitStack) -> Shown:
    found: list[Progress] = []

    def shown(done: int, total: int) -> None:
        if total < _MANY:
            return
        if not found:
            found.append(open_bars.enter_context(bar(transient=True)))
            found[0].add_task("opening files", total=total)
        (task,) = found[0].task_ids
        found[0].update(task, completed=done, total=total)
        if done == total:
            open_bars.close()
            found.clear()

    return shown

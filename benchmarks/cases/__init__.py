"""One file here is one family of cases: a module that names a ``CASE``. Nothing else lists them."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cluster import cluster
from benchmarks.contest import Contest, Setting
from benchmarks.data import Log, NoRoom
from benchmarks.rows import Row, show

CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """What the command line says; empty means the case's own."""

    scratch: Path
    console: Console
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    workers: tuple[int, ...] = ()
    repeats: int = 3
    patience: float = 300.0
    only: tuple[str, ...] = ()
    smallest: bool = False
    plot: Path = Path("scaling.png")


@dataclass(frozen=True)
class Case:
    """Several rows and columns are measured one at a time, the other one at its lower middle."""

    about: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    smallest: tuple[tuple[int, ...], tuple[int, ...]]  # rows, columns
    statistic: str = "cov"
    workers: tuple[int, ...] = (CORES,)
    layout: dict[str, Any] = field(default_factory=dict)  # further arguments of Log
    finish: Callable[[list[Row], Options], None] = lambda rows, options: None

    def sizes(self, options: Options) -> list[tuple[int, int]]:
        rows, columns = self.smallest if options.smallest else (self.rows, self.columns)
        rows, columns = options.rows or rows, options.columns or columns
        cross = {(r, _middle(columns)) for r in rows} | {(_middle(rows), c) for c in columns}
        return sorted(cross, key=lambda size: size[0] * size[1] ** 2)

    def run(self, name: str, options: Options) -> list[Row]:
        found: list[Row] = []
        default = (min(2, CORES),) if options.smallest else self.workers
        for workers in options.workers or default:
            tired: set[str] = set()
            with cluster(workers, options.scratch) as client:
                for size in self.sizes(options):
                    setting = Setting(
                        name, self.statistic, Log(*size, **self.layout), options.scratch,
                        options.repeats, options.patience, options.only,
                    )  # fmt: skip
                    try:
                        contest = Contest(setting, client, tired)
                    except NoRoom as error:
                        options.console.print(f"{name} {size[0]:,} x {size[1]:,} skipped: {error}")
                        continue
                    with options.console.status(name) as status:
                        found += (rows := contest.rows(status.update))
                    show(rows, options.console)
        self.finish(found, options)
        return found


def _middle(values: tuple[int, ...]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def find_cases() -> dict[str, Case]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").CASE for name in names}

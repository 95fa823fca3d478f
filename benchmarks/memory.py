"""Each worker's measured peak beside the one that ``covdist.plan`` predicts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.table import Table

from benchmarks.cases import CORES, Options
from benchmarks.cluster import cluster, tidy
from benchmarks.data import NODE, VARIABLE, Log, make
from benchmarks.rows import Row
from benchmarks.watch import Watch

_ROWS, _SMALLEST = (50_000, 100_000, 200_000), (4_000,)


def run_memory(options: Options) -> list[Row]:
    table = Table(title="peak memory of a worker, MB")
    for name in ("rows", "columns", "worker", "before", "peak", "predicted", "peak / predicted"):
        table.add_column(name, justify="right")
    for rows in options.rows or (_SMALLEST if options.smallest else _ROWS):
        for columns in options.columns or ((64,) if options.smallest else (1024,)):
            for cells in _measure(Log(rows, columns), options):
                table.add_row(f"{rows:,}", f"{columns:,}", *cells)
    options.console.print(table)
    return []


def _measure(log: Log, options: Options) -> Iterator[list[str]]:
    import covdist

    # A fresh cluster each time: what malloc keeps from the size before would count as this one's.
    with cluster((options.workers or (CORES,))[0], options.scratch) as client:
        path = make(log, options.scratch)
        predicted = covdist.plan(covdist.open_log(path)[NODE][VARIABLE], dim="sample").peak_bytes
        tidy(client)
        before = {pid: psutil.Process(pid).memory_info().rss for pid in client.run(_pid).values()}
        with Watch() as watch:
            _cov(path)
    for number, (pid, start) in enumerate(before.items()):
        peak = watch.peaks[pid]
        megabytes = [f"{value / 1e6:.0f}" for value in (start, peak, predicted)]
        yield [str(number), *megabytes, f"{peak / predicted:.2f}"]


def _cov(path: Path) -> None:
    import covdist

    covdist.cov(covdist.open_log(path)[NODE][VARIABLE], dim="sample").compute()


def _pid() -> int:
    return os.getpid()

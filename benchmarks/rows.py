"""A row of the results: one contender at one size."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

OURS = "covdist"
_PRODUCTS = {"cov": 1, "cross": 0.5}  # flops, of each row and by the square of the columns


@dataclass
class Row:
    case: str
    statistic: str
    rows: int
    columns: int
    workers: int
    contender: str
    seconds: list[float] = field(default_factory=list)
    tree_bytes: int = 0
    worker_bytes: int = 0
    error: float | None = None  # largest difference to the reference, relative to sigma_i sigma_j
    allowed: float | None = None
    note: str = ""

    @property
    def wrong(self) -> bool:
        return self.error is not None and not self.error <= (self.allowed or 0)

    @property
    def silent(self) -> bool:
        """Return whether the row was skipped or failed: only a wrong one goes on with a note."""
        return bool(self.note) and not self.wrong

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def gflops(self) -> float | None:
        median = self.median
        if median is None or self.statistic not in _PRODUCTS or self.contender == "limit: read":
            return None
        return _PRODUCTS[self.statistic] * self.rows * self.columns**2 / median / 1e9

    @property
    def gbytes(self) -> float | None:
        """Return the speed in the log's bytes before compression."""
        median = self.median
        if median is None or self.contender in ("limit: dgemm", "limit: dsyrk", "limit: dsfrk"):
            return None
        return 4 * self.rows * self.columns / median / 1e9


def ratio(row: Row, rows: Iterable[Row]) -> float | None:
    """Return how many times covdist's time the row took at the same size."""
    size = (row.case, row.rows, row.columns, row.workers)
    ours = next(
        (r.median for r in rows if r.contender == OURS and (r.case, r.rows, r.columns, r.workers) == size),
        None,
    )
    return row.median / ours if ours and row.median else None


def show(rows: list[Row], console: Console) -> None:
    first = rows[0]
    workers = f"{first.workers} worker{'s' * (first.workers > 1)}"
    table = Table(title=f"{first.case}: {first.rows:,} x {first.columns:,} float32, {workers}")
    table.add_column("contender", no_wrap=True)
    for name in ("median s", "min", "max", "GF/s", "GB/s", "peak tree MB", "peak worker MB", "/ covdist"):
        table.add_column(name, justify="right")
    for row in rows:
        if row.seconds:
            table.add_row(*_cells(row, rows), style="bold red" if row.wrong else None)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"  {row.contender}: {row.note}", markup=False, highlight=False)


def _cells(row: Row, rows: list[Row]) -> list[str]:
    times = [row.median, min(row.seconds), max(row.seconds)]
    rates = [row.gflops, row.gbytes]
    memory = [row.tree_bytes / 1e6 or None, row.worker_bytes / 1e6 or None]
    return [
        row.contender,
        *(f"{value:.3g}" for value in times),
        *("" if value is None else f"{value:.3g}" for value in rates),
        *("" if value is None else f"{value:.0f}" for value in memory),
        "" if (times_ours := ratio(row, rows)) is None else f"{times_ours:.2f}",
    ]


def write_json(rows: list[Row], file: Path) -> None:
    derived = [
        asdict(row) | {"wrong": row.wrong, "median": row.median, "gflops": row.gflops, "gbytes": row.gbytes}
        | {"times_covdist": ratio(row, rows)}
        for row in rows
    ]  # fmt: skip
    file.write_text(json.dumps({"machine": _machine(), "rows": derived}, indent=1) + "\n")


def _machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("covdist", "numpy", "scipy", "dask", "distributed", "zarr")},
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

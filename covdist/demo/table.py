"""The demo's table: one row per layer."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from covdist.demo.advice import Row


def layer_table(title: str, rows: Sequence[Row]) -> Table:
    """Lay out the layers of one run, from the input to the output, for a terminal of 80 columns."""
    grid = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD)
    grid.padding, grid.show_edge = (0, 1, 0, 0), False  # else the widest figures outgrow 80 columns
    grid.add_column("layer", no_wrap=True)
    for name in ("gradient\nmean", "\nvariance", "\nSNR", "vs last\nlayer"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("\nverdict", no_wrap=True)
    for name in ("dead\nunits", "redundant\nunits"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*_cells(row))
    return grid


def _cells(row: Row) -> list[Text | str]:
    numbers = row.numbers
    return [
        numbers.layer,
        f"{numbers.mean:.1e}",
        f"{numbers.variance:.1e}",
        f"{numbers.snr:.1e}",
        f"{row.relative:.1e}",
        Text(row.verdict, style="green" if row.verdict == "ok" else "bold red"),
        f"{numbers.dead}/{numbers.units}",
        f"{numbers.redundant}/{numbers.units}",
    ]

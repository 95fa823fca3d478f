"""The command line: ``python -m benchmarks [CASE]...``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.cases import Options, find_cases
from benchmarks.memory import run_memory
from benchmarks.peers import EXACT, find_peers
from benchmarks.rows import OURS, Row, write_json


class _Numbers(click.ParamType):
    name = "n,n,..."

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(float(part)) for part in str(value).replace("_", "").split(","))
        except ValueError:
            self.fail(f"{value!r} is no comma-separated list of numbers", param, context)


@contextmanager
def _scratch(directory: Path | None) -> Iterator[Path]:
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="covdist-benchmarks-") as made:
            yield Path(made)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()


def _epilog() -> str:
    about = {name: case.about for name, case in find_cases().items()}
    about["memory"] = "Measured against planned peak memory."
    return "\b\nCases:\n" + "\n".join(f"  {name:<11}{text}" for name, text in about.items())


@click.command(epilog=_epilog())
@click.argument("case", nargs=-1, type=click.Choice([*find_cases(), "memory"]))
@click.option("--rows", type=_Numbers(), default=(), help="Instead of the case's own.")
@click.option("--columns", type=_Numbers(), default=(), help="Instead of the case's own.")
@click.option("--workers", type=_Numbers(), default=(), help="Default: one per core.")
@click.option("--repeats", type=click.IntRange(1), help="Runs of each contender. [default: 3, smallest: 1]")
@click.option("--patience", type=float, default=300.0, show_default=True, help="Slower peers run once.")
@click.option("--only", multiple=True, type=click.Choice(list(find_peers())), help="Only these contenders.")
@click.option("--smallest", is_flag=True, help="Every case once, at its smallest size.")
@click.option("--scratch", type=click.Path(file_okay=False, path_type=Path), help="Keep and reuse logs here.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Default: scaling.png.")
def main(case: tuple[str, ...], scratch: Path | None, json_file: Path | None, **settings: Any) -> None:
    """Measure covdist beside its peers, in turn, on the same logs and the same cluster."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    with _scratch(scratch) as directory:
        settings["repeats"] = settings["repeats"] or (1 if settings["smallest"] else 3)
        settings["plot"] = settings["plot"] or (directory if settings["smallest"] else Path()) / "scaling.png"
        options = Options(scratch=directory, console=console, **settings)
        rows: list[Row] = []
        for name in case or [*find_cases(), "memory"]:
            rows += run_memory(options) if name == "memory" else find_cases()[name].run(name, options)
    if json_file:
        write_json(rows, json_file)
    sys.exit(_status(rows))


def _status(rows: list[Row]) -> int:
    """Return 1 where covdist has no result, its fast one is wrong, or float64 contenders disagree.

    A peer's float32 result may lose more than it should: its row says so, and that is no failure of ours.
    """
    ours = [row for row in rows if row.contender.startswith(OURS)]
    exact = [row for row in rows if row.allowed == EXACT]
    missing = any(row.contender == OURS and not row.seconds for row in ours)
    return int(missing or any(row.wrong for row in [*ours, *exact]))


if __name__ == "__main__":
    main()

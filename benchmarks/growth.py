"""A log that grows by a hundredth: the run over all of it, and ``--update``: ``python -m benchmarks.growth``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

import covdist


def record(log: Path, columns: int, start: int, stop: int) -> None:
    rng = np.random.default_rng(start)
    with covdist.Recorder(log, mode="a" if start else "x") as rec:
        for step in range(start, stop):
            rec.log(step, {"fc1/activation": rng.standard_normal((1024, columns), dtype=np.float32) + 1})


def seconds(*words: object) -> float:
    """Run `covdist` as a user does, in a process of its own."""
    start = time.perf_counter()
    call = [str(Path(sys.executable).with_name("covdist")), "run", *map(str, words), "--json"]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@click.command()
@click.option("--gigabytes", default=4.0, show_default=True, help="Of the log, as float32.")
@click.option("--columns", default=1024, show_default=True)
@click.option("--repeats", default=2, show_default=True)
@click.option("--directory", help="Folder for the logs; a temporary one by default.")
def main(gigabytes: float, columns: int, repeats: int, directory: str | None) -> None:
    """Print the time of each, in turns, and their ratio."""
    steps = max(100, int(gigabytes * 1e9 / (4096 * columns)))
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(prefix="covdist-growth-", dir=directory) as made:
            folder = Path(made)
            log = folder / "log.zarr"
            record(log, columns, 0, steps)
            seconds(log, "-o", folder / "old.zarr")
            record(log, columns, steps, steps + steps // 100)
            whole, update = seconds(log, "-o", folder / "whole.zarr"), seconds(log, "--update", folder / "old.zarr")
            start = time.perf_counter()
            covdist.update(log, folder / "old.zarr")
            nothing = time.perf_counter() - start
            a, b = covdist.load(folder / "old.zarr"), covdist.load(folder / "whole.zarr")
            difference = float(abs(a.corr() - b.corr()).max())
            print(f"whole {whole:.2f} s, update {update:.2f} s: {update / whole:.1%}; nothing new {nothing:.2f} s")
            print(f"largest difference of correlations: {difference:.1e}")


if __name__ == "__main__":
    main()

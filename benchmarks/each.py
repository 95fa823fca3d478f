"""Covariances of many positions of an array beside a loop of ``numpy.cov``: ``python -m benchmarks.each``."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import numpy as np

import covdist


def loop(x: np.ndarray) -> np.ndarray:
    """Take one position after the other."""
    return np.array([[np.cov(x[:, i, j].T, ddof=0) for j in range(x.shape[2])] for i in range(x.shape[1])])


def ours(x: np.ndarray) -> np.ndarray:
    return covdist.cov(x, dim=0, each=(1, 2)).values


def timed(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> tuple[float, float, np.ndarray]:
    start, used = time.perf_counter(), time.process_time()
    found = function(x)
    return time.perf_counter() - start, time.process_time() - used, found


@click.command()
@click.option("--rows", default=1000, show_default=True)
@click.option("--side", default=56, show_default=True, help="Positions along each of two dims.")
@click.option("--columns", default=100, show_default=True)
@click.option("--repeats", default=2, show_default=True)
def main(rows: int, side: int, columns: int, repeats: int) -> None:
    """Print the time of each, in turns, and their ratio."""
    x = np.random.default_rng(0).standard_normal((rows, side, side, columns), dtype=np.float32) + 1
    for _ in range(repeats):
        (wall, core, expected), (our_wall, our_core, found) = timed(loop, x), timed(ours, x)
        print(f"loop  {wall:7.2f} s, {core:7.2f} s of cores\nours  {our_wall:7.2f} s, {our_core:7.2f} s of cores")
        print(f"loop / ours: {wall / our_wall:.1f}, of cores {core / our_core:.1f}")
        print(f"largest difference: {np.abs(found - expected).max():.1e}")


if __name__ == "__main__":
    main()

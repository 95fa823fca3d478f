"""Covariances of many positions of an array beside a loop of ``numpy.cov``: ``python -m benchmarks.each``.

First of channels before positions, as torch has them, by the loop of PaDiM, then of channels that lie last. Beside them
what neither can save: new memory for the result, and the products alone, of rows that stay in the cache.

A virtual machine may give pages back that have been free for two seconds, and then gets 500 MB in 1.2 s instead of
0.08 s: memory is written to, and freed again, before each, so that all of them find some. What a first call imports,
0.8 s, is not among what is timed either.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TypeVar

import click
import numpy as np

import covdist
from covdist.kernel.products import add_gram

Layout = Callable[[np.ndarray], np.ndarray]
T = TypeVar("T")


def loop_channels(x: np.ndarray) -> np.ndarray:
    """Take one position after the other, as PaDiM does."""
    flat = x.reshape(*x.shape[:2], -1)
    found = np.empty((x.shape[1], *flat.shape[1:]))
    for position in range(flat.shape[2]):
        found[:, :, position] = np.cov(flat[:, :, position], rowvar=False, ddof=0)
    return np.moveaxis(found, 2, 0).reshape(*x.shape[2:], x.shape[1], x.shape[1])


def channels(x: np.ndarray) -> np.ndarray:
    return covdist.cov(x, dim=0, each=(2, 3)).values


def fast_channels(x: np.ndarray) -> np.ndarray:
    return covdist.moments(x, dim=0, each=(2, 3), precision="fast").cov().values


def loop(x: np.ndarray) -> np.ndarray:
    """Take one position after the other."""
    return np.array([[np.cov(x[:, i, j].T, ddof=0) for j in range(x.shape[2])] for i in range(x.shape[1])])


def ours(x: np.ndarray) -> np.ndarray:
    return covdist.cov(x, dim=0, each=(1, 2)).values


def fast(x: np.ndarray) -> np.ndarray:
    return covdist.moments(x, dim=0, each=(1, 2), precision="fast").cov().values


def products(x: np.ndarray) -> np.ndarray:
    """Multiply one position as often as there are positions, with one core."""
    rows, sums = x[:, 0, 0].astype(np.float64), np.zeros((x.shape[3], x.shape[3]))
    for _ in range(x.shape[1] * x.shape[2]):
        add_gram(rows, sums)
    return sums


def fresh_memory(shape: tuple[int, ...]) -> np.ndarray:
    """Write to each page of two new results."""
    return np.full((2, *shape), 1.0)


def timed(name: str, function: Callable[[T], np.ndarray], x: T) -> tuple[float, np.ndarray]:
    """Print what a function takes."""
    start, used, before = time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
    found = function(x)
    wall, core = time.perf_counter() - start, time.process_time() - used
    after = resource.getrusage(resource.RUSAGE_SELF)
    system, faults = after.ru_stime - before.ru_stime, after.ru_minflt - before.ru_minflt
    print(f"{name:8} {wall:6.2f} s, {core:6.2f} s of cores, of which the system's {system:5.2f} s, {faults:7,} faults")
    return wall, found


@click.command()
@click.option("--rows", default=1000, show_default=True)
@click.option("--side", default=56, show_default=True, help="Positions along each of two dims.")
@click.option("--columns", default=100, show_default=True)
@click.option("--repeats", default=2, show_default=True)
def main(rows: int, side: int, columns: int, repeats: int) -> None:
    """Print the time of each, in turns, and the ratios."""
    x = np.random.default_rng(0).standard_normal((rows, columns, side, side), dtype=np.float32) + 1
    print("(sample, channel, h, w)")
    for _ in range(repeats):
        beside(x, loop_channels, channels, fast_channels)
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    print("(sample, h, w, channel)")
    for _ in range(repeats):
        beside(x, loop, ours, fast)
        timed("products", products, x)


def beside(x: np.ndarray, loop: Layout, ours: Layout, fast: Layout) -> None:
    """Print what both of ours take beside a loop."""
    shape = ours(x[:10]).shape
    timed("memory", fresh_memory, shape)
    wall, expected = timed("loop", loop, x)
    for name, function in (("ours", ours), ("fast", fast)):
        timed("memory", fresh_memory, shape)
        own, found = timed(name, function, x)
        print(f"  loop / {name}: {wall / own:.1f}; largest difference {np.abs(found - expected).max():.1e}")
        del found


if __name__ == "__main__":
    main()

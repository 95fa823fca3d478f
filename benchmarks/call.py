"""One call on a small array in memory beside ``numpy.cov``, in turns: ``python -m benchmarks.call``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np
import xarray as xr

import covdist

_TOGETHER = 30  # calls of one kind, of which the first find other things in the caches
_FIRST = 5


def times(call: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(_TOGETHER):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found[_FIRST:]


def typical(found: list[float]) -> float:
    """Return the time below which one call in 33 lies: few of them are interrupted."""
    return sorted(found)[len(found) // 33]


@click.command(help=__doc__)
@click.option("--rows", default=100, show_default=True)
@click.option("--columns", default=10, show_default=True)
@click.option("--repeats", default=40, show_default=True)
def main(rows: int, columns: int, repeats: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns))
    coords = {"sample": np.arange(rows), "unit": np.arange(columns)}
    labelled = xr.DataArray(x, coords=coords, dims=("sample", "unit"))
    calls: dict[str, Callable[[], object]] = {"numpy.cov": lambda: np.cov(x.T)}
    for name in ("cov", "corr", "var", "moments"):
        function = getattr(covdist, name)
        calls |= {name: partial(function, x), f"{name}, labelled": partial(function, labelled, dim="sample")}
    calls["DataArray.var"] = partial(labelled.var, "sample")
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name] += times(call)
    unit = typical(found["numpy.cov"])
    for name, each in found.items():
        click.echo(f"{name:17} {1e6 * typical(each):6.0f} us {typical(each) / unit:5.1f}")


if __name__ == "__main__":
    main()

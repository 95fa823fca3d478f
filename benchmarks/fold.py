"""The fold of rows in memory beside OpenBLAS's symmetric product alone, in turns: ``python -m benchmarks.fold``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import click
import numpy as np

from covdist.kernel.library import name
from covdist.numerics import blas, packed
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

_VALUES = 32_000_000  # of the rows, more than caches hold
_FLOPS = 1_500_000_000  # of a run, at least
_BLOCK = 1024  # rows that the product alone is given at once, as doubles that are there already


def seconds(function: Callable[[], object], times: int) -> float:
    start = time.thread_time()
    for _ in range(times):
        function()
    return (time.thread_time() - start) / times


@click.command(help=__doc__)
@click.option("--columns", default=(16, 64, 128, 512, 1024, 4096), show_default=True, multiple=True)
@click.option("--repeats", default=5, show_default=True)
def main(columns: tuple[int, ...], repeats: int) -> None:
    click.echo(f"kernel {name()}, {blas.library_names()}")
    for width in columns:
        height = max(2, _VALUES // width // _BLOCK) * _BLOCK
        rows = np.random.default_rng(0).normal(size=(height, width)).astype("f4")
        block = rows[:_BLOCK].astype("f8")
        product = np.zeros((width, width) if width < 256 else packed.size(width))  # as each is faster
        runs = {
            "fold": partial(Scatter.accumulator(width).add, rows),
            "var": partial(Variances.accumulator(width).add, rows),
        }
        runs["dsyrk"] = partial(blas.add_gram, block, product)
        times = max(1, _FLOPS // (height * width * width))
        with blas.single_thread():
            taken = [
                {each: seconds(run, times * (height // _BLOCK if each == "dsyrk" else 1)) for each, run in runs.items()}
                for _ in range(repeats + 1)
            ][1:]
        ratio = median(one["dsyrk"] * (height // _BLOCK) / one["fold"] for one in taken)
        fold, variances = (median(one[each] for one in taken) for each in ("fold", "var"))
        click.echo(
            f"{width:5} columns: fold {height * width * (width + 1) / fold / 1e9:4.1f} GF, {ratio:.2f} of dsyrk; "
            f"variances {variances / height / width * 1e9:.2f} ns a value"
        )


if __name__ == "__main__":
    main()

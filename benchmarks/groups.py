"""Covariances of many small groups beside a loop of ``numpy.cov`` in one run: ``python -m benchmarks.groups``.

Memory is written to before each, as in ``benchmarks.each``: the result takes 524 MB.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import xarray as xr

import covdist
from benchmarks.each import fresh_memory


def loop(path: Path) -> np.ndarray:
    """Read everything, sort it, and take one group after the other."""
    log = covdist.open_log(path)
    rows, label = log["activation"].values.astype(np.float64), log["label"].values
    order = np.argsort(label, kind="stable")
    rows, starts = rows[order], np.unique(label[order], return_index=True)[1]
    return np.stack([np.cov(part.T, ddof=0) for part in np.split(rows, starts[1:])])


def ours(path: Path) -> np.ndarray:
    return covdist.moments(covdist.open_log(path)["activation"], dim="sample", by="label").compute().cov().values


def timed(function: Callable[..., object], given: object) -> tuple[float, float, object]:
    start, used = time.perf_counter(), time.process_time()
    found = function(given)
    return time.perf_counter() - start, time.process_time() - used, found


@click.command()
@click.option("--groups", default=1000, show_default=True)
@click.option("--columns", default=256, show_default=True)
@click.option("--rows", default=50, show_default=True, help="Of each group.")
@click.option("--chunk", default=5000, show_default=True, help="Rows of a chunk.")
@click.option("--repeats", default=3, show_default=True)
def main(groups: int, columns: int, rows: int, chunk: int, repeats: int) -> None:
    """Print the best time of each, and their ratio."""
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(np.arange(groups), rows))
    values = rng.normal(size=(groups * rows, columns)).astype("f4")
    with tempfile.TemporaryDirectory(prefix="covdist-groups-") as folder:
        path = Path(folder) / "log.zarr"
        log = xr.Dataset({"activation": (("sample", "unit"), values)}, coords={"label": ("sample", label)})
        log.chunk(sample=chunk).to_zarr(path, zarr_format=3, consolidated=False)
        for _ in range(repeats):
            walls, cores = [], []
            for function in (loop, ours):
                wall, core, _ = timed(fresh_memory, (groups, columns, columns))
                print(f"memory {wall:6.2f} s, {core:7.2f} s of cores")
                wall, core, found = timed(function, path)
                walls.append(wall)
                cores.append(core)
                print(f"{function.__name__:5} {wall:7.2f} s, {core:7.2f} s of cores")
                del found
            print(f"ours / loop: {walls[1] / walls[0]:.2f}, of cores {cores[1] / cores[0]:.2f}")


if __name__ == "__main__":
    main()

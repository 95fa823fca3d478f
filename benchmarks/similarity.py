"""CKA of all layers of a log beside one product of all columns, in one run: ``python -m benchmarks.similarity``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import dask.array as da
import numpy as np
import xarray as xr

import covdist


def product(path: Path) -> np.ndarray:
    """Fold the scatter of all columns, which lie side by side, in one pass, and nothing more."""
    log = covdist.open_log(path)
    whole = da.concatenate([node["activation"].data for node in log.children.values()], axis=1)
    return covdist.moments(whole).compute().state.triangle


def bare(path: Path) -> np.ndarray:
    """Add up the products of the chunks by numpy, without a mean: one product of all columns side by side."""
    log = covdist.open_log(path)
    layers = [node["activation"].data for node in log.children.values()]
    found = np.zeros((sum(each.shape[1] for each in layers),) * 2)
    for chunk in range(layers[0].numblocks[0]):
        rows = np.concatenate([each.blocks[chunk].compute(scheduler="synchronous") for each in layers], axis=1)
        rows = rows.astype(np.float64)
        found += rows.T @ rows
    return found


def ours(path: Path) -> np.ndarray:
    return covdist.similarity(covdist.open_log(path)).compute().values


def timed(function: Callable[..., object], path: Path) -> tuple[float, float]:
    start, used = time.perf_counter(), time.process_time()
    function(path)
    return time.perf_counter() - start, time.process_time() - used


def write(path: Path, layers: int, units: int, rows: int, chunk: int) -> None:
    """Write layers that follow one another, some rows at a time."""
    rng = np.random.default_rng(0)
    template = xr.Dataset(
        {"activation": (("sample", "unit"), da.zeros((rows, units), chunks=(chunk, units), dtype="f4"))}
    )
    for layer in range(layers):
        template.to_zarr(path, group=f"layer{layer:02}", compute=False, zarr_format=3, consolidated=False)
    for start in range(0, rows, chunk):
        region = {"sample": slice(start, min(start + chunk, rows))}
        values = rng.normal(size=(region["sample"].stop - start, units)).astype("f4")
        for layer in range(layers):
            values = np.tanh(values + 0.3 * rng.normal(size=values.shape).astype("f4"))
            part = xr.Dataset({"activation": (("sample", "unit"), values)})
            part.to_zarr(path, group=f"layer{layer:02}", region=region, zarr_format=3, consolidated=False)


@click.command()
@click.option("--layers", default=12, show_default=True)
@click.option("--units", default=512, show_default=True, help="Of each layer.")
@click.option("--rows", default=20_000, show_default=True, help="200000 is the full size.")
@click.option("--chunk", default=2_000, show_default=True, help="Rows of a chunk.")
@click.option("--repeats", default=2, show_default=True)
def main(layers: int, units: int, rows: int, chunk: int, repeats: int) -> None:
    """Print the times of each, and the ratios."""
    with tempfile.TemporaryDirectory(prefix="covdist-similarity-") as folder:
        path = Path(folder) / "log.zarr"
        write(path, layers, units, rows, chunk)
        for _ in range(repeats):
            times = {}
            for function in (bare, product, ours):
                times[function] = timed(function, path)
                print(
                    f"{function.__name__:8} {times[function][0]:7.2f} s, {times[function][1]:7.2f} s of cores",
                    flush=True,
                )
            for other in (bare, product):
                wall, cores = (mine / its for mine, its in zip(times[ours], times[other], strict=True))
                print(f"ours / {other.__name__}: {wall:.2f}, of cores {cores:.2f}", flush=True)


if __name__ == "__main__":
    main()

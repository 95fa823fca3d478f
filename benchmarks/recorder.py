"""What recording costs, ``python -m benchmarks.recorder``: arrays like those of a small transformer, and small ones."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import covdist

RNG = np.random.default_rng(0)
SHAPES = {
    "transformer": (22, 138, {"activation": (64, 256), "input": (64, 128), "gradient": (13_000,), "label": (64,)}),
    "small": (50, 270, {"activation": (8, 64), "input": (8, 32), "z": (8, 8)}),
}
STEP = 0.022  # seconds of a training step
MATRIX = RNG.standard_normal((256, 256), "f4")


def train() -> None:
    """Take the time of a step, as NumPy and torch do: mostly without the interpreter's lock."""
    start = time.thread_time()
    while time.thread_time() - start < STEP:
        MATRIX @ MATRIX


def measure(name: str) -> str:
    """Record new noise in each step; return some lines of results."""
    layers, steps, shapes = SHAPES[name]
    before, held, cpu, total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        recorder = covdist.Recorder(f"{folder}/log.zarr")
        everything, others = time.process_time(), 0.0
        for step in range(steps):
            begin = time.thread_time()
            arrays = {f"l{n}/{each}": RNG.standard_normal(shape, "f4")
                      for n in range(layers) for each, shape in shapes.items()}  # fmt: skip
            total += sum(array.nbytes for array in arrays.values())
            train()
            start, wall = time.thread_time(), time.perf_counter()
            recorder.log(step, arrays, epoch=step // 10)
            held.append(time.perf_counter() - wall)
            cpu.append(time.thread_time() - start)
            others += start - begin
        everything = time.process_time() - everything - others
        start = time.perf_counter()
        recorder.close()
        closing = time.perf_counter() - start
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    return "\n  ".join((
        f"{name}: {layers * len(shapes)} arrays of {total / steps / 1e6:.2f} MB a step",
        f"training waits {_times(held)}, its thread computes {_times(cpu)}, all threads {_mean(everything / steps)}",
        f"closing {closing:.2f} s, disk {disk / total:.3f} of the data, memory grown by {grown} MiB",
    ))  # fmt: skip


def _times(seconds: list[float]) -> str:
    return f"{_mean(statistics.mean(seconds))} (median {statistics.median(seconds) * 1e3:.1f})"


def _mean(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms, {seconds / STEP:.0%} of a step of {STEP * 1e3:.0f} ms"


if __name__ == "__main__":
    # A process each, since the peak of memory is that of a process.
    # One thread of BLAS: the others would count as the recorder's.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for line in pool.imap(measure, SHAPES, chunksize=1):
            print(line)

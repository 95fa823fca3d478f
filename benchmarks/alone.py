"""A contender in a process of its own: ``python -m benchmarks.alone MODULE STATISTIC LOG RESULT``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peers import Skipped, load_peer
from benchmarks.watch import Watch


def run_alone(module: str, statistic: str, log: Path, result: Path, cores: int) -> tuple[float, Watch]:
    """Return the seconds of the computation, start and imports left out; the array lies in ``result``."""
    command = [sys.executable, "-m", "benchmarks.alone", module, statistic, str(log), str(result)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cores))
    process = subprocess.Popen(
        command, env=os.environ | threads, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with Watch(process.pid) as watch:
        out, error = process.communicate()
    if process.returncode:
        raise Skipped((error.strip().splitlines() or [f"ended with {process.returncode}"])[-1])
    return float(out.split()[-1]), watch


def _main(module: str, statistic: str, log: str, result: str) -> None:
    peer = load_peer(module)
    peer.prepare()
    start = time.perf_counter()
    array = peer.statistics[statistic](Path(log))
    seconds = time.perf_counter() - start
    np.save(result, array)
    print(seconds)


if __name__ == "__main__":
    _main(*sys.argv[1:])

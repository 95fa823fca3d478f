"""Forked children of a process that has computed: pools, locks and clients of the parent are not theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# In a process of its own: a fork of pytest's would be one of all its threads, and a child that hangs would stay.
_BEGIN = """
import multiprocessing, threading, time
import dask.array as da, numpy as np
from threadpoolctl import threadpool_info
import covdist

x = np.random.default_rng(0).normal(size=(500, 7))

def lazy():
    return da.from_array(x, chunks=(50, 7))

def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

def all_ways(_=None):
    got = covdist.cov(x), covdist.cov(lazy()).compute(), covdist.spectrum(x, 2), covdist.moments(lazy()).compute()
    return covdist.var(x).values.tolist()

def each_in_a_child(count, function=all_ways, context="fork"):
    for _ in range(count):
        child = multiprocessing.get_context(context).Process(target=function, daemon=True)  # as torch's DataLoader
        child.start()
        child.join(200)
        assert child.exitcode == 0, f"exit code {child.exitcode}"
"""


def _run(tmp_path: Path, script: str) -> None:
    file = tmp_path / "script.py"
    file.write_text(
        f"{_BEGIN}\nif __name__ == '__main__':\n" + "\n".join(f"    {line}" for line in script.splitlines())
    )
    command = [sys.executable, "-W", "ignore", str(file)]
    run = subprocess.run(
        command, timeout=280, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert run.returncode == 0, run.stderr


def test_children_compute_what_their_parent_has_computed(tmp_path):
    _run(
        tmp_path,
        """
expected = all_ways()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(all_ways, range(4)).get(200) == [expected] * 4
codes = []
thread = threading.Thread(target=lambda: codes.append((all_ways(), each_in_a_child(1))))
thread.start()
thread.join()
assert codes and all_ways() == expected
""",
    )


@pytest.mark.slow
def test_a_child_forked_while_folds_run_in_threads(tmp_path):
    _run(
        tmp_path,
        """
before = threads()
def as_before():
    assert threads() == before
    all_ways()
all_ways()
wide, stop = np.ones((3000, 400)), threading.Event()
def work(function, array):
    while not stop.is_set():
        function(array())
folds = [threading.Thread(target=work, args=each) for each in (
    (covdist.cov, lambda: wide), (lambda a: covdist.cov(a).compute(), lazy))]
[fold.start() for fold in folds]
try:
    each_in_a_child(6, as_before)
finally:
    stop.set()
[fold.join() for fold in folds]
assert threads() == before
""",
    )


@pytest.mark.slow
def test_a_child_computes_on_its_own_threads_where_its_parent_has_a_client(tmp_path):
    _run(
        tmp_path,
        """
from distributed import Client
with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"):
    all_ways()
    each_in_a_child(1)
    all_ways()
""",
    )


@pytest.mark.slow
@pytest.mark.parametrize("context", ["forkserver", "spawn"])
def test_a_fresh_child(tmp_path, context):
    _run(tmp_path, f"all_ways()\neach_in_a_child(1, context={context!r})")

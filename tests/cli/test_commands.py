"""The commands are found, quickly, and the demo runs as its help says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import covdist
from covdist.results.store import NewResult

from . import calling
from .running import COVDIST, DASK, output, run

COMMANDS = ["compare", "demo", "health", "merge", "plan", "run", "show"]


def test_help_names_the_commands_and_loads_little():
    done = run(sys.executable, "-X", "importtime", COVDIST, "--help")
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "covdist" in loaded
    assert not loaded & {"dask", "distributed", "xarray", "zarr", "numpy", "rich"}


def test_dask_has_the_same_commands():
    done = run(DASK, "covdist", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


def test_python_m_covdist_is_the_same_command():
    done = run(sys.executable, "-m", "covdist", "show", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: python -m covdist show [OPTIONS] RESULT\n")
    assert run(sys.executable, "-m", "covdist", "fold").returncode == 2


def test_who_reads_no_further_is_told_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([COVDIST, "--version"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ignored", [False, True])
def test_a_signal_to_end_leaves_nothing_half_written(number, ignored, tmp_path, monkeypatch):
    covdist.moments(np.eye(3)).save(tmp_path / "a")
    finish = NewResult.finish
    monkeypatch.setattr(NewResult, "finish", lambda new: (os.kill(os.getpid(), number), finish(new)))
    usual = signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        done = calling.call("merge", tmp_path / "a", "-o", tmp_path / "b")
        assert signal.getsignal(number) == (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(number, usual)
    assert done.returncode == (0 if ignored else 128 + number)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["a", "b"] if ignored else ["a"])


@pytest.mark.slow
def test_demo(tmp_path, scheduler):
    place = tmp_path / "demo"
    found = json.loads(output("demo", "-o", place, "--json", "--scheduler", scheduler))
    assert sorted(path.name for path in place.iterdir()) == sorted(f"{name}.zarr" for name in found)
    assert all(one["layers"] and one["suggestions"] for one in found.values())


def test_verbose_says_what_is_planned(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3))
    quiet, verbose = (run(COVDIST, *flags, "plan", tmp_path / "x.npy") for flags in ([], ["--verbose"]))
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "covdist.engine.plan: " in verbose.stderr
    assert verbose.stdout == quiet.stdout

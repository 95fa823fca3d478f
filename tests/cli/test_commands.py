"""The commands are found, quickly, and the demo runs as its help says."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

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

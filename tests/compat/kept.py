"""Unpacks what was kept, and calls the command line."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

import covdist
from covdist.cli import main

from .cases import DATA
from .reading import entry, kind, listed, reading, same

NUMBERS: dict[str, Any] = json.loads((DATA / "numbers.json").read_text())


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")  # times too, to the second
    return folder


def call(*words: object) -> Result:
    with np.errstate(over="ignore"):  # a variance may be beyond what float64 holds
        return CliRunner().invoke(main, [str(word) for word in words])


def called(*words: object) -> str:
    done = call(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def loaded(path: Path) -> dict[str, covdist.Moments]:
    found = covdist.load(path)
    return {"": found} if isinstance(found, covdist.Moments) else found


def check(found: covdist.Moments, expected: dict[str, Any], relative: float = 0.0) -> None:
    """Assert that a state says what it said when it was written; numbers to the last bit unless said otherwise."""
    dataset = found.dataset
    # What was kept does not say which kernel folded it and what verified it; a job that goes on says so now.
    assert dataset.attrs.keys() - {"kernel", "checksum"} == expected["attrs"].keys()
    for name, before in expected["attrs"].items():
        agree(dataset.attrs[name], before, relative)
    assert {str(name): [list(one.dims), kind(one)] for name, one in dataset.data_vars.items()} == expected["variables"]
    assert dataset.coords.keys() == expected["coords"].keys()
    for name, (dims, dtype, values) in expected["coords"].items():
        coord = dataset.coords[name]
        assert [list(coord.dims), kind(coord)] == [dims, dtype]
        np.testing.assert_array_equal(listed(coord), values)
    for name, before in expected["readings"].items():
        now = entry(reading(found, name))
        assert (now["dims"], now["coords"]) == (before["dims"], before["coords"]), name
        same(now["values"], before["values"], relative, relative)


def agree(value: Any, before: Any, relative: float, absolute: float = 0.0) -> None:
    """Assert that two values of one type are the same, numbers that are no counts nearly so."""
    assert type(value) is type(before)
    if isinstance(value, float | list):
        same(value, before, relative, absolute)
    else:
        assert value == before

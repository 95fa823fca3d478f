"""Logs of one numbered file that become several: its array, ``act_0``, is from then on a part of another, ``act``."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import LogError
from covdist.results.labels import Axis

from .logs import as_named, assert_same, fold
from .test_files import FORMATS, ROWS, log, npy, npz, refused

__all__ = ["log"]  # a fixture


NAMES = ["x_{:04}", "step{}", "{}", "part-{:05}", "part-{:05}-of-00003", "fc1/step-{}"]


@pytest.mark.parametrize(
    ("form", "name"), [*(("npy", name) for name in NAMES), *((form, "fc1/part-{:05}") for form in FORMATS)]
)
def test_one_file_becomes_several(tmp_path, form, name):
    folder = tmp_path / "log"
    (folder / "fc1").mkdir(parents=True)

    def write(number, rows):
        FORMATS[form](folder / f"{name.format(number)}.{form}", rows)

    write(0, ROWS[:40])
    fold(folder, tmp_path / "r.zarr")
    write(1, ROWS[40:70])
    write(2, ROWS[70:])
    found, whole = covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "all.zarr")
    assert_same(found, whole)
    for array, one in as_named(whole).items():
        assert all(map(Axis.same, as_named(found)[array].layout.axes, one.layout.axes))
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), whole)


def test_it_has_got_more_rows_too(log, tmp_path):
    folder, write = log
    write(3, ROWS[20:40])
    fold(folder, tmp_path / "r.zarr")
    write(3, ROWS[20:60])
    write(2, ROWS[:20])  # before it
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "all.zarr"))


def test_it_was_written_anew(log, tmp_path):
    folder, write = log
    write(0, ROWS[:40])
    fold(folder, tmp_path / "r.zarr")
    write(0, ROWS[1:41])
    write(1, ROWS[41:60])
    refused(folder, tmp_path / "r.zarr", "the file that holds .*x_0000.* was written anew, and old ones have other")


def test_bits_are_those_of_the_sum(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    npy(folder / "act_0.npy", ROWS[:100])
    fold(folder, tmp_path / "r.zarr")
    npy(folder / "act_1.npy", ROWS[100:])
    found = covdist.update(folder, tmp_path / "r.zarr")
    expected = covdist.moments(ROWS[:100], dim=0) + covdist.moments(ROWS[100:], dim=0)
    for reading in ("mean", "cov"):
        np.testing.assert_array_equal(getattr(found, reading)(), np.asarray(getattr(expected, reading)()))


@pytest.mark.parametrize("options", [{}, {"against": "gradient", "var": "activation"}, {"missing": "drop"}], ids=str)
def test_several_arrays_in_it(tmp_path, options):
    folder = tmp_path / "log"
    folder.mkdir()
    npz(folder / "act_0.npz", ROWS[:40])
    fold(folder, tmp_path / "r.zarr", **options)
    npz(folder / "act_1.npz", ROWS[40:])
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "all.zarr", **options))


def test_dims_are_called_otherwise(tmp_path):
    """Of "gradient" rows are steps, and what does not fit beside another array is named after its own."""
    folder = tmp_path / "log"
    folder.mkdir()
    arrays = {"act": ROWS, "gradient": ROWS[:, :3], "out": ROWS[:, :2]}
    for name, rows in arrays.items():
        npy(folder / f"{name}_0.npy", rows[:40])
    fold(folder, tmp_path / "r.zarr")
    for name, rows in arrays.items():
        npy(folder / f"{name}_1.npy", rows[40:])
    found, whole = covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "all.zarr")
    assert_same(found, whole)
    assert {name: one.cov().dims for name, one in found.items()} == {n: one.cov().dims for n, one in whole.items()}


def test_another_array_beside_it_takes_the_name_of_a_dim(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    npy(folder / "out.npy", ROWS[:40, :2])
    fold(folder, tmp_path / "r.zarr")
    npy(folder / "out.npy", ROWS[:, :2])
    npy(folder / "act.npy", ROWS[:30])
    assert_same(covdist.update(folder, tmp_path / "r.zarr"), fold(folder, tmp_path / "all.zarr"))


@pytest.mark.parametrize("missing", ["raise", "drop"])
def test_halflife(tmp_path, missing):
    """Rows of activations are samples, whose weights their numbers tell; those of gradients are the files' steps."""
    folder, rows = tmp_path / "log", ROWS.copy()
    folder.mkdir()
    if missing == "drop":
        rows[3, 1] = np.nan
    options = {"halflife": 10.0, "missing": missing}
    npz(folder / "step_0.npz", rows[:40])
    fold(folder, tmp_path / "a.zarr", var="activation", **options)
    fold(folder, tmp_path / "g.zarr", var="gradient", **options)
    npz(folder / "step_1.npz", rows[40:])
    whole = fold(folder, tmp_path / "all.zarr", var="activation", **options)
    np.testing.assert_allclose(covdist.update(folder, tmp_path / "a.zarr").cov(), whole.cov(), rtol=1e-10)
    refused(folder, tmp_path / "g.zarr", "the steps that tell what they weigh are others")


def test_a_file_that_was_one_array_and_is_one_row(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    npy(folder / "step_0.npy", ROWS[:, 0])
    fold(folder, tmp_path / "r.zarr")
    npy(folder / "step_1.npy", ROWS[:, 1])
    refused(folder, tmp_path / "r.zarr", r"their shape of a row was \(\) and is \(180,\)")


def test_it_was_asked_for_by_its_name(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    npy(folder / "act_0.npy", ROWS[:40])
    fold(folder, tmp_path / "r.zarr", var="act_0")
    npy(folder / "act_1.npy", ROWS[40:])
    refused(folder, tmp_path / "r.zarr", "no longer has, or has under other names .*'act_0', but the log holds act")


def test_one_of_several_is_not_there_yet(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    npy(folder / "part-00000-of-00003.npy", ROWS[:40])
    fold(folder, tmp_path / "r.zarr")
    npy(folder / "part-00001-of-00003.npy", ROWS[40:])
    with pytest.raises(LogError, match="one of 3 files by its name, of which 2 are there, and number 2 is not"):
        covdist.update(folder, tmp_path / "r.zarr")

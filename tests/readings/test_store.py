"""Saving and loading, bit for bit and all or nothing."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import ResultError
from covdist.limits import changed
from covdist.results.saving import save
from covdist.results.store import check_room, whole

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(24, 3)) * [1e-200, 1, 1e8] + [0, 1e8, 0]
EPOCHS = np.array(["warm-up", "long", "été"])[RNG.integers(0, 3, 24)]


def units() -> xr.DataArray:
    return xr.DataArray(
        VALUES,
        dims=("step", "unit"),
        coords={
            "unit": ["a", "bb", "ccc"],
            "depth": ("unit", [1.5, 2.0, 3.0]),
            "epoch": ("step", EPOCHS),
            "number": ("step", np.arange(24) // 8),
            "day": ("step", np.array(["2024-01-01", "2024-02-01"], "M8[ns]")[np.arange(24) % 2]),
        },
        name="gradient",
    )


def out() -> xr.DataArray:
    return xr.DataArray(VALUES[:, :2].astype("f4"), dims=("step", "out"), coords={"unit": ("out", [3, 4])})


KINDS = {
    "full": lambda by: covdist.moments(units(), dim="step", by=by),
    "cross": lambda by: covdist.moments(units(), out(), dim="step", by=by),
    "cross with itself": lambda by: covdist.moments(units(), units(), dim="step", by=by),
    "variances": lambda by: covdist.moments(units(), out(), dim="step", by=by).x,
    "one variable": lambda by: covdist.moments(units()[:, 1], dim="step", by=by),
    "weighted": lambda by: covdist.moments(units(), dim="step", by=by, weights=RNG.random(24), missing="drop"),
}
each_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
each_grouping = pytest.mark.parametrize("by", [None, "epoch", "number", "day"])


@each_kind
@each_grouping
def test_a_round_trip_changes_no_bit_and_merges_with_what_was_not_stored(make, by, tmp_path):
    m = make(by)
    m.save(tmp_path / "m.zarr")
    found = covdist.load(str(tmp_path / "m.zarr"))
    xr.testing.assert_identical(found.dataset, m.dataset)
    assert found.layout.kind == m.layout.kind
    assert found.layout.provenance == m.layout.provenance
    assert [axis.dim for axis in found.layout.axes] == [axis.dim for axis in m.layout.axes]
    xr.testing.assert_equal((found + m).dataset, (m + m).dataset)


def test_strings_held_as_objects(tmp_path):
    x = units().assign_coords(unit=np.array(["a", "bb", "ccc"], object))
    covdist.moments(x, dim="step").save(tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr")
    assert found.mean()["unit"].values.tolist() == ["a", "bb", "ccc"]


def test_lazy_moments_are_computed_first(tmp_path):
    lazy = covdist.moments(da.from_array(VALUES, chunks=(5, 3)))
    lazy.save(tmp_path / "m.zarr")
    xr.testing.assert_identical(covdist.load(tmp_path / "m.zarr").dataset, lazy.compute().dataset)


def test_a_mapping_of_nodes(tmp_path):
    stored = {"fc1": covdist.moments(VALUES), "block/attn": covdist.moments(units(), dim="step", by="epoch")}
    save(stored, tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr")
    assert found.keys() == stored.keys()
    for node in stored:
        xr.testing.assert_identical(found[node].dataset, stored[node].dataset)


def test_xarray_opens_a_saved_result(tmp_path):
    m = covdist.moments(units(), dim="step", by="epoch")
    m.save(tmp_path / "m.zarr")
    found = xr.open_zarr(tmp_path / "m.zarr", consolidated=False)
    np.testing.assert_array_equal(found["scatter"], m.dataset["scatter"])
    assert found["scatter"].dims == ("epoch", "unit", "unit_2")
    assert found["epoch"].values.tolist() == sorted(set(EPOCHS))


def test_an_existing_path_is_refused_and_left_alone(tmp_path):
    taken = tmp_path / "m.zarr"
    taken.write_text("mine")
    with pytest.raises(ResultError, match=r"m\.zarr exists already"):
        covdist.moments(VALUES).save(taken)
    assert taken.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [taken]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ResultError, match="does not exist"):
        covdist.moments(VALUES).save(tmp_path / "no" / "m.zarr")
    assert not list(tmp_path.iterdir())


def test_a_crash_leaves_nothing_behind(tmp_path, monkeypatch):
    create, calls = zarr.Group.create_array, []

    def failing(group: zarr.Group, *arguments: object, **options: object) -> object:
        calls.append(len(list(tmp_path.iterdir())))
        if len(calls) > 3:
            raise OSError("no space left on device")
        return create(group, *arguments, **options)

    monkeypatch.setattr(zarr.Group, "create_array", failing)
    with pytest.raises(ResultError, match=r"cannot be written \(no space"):
        covdist.moments(VALUES).save(tmp_path / "m.zarr")
    assert calls == [1, 1, 1, 1]
    assert not list(tmp_path.iterdir())


def test_layers_inside_layers_called_as_arrays_are(tmp_path):
    nodes = ["", "fc1", "fc1/weight", "mean", "root", "a/b", "a.b"]
    stored = {node: covdist.moments(VALUES * (number + 1)) for number, node in enumerate(nodes)}
    save(stored, tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr")
    assert list(found) == nodes
    for node in nodes:
        xr.testing.assert_identical(found[node].dataset, stored[node].dataset)


@pytest.mark.parametrize("names", [["a\\b", "a/b"], ["a\\b", "a/b", "a_b", "a_b/c", "a\\b/c"]], ids=len)
def test_names_that_zarr_would_change(tmp_path, names):
    """zarr takes a backslash for a slash, by which two layers became one."""
    states = {name: covdist.moments(np.full((3, 2 + number), float(number))) for number, name in enumerate(names)}
    save(states, tmp_path / "states.zarr")
    found = covdist.load(tmp_path / "states.zarr")
    assert {name: float(m.mean()[0]) for name, m in found.items()} == {name: n for n, name in enumerate(names)}


@pytest.mark.parametrize("path", ["t", "fc1", "./mean", "results/fc1"])
def test_paths_that_names_within_end_with(tmp_path, monkeypatch, path):
    """zarr takes a relative path out of the paths below it wherever it finds it, as that of "t/" in "count/"."""
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    states = {"fc1": covdist.moments(VALUES), "fc2/t": covdist.moments(VALUES[:, :2])}
    save(states, path)
    found = covdist.load(path)
    monkeypatch.chdir("/")
    assert {name: m.cov().shape for name, m in found.items()} == {name: m.cov().shape for name, m in states.items()}


@pytest.mark.parametrize(("values", "expected"), [([3, 1, 2], [3, 1, 2]), ([b"a", b"b", b"c"], "abc")])
def test_labels_of_other_kinds(values, expected, tmp_path):
    dtype = "S" if isinstance(expected, str) else object
    x = units().assign_coords(unit=np.array(values, dtype))
    covdist.moments(x, dim="step").save(tmp_path / "m.zarr")
    assert covdist.load(tmp_path / "m.zarr").mean()["unit"].values.tolist() == list(expected)


def test_coordinates_stay_coordinates_for_xarray(tmp_path):
    covdist.moments(units(), units(), dim="step").save(tmp_path / "m.zarr")
    found = xr.open_zarr(tmp_path / "m.zarr", consolidated=False)
    assert set(found.coords) == {"unit", "unit_2", "depth", "depth_2"}


def test_large_matrices_are_cut_into_chunks_of_bounded_size(tmp_path):
    m = covdist.moments(units(), dim="step", by="epoch")
    with changed(store_chunk_bytes=8 * 8):
        m.save(tmp_path / "m.zarr")
    assert zarr.open_group(tmp_path / "m.zarr", mode="r")["scatter"].chunks == (1, 2, 3)
    xr.testing.assert_identical(covdist.load(tmp_path / "m.zarr").dataset, m.dataset)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


DAMAGED = {
    "a chunk cut off": ("scatter/c/0/0", _cut),
    "an empty chunk": ("scatter/c/0/0", lambda file: file.write_bytes(b"")),
    "a chunk gone": ("scatter/c/0/0", Path.unlink),
    "a number gone": ("count/c", Path.unlink),
    "a flipped bit": ("mean/c/0", lambda file: file.write_bytes(b"\x01" + file.read_bytes()[1:])),
    "labels cut off": ("unit/c/0", _cut),
    "metadata cut off": ("mean/zarr.json", _cut),
    "metadata gone": ("mean/zarr.json", Path.unlink),
    "an array gone": ("mean", shutil.rmtree),
    "a later kind": ("zarr.json", lambda file: file.write_text(file.read_text().replace('"full"', '"sparse"'))),
}


@pytest.mark.parametrize(("place", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_result_is_refused(place, damage, tmp_path):
    covdist.moments(units(), dim="step").save(tmp_path / "m.zarr")
    damage(tmp_path / "m.zarr" / place)
    with pytest.raises(ResultError, match=r"m\.zarr is damaged .*restore it") as caught:
        covdist.load(tmp_path / "m.zarr")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["", "zarr.json", "mean", "mean/zarr.json", "mean/c", "mean/c/0"])
def test_a_result_that_may_not_be_read_is_not_called_damaged(place, tmp_path, monkeypatch):
    covdist.moments(units(), dim="step").save(tmp_path / "m.zarr")
    forbidden, allowed = tmp_path / "m.zarr" / place, os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != forbidden and allowed(path, mode))
    with pytest.raises(ResultError, match=f"^{forbidden} may not be read by this user: get the rights to it"):
        covdist.load(tmp_path / "m.zarr")


def _text(path: Path) -> None:
    path.write_text("no result")


def _other_group(path: Path) -> None:
    zarr.open_group(path, mode="w", attributes={"title": "somebody else's"})


def _array(path: Path) -> None:
    zarr.create_array(path, data=np.arange(3))


@pytest.mark.parametrize("make", [lambda path: None, _text, Path.mkdir, _other_group, _array])
def test_what_is_no_result_is_refused(make, tmp_path):
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(ResultError, match="thing"):
        covdist.load(path)


def test_a_result_of_a_later_format_is_refused(tmp_path):
    covdist.moments(VALUES).save(tmp_path / "m.zarr")
    zarr.open_group(tmp_path / "m.zarr").attrs["covdist"] = 999
    with pytest.raises(ResultError, match="format"):
        covdist.load(tmp_path / "m.zarr")


def test_a_disk_with_too_little_room_is_refused_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1 << 20))
    check_room(tmp_path / "not yet" / "there", 1 << 20)
    check_room("s3://bucket/result", 1 << 40)
    with pytest.raises(ResultError, match=r"would take 2 MiB, but its disk has 1 MiB free: choose"):
        check_room(tmp_path / "not yet" / "there", 1 << 21)


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("covdist.results.saving.write", full)
    with pytest.raises(ResultError, match=r"cannot be written .*space.*: choose another place"):
        covdist.moments(np.eye(3)).save(tmp_path / "result.zarr")
    assert not list(tmp_path.iterdir())


def half_written(target, error):
    with whole(target) as place:
        place.write_bytes(b"half")
        raise error


def ending(tmp_path, error):
    """Return the sentence of a writing that an error ends, which is raised as it is where it is of something else."""
    with pytest.raises((ResultError, type(error))) as caught:
        half_written(tmp_path / "result", error)
    assert not list(tmp_path.iterdir())
    return caught.value


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "the quota of its disk is used up"),
        (errno.EROFS, "is read-only"),
        (errno.EFBIG, "is larger than"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
@pytest.mark.parametrize("error", [OSError("9 requested and 4 written"), RuntimeError("it failed")], ids=repr)
def test_errors_without_a_number_are_told_by_what_else_the_system_refuses(number, said, error, tmp_path, monkeypatch):
    def refusing(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.write", refusing)
    found = str(ending(tmp_path, error))
    assert found.startswith(f"{tmp_path / 'result'} cannot be written (")
    assert said in found


def test_errors_that_are_of_no_disk_are_not_told_as_such(tmp_path):
    found = str(ending(tmp_path, OSError("9 requested and 4 written")))
    assert "(9 requested and 4 written): choose another place, or try again" in found
    for error in (RuntimeError("a bug"), OSError(errno.EIO, "is read"), PermissionError(errno.EACCES, "no", "/x/log")):
        assert ending(tmp_path, error) is error


def test_a_disk_that_fills_up_elsewhere_is_named(tmp_path):
    found = str(ending(tmp_path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/spilled/block")))
    assert "cannot be written (No space left on device: /spilled/block)" in found

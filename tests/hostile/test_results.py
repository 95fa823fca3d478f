"""A result of which any part is something else: what it says, or one sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.cli import main
from covdist.errors import CovdistError, ResultError

X = xr.DataArray(
    np.random.default_rng(0).normal(size=(12, 3)),
    dims=("t", "unit"),
    coords={"unit": list("abc"), "epoch": ("t", np.arange(12) % 3), "split": ("t", list("ab") * 6)},
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("results") / "groups"
    covdist.moments(X, dim="t", by="epoch").save(place)
    return place


def change(file: Path, at: tuple[Any, ...], value: Any) -> None:
    said = within = json.loads(file.read_text())
    for key in at[:-1]:
        within = within[key]
    within[at[-1]] = value
    file.write_text(json.dumps(said))


REFUSED = {
    "nodes": (("nodes",), "root.nodes is None"),
    "a node": (("nodes", ""), "root.nodes. is None"),
    "packed": (("packed",), "root.packed is None"),
    "axes": (("axes",), "axes is None"),
    "a dim": (("axes", 0, "size"), r"axes\[0\].size is None"),
    "labels": (("axes", 0, "coords"), r"coords is None"),
    "groups": (("groups",), "groups is None"),
    "kind": (("kind",), "kind is None"),
    **{name: ((name,), f"{name} is None, expected {kind}") for name, kind in {
        "rows": "int", **dict.fromkeys(["source", "dims", "dtype", "missing", "inf", "precision", "kernel", "halflife"],
                                       "str")}.items()},
}  # fmt: skip


@pytest.mark.parametrize(("at", "said"), REFUSED.values(), ids=REFUSED)
def test_an_attribute_of_another_kind_is_named(at: tuple[Any, ...], said: str, result: Path, tmp_path: Path) -> None:
    shutil.copytree(result, tmp_path / "m")
    change(tmp_path / "m" / "zarr.json", ("attributes", *at), None)
    with pytest.raises(ResultError, match=f"m is damaged .*{said}.*restore it"):
        covdist.load(tmp_path / "m")


@pytest.mark.parametrize("at", [("shape", 1), ("shape", 0)])
@pytest.mark.parametrize("size", [10**12, 10**400, -1])
def test_no_room_is_made_for_a_shape_that_is_only_said(
    at: tuple[Any, ...], size: int, result: Path, tmp_path: Path
) -> None:
    shutil.copytree(result, tmp_path / "m")
    file = tmp_path / "m" / "scatter" / "zarr.json"
    change(file, at, size)
    change(file, ("chunk_grid", "configuration", "chunk_shape", at[1]), size)
    with pytest.raises(ResultError, match="m is damaged"):
        covdist.load(tmp_path / "m")


def test_nor_for_columns_that_are_only_said(result: Path, tmp_path: Path) -> None:
    shutil.copytree(result, tmp_path / "m")
    file = tmp_path / "m" / "zarr.json"
    change(file, ("attributes", "axes", 0, "coords"), {})
    change(file, ("attributes", "axes", 0, "size"), 10**9)
    with pytest.raises(ResultError, match=r"count is int64 of shape|of shape .*expected .*1000000000"):
        covdist.load(tmp_path / "m")


def test_numbers_of_another_kind_are_not_taken_for_what_they_were(result: Path, tmp_path: Path) -> None:
    shutil.copytree(result, tmp_path / "m")
    change(tmp_path / "m" / "mean" / "zarr.json", ("data_type",), "int64")
    with pytest.raises(ResultError, match=r"mean is int64 .*expected float64"):
        covdist.load(tmp_path / "m")


ENDLESS = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero")} if hasattr(os, "mkfifo") else {}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
def test_nothing_is_read_that_never_ends(make: Callable[[Path], None], result: Path, tmp_path: Path) -> None:
    for number, file in enumerate(each for each in result.rglob("*") if each.is_file()):
        inside = file.relative_to(result)
        changed = Path(shutil.copytree(result, tmp_path / str(number))) / inside
        changed.unlink()
        make(changed)
        said = "is not a covdist result" if inside == Path("zarr.json") else f"{changed} is neither a file nor a folder"
        with pytest.raises(ResultError, match=re.escape(said)):
            covdist.load(tmp_path / str(number))


ROOTS = {"number": 5, "list": [], "word": "x", "null": None}


@pytest.mark.parametrize("attributes", ROOTS.values(), ids=ROOTS)
def test_a_root_with_other_attributes_is_no_result(attributes: Any, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
    )
    with pytest.raises(ResultError, match="m is not a covdist result"):
        covdist.load(tmp_path / "m")
    with pytest.raises(CovdistError, match=r"m .*no arrays|m holds"):
        main(["--debug", "report", str(tmp_path / "m"), "-o", str(tmp_path / "page.html")], standalone_mode=False)
    assert [each.name for each in tmp_path.iterdir()] == ["m"]


def test_windows_that_are_none(result: Path, tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_text('{"steps": 10}')
    shutil.copytree(result, tmp_path / "steps-000000000000-000000000009")
    with pytest.raises(ResultError, match="is no window"):
        covdist.load(tmp_path)

"""Results that an earlier version wrote are read, shown, saved, and added to rows of today."""

from __future__ import annotations

import json
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import covdist

from .cases import ALL, CASES, FITTED, NOT_SHOWN, RELABELLED, SECOND, TILED
from .kept import NUMBERS, agree, called, check, loaded, unpacked
from .reading import possible, reading, same

RESULTS = NUMBERS["results"]
SUMS = [name for name in CASES if name not in FITTED + RELABELLED + TILED]
# Writing takes longest, so only what lies on disk in another way than the one before is written again.
SAVED = [
    "full", "one variable", "stacked", "labels", "labels as text", "cross", "cross with a twin", "cross, clashing",
    "cross with one variable", "variances", "by numbers", "by text", "by days", "cross by text", "variances by days",
    "pairwise", "pairwise cross", "pairwise variances", "pairwise by text", "maxent", "both weights", "extremes",
]  # fmt: skip
MERGED = ["cross with a twin", "by text", "pairwise cross"]
SEVERAL = ["log", "nodes"]
BY_THE_WAY = {"created", "versions"}  # attributes that every result has anew
CLOSE = 1e-13
SINGLE_PRECISION = 1e-6


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return unpacked("results", tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def nodes(kept):
    """Loads each result once."""
    return cache(lambda name: loaded(place(kept, name)))


@pytest.fixture(scope="module")
def state(nodes):
    return lambda name: nodes(name)[""]


def place(kept: Path, name: str) -> Path:
    return kept / f"{name}.zarr"


def test_every_case_is_kept(kept):
    assert {path.stem for path in kept.iterdir()} == RESULTS.keys() > CASES.keys()


@pytest.mark.parametrize("name", RESULTS)
def test_it_says_what_it_said(nodes, name):
    found = nodes(name)
    assert list(found) == list(RESULTS[name])
    for node, one in found.items():
        check(one, RESULTS[name][node])


@pytest.mark.parametrize("name", RESULTS)
def test_its_arrays_are_those_on_disk(kept, nodes, name):
    stored = groups(place(kept, name))
    for node, one in nodes(name).items():
        arrays = dict(stored[node].arrays())
        extra = {"scatter", "exponents"} if name in TILED else set()
        assert {str(variable) for variable in one.dataset.variables} | extra == arrays.keys()
        for variable, array in one.dataset.variables.items():
            assert (arrays[str(variable)].metadata.dimension_names or ()) == array.dims
            np.testing.assert_array_equal(array.to_numpy(), arrays[str(variable)][...])


def groups(path: Path) -> dict[str, zarr.Group]:
    root = zarr.open_group(path, mode="r")
    return {node: root[at] if at else root for node, at in root.attrs["nodes"].items()}


@pytest.mark.parametrize("name", SAVED)
def test_saved_anew_it_is_the_same(kept, state, name, tmp_path):
    found = state(name)
    found.save(tmp_path / "anew.zarr")
    xr.testing.assert_identical(covdist.load(tmp_path / "anew.zarr").dataset, found.dataset)
    assert written(tmp_path / "anew.zarr") == written(place(kept, name))


@pytest.mark.parametrize("name", SEVERAL)
def test_several_saved_anew_are_the_same(kept, nodes, name, tmp_path):
    called("merge", place(kept, name), "-o", tmp_path / "anew.zarr")
    anew = loaded(tmp_path / "anew.zarr")
    assert list(anew) == list(nodes(name))
    for node, one in anew.items():
        xr.testing.assert_identical(one.dataset, nodes(name)[node].dataset)
    assert written(tmp_path / "anew.zarr") == written(place(kept, name))


def written(path: Path) -> dict[str, object]:
    """What any reader of Zarr sees of a result, but for its numbers."""
    root, found = zarr.open_group(path, mode="r"), {}
    assert root.attrs.keys() >= BY_THE_WAY
    for at, each in [("", root), *root.members(max_depth=None)]:
        attrs = {key: value for key, value in each.attrs.asdict().items() if key not in BY_THE_WAY}
        found[at] = [attrs, *(shape_of(each) if isinstance(each, zarr.Array) else ())]
    return found


def shape_of(array: zarr.Array) -> list[object]:
    metadata = array.metadata
    codecs = [type(codec).__name__ for codec in metadata.codecs]
    return [array.shape, array.chunks, str(array.dtype), metadata.dimension_names, codecs]


@pytest.mark.parametrize("name", SUMS)
def test_rows_of_today_are_added(state, name):
    total, whole = state(name) + CASES[name](SECOND), CASES[name](ALL)
    alike(total, whole, SINGLE_PRECISION if name == "fast" else CLOSE)
    assert total.dataset.attrs == whole.dataset.attrs


@pytest.mark.parametrize("name", MERGED)
def test_it_is_added_to_results_of_today_on_the_command_line(kept, name, tmp_path):
    CASES[name](SECOND).save(tmp_path / "now.zarr")
    called("merge", tmp_path / "now.zarr", place(kept, name), "-o", tmp_path / "both.zarr")
    alike(covdist.load(tmp_path / "both.zarr"), CASES[name](ALL))


@pytest.mark.parametrize("name", ["cross", "cross by text"])
def test_a_block_of_x_with_y_adds_up_with_what_also_holds_the_sides_own_matrices(state, name):
    now = CASES[name](SECOND, state=None)
    assert now.layout.kind == "both"
    for total in (state(name) + now, now + state(name)):
        assert total.layout.kind == "cross"
        alike(total, CASES[name](ALL))


def alike(found: covdist.Moments, expected: covdist.Moments, close: float = CLOSE) -> None:
    """Assert that two states of the same rows say the same; how closely, in what the numbers are made of."""
    stored, wanted = found.dataset.variables, expected.dataset.variables
    assert stored.keys() == wanted.keys()
    for name, array in wanted.items():
        assert stored[name].dims == array.dims
        if array.dtype.kind != "f" and name not in ("exponent", "exponent_y"):
            np.testing.assert_array_equal(stored[name], array)
    readings = possible(expected)
    scales = scales_of(expected, readings)
    for name, array in readings.items():
        same(reading(found, name), array, close, close * np.nan_to_num(scales.get(name, 0.0), posinf=0.0))


def scales_of(moments: covdist.Moments, readings: dict[str, xr.DataArray]) -> dict[str, Any]:
    """What is rounded to make a mean, a correlation or a covariance, whose spreads are those of x times those of y."""
    scales = {"mean": np.abs(readings["mean"]) + readings["std"], "corr": 1.0}
    if "cov" in readings:
        left, right = (reading(side, "std").to_numpy() for side in (moments.x, moments.y))
        left, right = (spread.reshape(*moments.rows.shape, -1) for spread in (left, right))
        with np.errstate(over="ignore"):
            scales["cov"] = (left[..., :, None] * right[..., None, :]).reshape(readings["cov"].shape)
    return scales


@pytest.mark.parametrize("name", FITTED)
def test_what_was_fitted_counts_as_its_rows(state, name):
    before, now = state(name), CASES[name](SECOND)
    total = before + now
    assert int(total.count) == int(before.count) + int(now.count)
    same(total.mean(), (before.mean() + now.mean()) / 2, CLOSE, CLOSE * before.std())


@pytest.mark.parametrize("name", SEVERAL)
def test_several_are_added_node_by_node(kept, nodes, name, tmp_path):
    called("merge", place(kept, name), place(kept, name), "-o", tmp_path / "twice.zarr")
    twice = loaded(tmp_path / "twice.zarr")
    for node, before in nodes(name).items():
        one = twice[node]
        np.testing.assert_array_equal(one.count, 2 * before.count)
        same(one.std(), before.std(), CLOSE)


@pytest.mark.parametrize("name", TILED)
def test_tiles_are_only_read(state, name, tmp_path):
    for call in (lambda: state(name).save(tmp_path / "anew.zarr"), lambda: state(name) + state(name)):
        with pytest.raises(covdist.CovdistError, match="in tiles"):
            call()


def test_groups_are_picked_and_joined(state):
    for name, dim in (("by numbers", "epoch"), ("by text", "phase"), ("by days", "day")):
        found = state(name)
        parts = [found.sel(**{dim: label}) for label in found.count[dim].to_numpy()]
        for whole in (found.merge(dim), reduce(covdist.Moments.merge, parts)):
            alike(whole, state("full"))


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in NOT_SHOWN])
def test_it_is_shown(kept, name):
    shown = json.loads(called("show", place(kept, name), "--json"))
    assert list(shown) == list(RESULTS[name])
    for node, before in RESULTS[name].items():
        for key, value in before["shown"].items():  # there may be more
            # Eigenvalues are LAPACK's, off by what the processor's BLAS rounds of the largest.
            of_all = CLOSE * largest_variance(kept, name, node) if key == "smallest_eigenvalue" else 0.0
            agree(shown[node][key], value, CLOSE, of_all)


def largest_variance(kept, name, node):
    variances = loaded(place(kept, name))[node].var().to_numpy()
    return float(variances[np.isfinite(variances)].max(initial=0.0))


def test_it_is_shown_as_a_table(kept):
    assert "block1/attn" in called("show", place(kept, "log"))

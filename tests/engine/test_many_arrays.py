"""Logs of many arrays: what they cost grows with their number and no faster, and small ones share tasks and files."""

from __future__ import annotations

import cProfile
import json
import pstats
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from click.testing import CliRunner

import covdist
from covdist.cli import main
from covdist.folding.batches import batches, folded_here
from covdist.folding.fold import fold_request
from covdist.folding.selection import Selection, requests
from covdist.folding.strategy import plan_of, plans_of
from covdist.logs.opening import log_nodes
from covdist.readings.plan import with_spectra


def planned(log: Path) -> int:
    plans = plans_of(requests(log_nodes(log), Selection()), with_spectra)
    return sum(plan.work.rows for plan in plans.values())


def calls(function: Callable[[], object]) -> int:
    """Count function calls: as good as seconds, and the same on any machine."""
    with cProfile.Profile() as profile:
        function()
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["a{}.npy", "a{}/activation.npy", "a/b{}/activation.npy"])
def test_planning_takes_a_time_in_proportion(place, tmp_path):
    for count in (50, 200):
        for number in range(count):
            file = tmp_path / str(count) / place.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.ones((3, 2)))
    assert planned(tmp_path / "50") == 150  # warm
    few, many = (calls(lambda count=count: planned(tmp_path / str(count))) for count in (50, 200))
    assert many < 4.4 * few


def test_arrays_that_are_alike_share_a_plan_and_others_do_not(tmp_path):
    for number, (rows, columns, kind) in enumerate(
        [(6, 2, "f8"), (6, 2, "f8"), (6, 2, "f4"), (7, 2, "f8"), (6, 3, "f8")]
    ):
        np.save(tmp_path / f"a{number}.npy", np.ones((rows, columns), kind))
    chosen = requests(log_nodes(tmp_path), Selection())
    plans = plans_of(chosen)
    assert plans["a0"] is plans["a1"]
    assert len({id(plan) for plan in plans.values()}) == 4
    assert plans == {path: plan_of(request) for path, request in chosen.items()}


def test_describing_a_log_makes_no_arrays(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"g{number}").mkdir()
        np.save(tmp_path / f"g{number}" / "a.npy", np.ones((6, 2)))
    monkeypatch.setattr(xr, "Dataset", None)
    monkeypatch.setattr(xr, "DataTree", None)
    nodes = log_nodes(tmp_path)
    assert list(nodes) == ["", "g0", "g1", "g2"]
    assert nodes["g1"].data == {"a": 2}
    assert list(requests(nodes, Selection(layer="g[12]"))) == ["g1", "g2"]


def test_a_log_is_described_as_its_tree_shows_it(tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for layer in ("", "b/c", "b-c/d", "a"):
        group = root.require_group(layer) if layer else root
        group.create_array("x", data=np.arange(12.0).reshape(4, 3), dimension_names=["step", "unit"])
        group.create_array("step", data=np.arange(4), dimension_names=["step"])
        group.create_array("epoch", data=np.arange(4) // 2, dimension_names=["step"])
    nodes, shown = log_nodes(tmp_path / "log.zarr"), covdist.open_log(tmp_path / "log.zarr")
    assert list(nodes) == [node.path.strip("/") for node in shown.subtree]
    for path, node in nodes.items():
        tree = shown[path] if path else shown
        assert list(node.data) == list(tree.data_vars)
        for name in node.data:
            xr.testing.assert_identical(node.array(name, name), tree[name])


def test_labels_that_are_read_beside_others_that_are_lazy(tmp_path):
    group = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for name in "xy":
        group.create_array(name, data=np.eye(4), dimension_names=["step", name])
    group.create_array("step", data=np.arange(4), dimension_names=["step"])
    group.create_array("epoch", data=np.arange(4) // 2, dimension_names=["step"])
    (request,) = requests(log_nodes(tmp_path / "log.zarr"), Selection(var="x", against="y")).values()
    assert fold_request(request).compute(scheduler="sync").cov().values.tolist() == np.cov(np.eye(4).T, ddof=0).tolist()


def folder_of(count: int, place: Path, rows: int = 20) -> Path:
    place.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        np.save(place / f"layer{number}.npy", rng.normal(size=(rows, 2 + number % 3)))
    return place


@pytest.mark.parametrize("selection", [Selection(), Selection(missing="interpolate"), Selection(state="higher")])
def test_small_arrays_share_tasks_and_have_the_same_bits(selection, tmp_path):
    log = folder_of(150, tmp_path / "log")
    chosen = requests(log_nodes(log), selection)
    together = batches(chosen, list(plans_of(chosen).values()))
    assert [len(batch.plans) for batch in together] == [64, 64, 22]
    found = [one for batch in together for one in batch.moments(batch.task().compute(scheduler="sync")).items()]
    here = folded_here(together)
    assert [path for path, _ in found] == list(chosen)
    tree, options = (
        covdist.open_log(log),
        {"missing": selection.missing, **({"state": selection.state} if selection.state else {})},
    )
    for path, one in found:
        alone = covdist.moments(tree[path], dim=tree[path].dims[0], **options)
        expected = alone.compute(scheduler="sync").dataset
        xr.testing.assert_identical(one.dataset, expected)
        xr.testing.assert_identical(here[path].dataset, expected)


def test_a_request_like_another_is_the_one_it_would_be_alone(tmp_path):
    rng = np.random.default_rng(0)
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(6):
        group = root.create_group(f"g{number}")
        x = group.create_array(
            "x", data=rng.normal(size=(6, 2)), chunks=(6 - number % 2, 2), dimension_names=("t", "u")
        )
        if number == 4:
            x.attrs["scale_factor"] = 2.0
        if number == 5:
            group.create_array("t", data=np.arange(6), dimension_names=("t",))
    nodes = log_nodes(tmp_path / "log.zarr")
    for selection in (Selection(), Selection(dim="u"), Selection(halflife=2.0), Selection(against="x")):
        together = requests(nodes, selection)
        for path, request in together.items():
            (alone,) = requests({path: nodes[path]}, selection).values()
            assert request.source == alone.source
            assert request.layout().provenance == alone.layout().provenance
            request.layout().merge(alone.layout())  # the same axes
            assert list(request.blocks) == list(alone.blocks)
            assert plan_of(request) == plan_of(alone)
            for one, other in zip(request.blocks.values(), alone.blocks.values(), strict=True):
                np.testing.assert_array_equal(one.compute(scheduler="sync"), other.compute(scheduler="sync"))


def test_a_run_that_takes_a_moment_starts_no_workers(tmp_path, monkeypatch):
    log = folder_of(20, tmp_path / "log")

    def no_cluster(**options):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("covdist.engine.cluster.cluster", no_cluster)
    run = ["run", str(log), "-o"]
    assert CliRunner().invoke(main, [*run, str(tmp_path / "result")]).exit_code == 0
    for words in (["--workers", "2"], ["--memory-limit", "1GiB"], ["--threads", "1"]):
        assert isinstance(CliRunner().invoke(main, [*run, str(tmp_path / "other"), *words]).exit_code, int)
        assert not (tmp_path / "other").exists()
    np.save(log / "wide.npy", np.ones((4, 400)))
    assert CliRunner().invoke(main, [*run, str(tmp_path / "other")]).exit_code == 1


def test_what_is_not_small_has_tasks_of_its_own(tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((4, 400)))
    np.save(tmp_path / "narrow.npy", np.ones((4, 4)))
    chosen = requests(log_nodes(tmp_path), Selection())
    plans = [plan_of(request) for request in chosen.values()]
    assert [list(batch.requests) for batch in batches(chosen, plans)] == [["narrow"]]
    chosen = requests(log_nodes(tmp_path), Selection(missing="maxent"))
    assert not batches(chosen, [plan_of(request) for request in chosen.values()])


def test_a_run_over_many_arrays_writes_few_files(tmp_path):
    log, result = folder_of(40, tmp_path / "log"), tmp_path / "result.zarr"
    done = CliRunner().invoke(main, ["run", str(log), "-o", str(result), "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert sum(each.is_file() for each in result.rglob("*")) < 40
    found = covdist.load(result)
    assert list(found) == list(said) == sorted(f"layer{number}" for number in range(40))
    for name, one in found.items():
        x = np.load(log / f"{name}.npy")
        assert one.layout.provenance["source"] == name
        np.testing.assert_allclose(one.cov(), np.cov(x.T, ddof=0), rtol=1e-12)
        np.testing.assert_allclose(said[name]["mean"], x.mean(), rtol=1e-12)
        assert said[name]["constant_columns"] == 0


@pytest.mark.parametrize("words", [[], ["--workers", "1"]])
def test_a_value_that_is_missing_is_named_by_its_array(words, tmp_path):
    log = folder_of(30, tmp_path / "log")
    x = np.load(log / "layer7.npy")
    x[3, 1] = np.nan
    np.save(log / "layer7.npy", x)
    done = CliRunner().invoke(main, ["run", str(log), "-o", str(tmp_path / "result.zarr"), *words])
    assert done.exit_code == 1
    assert "layer7 holds nan at row 3, column 1" in done.stderr
    assert not (tmp_path / "result.zarr").exists()

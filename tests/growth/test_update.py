"""``covdist.update``: what a log has grown by is folded, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.engine import plan
from covdist.errors import ResultError
from covdist.logs.zarr.files import ZarrFileSource
from covdist.state.named import state_types
from covdist.state.variances import Tiled

from .logs import STEPS, VALUES, as_named, assert_same, fold, record, state_of

OLD = 35  # steps; 105 rows, in chunks of 16


@pytest.mark.parametrize("by", [None, "epoch", "bins(step, width=10)", ("epoch", "bins(step, width=10)")])
def test_new_rows_groups_and_layers(tmp_path, by):
    log = record(tmp_path / "log.zarr", 0, OLD)
    before = fold(log, tmp_path / "r.zarr", by=by)
    assert as_named(before).keys() == {"fc1/activation", "fc1/input"}
    record(log, OLD, STEPS)
    found = covdist.update(log, tmp_path / "r.zarr")
    assert_same(found, fold(log, tmp_path / "all.zarr", by=by))
    assert_same(covdist.load(tmp_path / "r.zarr"), found)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["all.zarr", "log.zarr", "r.zarr"]


PARAMETERS = {"lagged": "lagged(lag=3)", "together": ("full", "variances")}


READ = {  # what fields in units of their own say, or in another order
    "norms": lambda m: m.shrink("ledoit-wolf"),
    "comoments": lambda m: m.shrink("constant-correlation"),
    "both norms": lambda m: covdist.cka(m, debiased=True),
    "sampled": lambda m: m.corr("spearman-approx"),
}


@pytest.mark.parametrize("name", [name for name in state_types() if name != Tiled.name])  # refused: test_refused.py
def test_every_state_goes_on(tmp_path, name):
    options = {"layer": "fc1", "var": "activation", "state": PARAMETERS.get(name, name)}
    if state_of(options["state"]).sides == 2:
        options["against"] = "input"
    log = record(tmp_path / "log.zarr", 0, OLD)
    fold(log, tmp_path / "r.zarr", **options)
    record(log, OLD, STEPS)
    found, expected = covdist.update(log, tmp_path / "r.zarr"), fold(log, tmp_path / "all.zarr", **options)
    assert_same(found, expected, rtol=1e-8)
    if name in READ:
        np.testing.assert_allclose(*map(READ[name], (found, expected)), rtol=1e-10)


@pytest.mark.parametrize("cuts", [[1, 2, 59], [5, 16, 48]], ids=str)  # within chunks, and at their borders
def test_any_number_of_updates_gives_the_same(tmp_path, cuts):
    log, before = tmp_path / "log.zarr", 0
    for stop in [*cuts, STEPS]:
        record(log, before, stop)
        found = covdist.update(log, tmp_path / "r.zarr") if before else fold(log, tmp_path / "r.zarr", by="epoch")
        before = stop
    assert_same(found, fold(log, tmp_path / "all.zarr", by="epoch"))


def test_the_bits_are_those_of_the_sum_and_of_a_run_that_is_cut_alike(tmp_path, monkeypatch):
    options = {"layer": "fc1", "var": "activation"}
    log = record(tmp_path / "log.zarr", 0, 32)  # 96 rows: six chunks
    old = fold(log, tmp_path / "r.zarr", **options)
    record(log, 32, 64 - 4)
    found = covdist.update(log, tmp_path / "r.zarr")
    rows = covdist.open_log(log)["fc1/activation"]
    new = covdist.moments(rows[96:], dim="sample")
    assert found.dataset.equals((old + new.compute()).dataset)
    monkeypatch.setattr(plan.Plan, "cuts", lambda self, bounds: [(0, 96), (96, 180)])
    monkeypatch.setattr(plan, "_cut", lambda work: (2, 16))
    assert found.dataset.equals(fold(log, tmp_path / "all.zarr", **options).dataset)


def test_only_new_rows_are_read_and_one_chunk_of_old_ones(tmp_path, monkeypatch):
    log = record(tmp_path / "log.zarr", 0, OLD)
    fold(log, tmp_path / "r.zarr")
    record(log, OLD, OLD + 5)
    read, whole = set(), ZarrFileSource.read_chunk

    def read_chunk(self, index, buffer=None):
        read.add((self.name, index[0]))
        return whole(self, index, buffer)

    monkeypatch.setattr(ZarrFileSource, "read_chunk", read_chunk)
    covdist.update(log, tmp_path / "r.zarr")
    rows = {name: {row for each, row in read if each == name} for name in ("fc1/activation", "fc1/input")}
    assert rows == {"fc1/activation": {6, 7}, "fc1/input": {6, 7}}


def test_where_nothing_is_new_nothing_is_written(tmp_path):
    log = record(tmp_path / "log.zarr", 0, STEPS)
    expected = fold(log, tmp_path / "r.zarr")
    before = (tmp_path / "r.zarr").stat()
    assert_same(covdist.update(log, tmp_path / "r.zarr"), expected)
    assert (tmp_path / "r.zarr").stat() == before


def test_a_single_array_and_a_second_one_beside_it(tmp_path):
    log = str(tmp_path / "log.zarr")
    with covdist.Recorder(log) as rec:
        rec.log(0, {"fc1/activation": VALUES[0]})
    assert isinstance(fold(log, tmp_path / "r.zarr"), covdist.Moments)
    with covdist.Recorder(log, mode="a") as rec:
        rec.log(1, {"fc1/activation": VALUES[1]})
    assert isinstance(covdist.update(log, tmp_path / "r.zarr"), covdist.Moments)
    with covdist.Recorder(log, mode="a") as rec:
        rec.log(2, {"fc1/gradient": VALUES[2].ravel()})
    found = covdist.update(log, tmp_path / "r.zarr")
    assert found.keys() == {"fc1/activation", "fc1/gradient"}
    assert_same(found, fold(log, tmp_path / "all.zarr"))


def test_ranks_that_grow_and_a_new_one(tmp_path):
    log = record(tmp_path / "log.zarr", 0, OLD, rank=0)
    record(log, 0, 20, values=VALUES + 1, rank=1)
    fold(log, tmp_path / "r.zarr", by="epoch")
    record(log, OLD, OLD + 4, rank=0)
    record(log, 20, 38, values=VALUES + 1, rank=1)
    with covdist.Recorder(log, rank=2) as rec:
        rec.log(0, {"fc1/activation": VALUES[0], "fc1/input": VALUES[0]}, epoch=0)
    assert_same(covdist.update(log, tmp_path / "r.zarr"), fold(log, tmp_path / "all.zarr", by="epoch"))


@pytest.mark.parametrize("dim", [None, "sample"])
def test_halflife(tmp_path, dim):
    log = record(tmp_path / "log.zarr", 0, OLD)
    options = {"layer": "fc1", "var": "activation", "halflife": 40, "dim": dim}
    fold(log, tmp_path / "r.zarr", **options)
    record(log, OLD, STEPS)
    expected = fold(log, tmp_path / "all.zarr", **options)
    found = covdist.update(log, tmp_path / "r.zarr")
    np.testing.assert_allclose(found.cov(), expected.cov(), rtol=1e-12)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-12)


@pytest.mark.parametrize("halflife", [0.03, 1e-3, 5e-324])
@pytest.mark.parametrize("options", [{}, {"by": "epoch"}, {"missing": "pairwise"}, {"state": "sampled"}], ids=str)
def test_old_rows_that_fade_to_nothing(tmp_path, halflife, options):
    log = record(tmp_path / "log.zarr", 0, OLD)
    options = {"layer": "fc1", "var": "activation", "halflife": halflife, "dim": "sample", **options}
    fold(log, tmp_path / "r.zarr", **options)
    record(log, OLD, STEPS)
    expected, found = fold(log, tmp_path / "all.zarr", **options), covdist.update(log, tmp_path / "r.zarr")
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(found.mean(), expected.mean(), rtol=1e-12)


@pytest.mark.parametrize("by", [None, "h"])
@pytest.mark.parametrize("change", [-500, 0])
def test_steps_that_were_changed_are_noticed_where_rows_are_left_out(tmp_path, by, change):
    """They tell how much each row weighs: of all rows the sum of weights shows it, of some nothing did."""
    folder, values = str(tmp_path / "x.zarr"), VALUES[:, 0].copy()
    values[3, 1] = np.nan

    def write(steps, **options):
        coords = {"step": steps, "h": ("step", steps // 20)}
        data = xr.DataArray(values[steps], dims=("step", "unit"), name="x", coords=coords)
        data.to_dataset().to_zarr(folder, consolidated=False, **options)

    write(np.arange(30), encoding={"x": {"chunks": (8, 4)}})
    fold(folder, tmp_path / "r.zarr", halflife=10.0, missing="drop", by=by)
    write(np.arange(30, 60), append_dim="step")
    steps = zarr.open_array(f"{folder}/step", mode="r+")
    steps[:20] = steps[:20] + change
    if change:
        with pytest.raises(ResultError, match="the steps that tell what they weigh are others"):
            covdist.update(folder, tmp_path / "r.zarr")
    else:
        found = covdist.update(folder, tmp_path / "r.zarr")
        whole = fold(folder, tmp_path / "w.zarr", halflife=10.0, missing="drop", by=by)
        np.testing.assert_allclose(found.cov(), whole.cov(), rtol=1e-9, atol=1e-12)


def test_results_that_do_not_tell_the_steps_of_their_half_life(tmp_path):
    log, result = record(tmp_path / "log.zarr", 0, OLD), tmp_path / "r.zarr"
    fold(log, result, layer="fc1", var="activation", halflife=40, dim="sample")
    root = json.loads((result / "zarr.json").read_text())
    (sides,) = root["attributes"]["made_from"]["arrays"].values()
    sides[0][4] = sides[0][4].partition("-")[0]  # as it was before
    (result / "zarr.json").write_text(json.dumps(root))
    record(log, OLD, STEPS)
    whole = fold(log, tmp_path / "w.zarr", layer="fc1", var="activation", halflife=40, dim="sample")
    np.testing.assert_allclose(covdist.update(log, result).cov(), whole.cov(), rtol=1e-12)


def test_halflife_that_was_changed_wherever_it_is_told(tmp_path):
    """The note and the state agreed, and old rows were taken for fresher than they were folded."""
    log, result = record(tmp_path / "log.zarr", 0, OLD), tmp_path / "r.zarr"
    fold(log, result, layer="fc1", var="activation", halflife=40)
    root = result / "zarr.json"
    told = root.read_text()
    assert told.count("40.0") == 2
    root.write_text(told.replace("40.0", "80.0"))
    record(log, OLD, STEPS)
    with pytest.raises(ResultError, match=r"the old rows of activation have weights of .*, where halflife=80\.0 gives"):
        covdist.update(log, result)


def steps_file(place, steps, **options):
    """Write or append to an array of steps with zarr's own names of dims, by xarray."""
    known = place.exists()
    data = xr.DataArray(VALUES[steps], dims=("step", "h", "unit"), name="x", coords={"step": steps})
    data.to_dataset().to_zarr(place, **({"append_dim": "step"} if known else options), consolidated=False)
    return str(place)


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2, "encoding": {"x": {"chunks": (8, 2, 4)}}},
        {"zarr_format": 3, "encoding": {"x": {"chunks": (4, 3, 2), "shards": (8, 3, 4)}}},
        {"zarr_format": 3, "encoding": {"x": {"chunks": (7, 3, 4), "scale_factor": 0.5, "dtype": "f4"}}},
    ],
    ids=["version 2", "shards", "scaled"],
)
@pytest.mark.parametrize("selection", [{}, {"dim": ("step", "h")}, {"each": "h"}], ids=str)
def test_other_stores(tmp_path, options, selection):
    log = steps_file(tmp_path / "x.zarr", np.arange(29), **options)
    fold(log, tmp_path / "r.zarr", **selection)
    steps_file(tmp_path / "x.zarr", np.arange(29, 60))
    assert_same(covdist.update(log, tmp_path / "r.zarr"), fold(log, tmp_path / "all.zarr", **selection))


def test_behind_a_url(tmp_path):
    url = f"memory://{tmp_path.name}/x.zarr"
    root = zarr.open_group(url, mode="w")
    root.create_array("x", data=VALUES[:, 0], chunks=(16, 4))
    fold(url, tmp_path / "r.zarr")
    root["x"].append(VALUES[:, 1])
    assert_same(covdist.update(url, tmp_path / "r.zarr"), fold(url, tmp_path / "all.zarr"))
    root["x"][3] = 0
    root["x"].append(VALUES[:, 2])
    with pytest.raises(covdist.CovdistError, match="files that hold them were written to"):
        covdist.update(url, tmp_path / "r.zarr")

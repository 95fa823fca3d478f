"""What `covdist run`, `plan`, `show` and `merge` print and write is what numpy says of the same arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import covdist

from . import logs, running
from .calling import output, sentence

NAMES = [f"{layer}/{variable}" for layer in logs.WIDTHS for variable in ("activation", "gradient")]


@pytest.fixture(scope="module")
def result(log: logs.Log, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The whole log, folded once on a cluster of `covdist`'s own."""
    place = tmp_path_factory.mktemp("result") / "result"
    return place, running.output("run", log.path, "-o", place)


def check(record: dict, values: np.ndarray) -> None:
    """Compare a printed summary with numpy; the bounds allow for rounding in the oracle."""
    assert (record["rows"], record["columns"]) == (len(values), [values.shape[1]])
    close = {"rtol": 1e-10, "atol": 0}
    np.testing.assert_allclose(record["mean"], values.mean(), **close)
    np.testing.assert_allclose(record["std"], values.std(), **close)
    snr = np.linalg.norm(values.mean(axis=0)) / np.sqrt(values.var(axis=0).sum())
    np.testing.assert_allclose(record["snr"], snr, **close)
    assert record["zero_fraction"] == pytest.approx((values == 0).mean())
    assert record["constant_columns"] == (values.std(axis=0) == 0).sum()
    if "largest_correlation" in record:
        varying = values[:, values.std(axis=0) > 0]
        pairs = np.triu_indices(varying.shape[1], 1)
        largest = np.abs(np.corrcoef(varying.T)[pairs]).max()
        np.testing.assert_allclose(record["largest_correlation"], largest, rtol=1e-10)


def run(log: logs.Log, place: Path, *words: object) -> dict:
    return json.loads(output("run", log.path, "-o", place / "result", "--json", *words))


def test_run_shows_every_array(result, log):
    _, table = result
    assert all(name in table for name in NAMES)
    assert "200" in table
    assert "Completed" not in table


def test_run_writes_every_array(result, log):
    found = covdist.load(result[0])
    assert found.keys() == log.arrays.keys()
    for name, values in log.arrays.items():
        expected = np.cov(values.T, ddof=0)
        np.testing.assert_allclose(found[name].cov(), expected, rtol=1e-10, atol=1e-13 * expected.max())


def test_show_prints_it_again(result, log):
    found = json.loads(output("show", result[0], "--json"))
    assert found.keys() == log.arrays.keys()
    for name, values in log.arrays.items():
        check(found[name], values)
    assert sorted(output("show", result[0]).split()) == sorted(result[1].split())


def test_layer_var_and_by(log, tmp_path, scheduler_file):
    place = tmp_path / "result"
    words = ["--layer", "block*/attn", "--var", "gradient", "--by", "epoch"]
    found = run(log, tmp_path, *words, "--scheduler-file", scheduler_file)
    assert list(found) == ["block1/attn"]
    gradient = log.arrays["block1/attn/gradient"]
    check(found["block1/attn"], gradient)
    assert found["block1/attn"]["groups"] == {"epoch": 2}
    for epoch in (0, 1):
        mean = covdist.load(place).sel(epoch=epoch).mean()
        np.testing.assert_allclose(mean, gradient[logs.epochs() == epoch].mean(axis=0), rtol=1e-12)


def test_against(log, tmp_path, scheduler):
    words = ["--layer", "fc1", "--var", "activation", "--against", "gradient"]
    found = run(log, tmp_path, *words, "--scheduler", scheduler)["fc1"]
    assert (found["kind"], found["columns"]) == ("cross", [6, 3])
    x, y = log.arrays["fc1/activation"], log.arrays["fc1/gradient"]
    expected = (x - x.mean(axis=0)).T @ (y - y.mean(axis=0)) / len(x)
    loaded = covdist.load(tmp_path / "result")
    np.testing.assert_allclose(loaded.cov(), expected, rtol=1e-8, atol=1e-20)
    assert found["largest_correlation"] == pytest.approx(np.nanmax(np.abs(loaded.corr())))


def test_dim_and_max_columns(log, tmp_path, scheduler):
    words = ["--layer", "fc1", "--var", "activation", "--dim", "unit", "--max-columns", "50"]
    found = run(log, tmp_path, *words, "--scheduler", scheduler)["fc1"]
    assert found["kind"] == "variances"
    check(found, log.arrays["fc1/activation"].T)


def test_beyond_in_tiles(log, tmp_path, scheduler):
    words = ["--layer", "fc1", "--var", "activation", "--dim", "unit", "--max-columns", "50", "--beyond", "tiles"]
    found = run(log, tmp_path, *words, "--scheduler", scheduler)["fc1"]
    assert found["kind"] == "tiles"
    values = log.arrays["fc1/activation"].T
    check(found, values)
    matrix = covdist.load(tmp_path / "result").cov()
    np.testing.assert_allclose(matrix, np.cov(values.T, ddof=0), rtol=1e-9, atol=1e-12)
    (planned,) = json.loads(output("plan", log.path, *words, "--json")).values()
    assert (planned["way"], set(planned["ways"])) == ("tiles", {"memory", "tiles", "dual", "sketch"})
    assert "or sketch" in output("plan", log.path, *words)


@pytest.mark.parametrize("policy", ["drop", "propagate"])
def test_missing(policy, nan_log, tmp_path, scheduler):
    found = run(nan_log, tmp_path, "--missing", policy, "--scheduler", scheduler)["fc1"]
    values = nan_log.arrays["fc1/gradient"]
    if policy == "drop":
        check(found, np.delete(values, logs.BAD_ROW, axis=0))
    mean = covdist.load(tmp_path / "result").mean()
    assert np.isnan(mean).sum() == (policy == "propagate")
    kept = [column for column in range(logs.PARAMS) if column != logs.BAD_COLUMN]
    rows = values if policy == "propagate" else np.delete(values, logs.BAD_ROW, axis=0)
    np.testing.assert_allclose(mean[kept], rows[:, kept].mean(axis=0), rtol=1e-12)


def test_missing_chunks_as_fill(tmp_path, scheduler):
    values = np.random.default_rng(2).normal(size=(60, 3))
    log = logs.one(tmp_path / "log.zarr", values)
    logs.chunk_file(log, 1).unlink()
    found = run(log, tmp_path, "--missing-chunks", "fill", "--scheduler", scheduler)["fc1"]
    values[logs.CHUNK : 2 * logs.CHUNK] = 0
    check(found, values)


def test_plan_counts_what_a_run_reads(log):
    found = json.loads(output("plan", log.path, "--json"))
    assert found.keys() == log.arrays.keys()
    for name, values in log.arrays.items():
        assert found[name]["rows"] == len(values)
        assert found[name]["bytes_read"] == values.nbytes
        assert found[name]["peak_bytes"] > values.nbytes
    assert all(name in output("plan", log.path) for name in NAMES)


def test_merge_adds_rows(tmp_path):
    rows = np.random.default_rng(3).normal(size=(50, 4))
    parts = [tmp_path / "first", tmp_path / "second", tmp_path / "third"]
    for part, values in zip(parts, np.split(rows, [10, 35]), strict=True):
        covdist.moments(values).save(part)
    (record,) = json.loads(output("merge", *parts, "-o", tmp_path / "sum", "--json")).values()
    check(record, rows)
    np.testing.assert_allclose(covdist.load(tmp_path / "sum").cov(), np.cov(rows.T, ddof=0), rtol=1e-12)


def test_merge_refuses_other_columns(tmp_path):
    for width in (3, 4):
        covdist.moments(np.eye(width)).save(tmp_path / str(width))
    said = sentence("merge", tmp_path / "3", tmp_path / "4", "-o", tmp_path / "sum")
    assert "unit (3)" in said
    assert "unit (4)" in said
    assert not (tmp_path / "sum").exists()


def test_merge_refuses_other_arrays(result, tmp_path):
    covdist.moments(np.eye(3)).save(tmp_path / "single")
    said = sentence("merge", result[0], tmp_path / "single", "-o", tmp_path / "sum")
    assert NAMES[0] in said
    assert "one state" in said
    assert not (tmp_path / "sum").exists()


@pytest.mark.parametrize("policy", ["pairwise", "interpolate", "maxent"])
def test_missing_values_are_used(tmp_path, scheduler, policy):
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    np.save(tmp_path / "x.npy", x)
    words = ["--missing", policy, "--inf", "missing", "--scheduler", scheduler, "--json"]
    (record,) = json.loads(output("run", tmp_path / "x.npy", "-o", tmp_path / "result", *words)).values()
    assert (record["rows"], record["missing"], record["inf"]) == (200, policy, "missing")
    expected = covdist.moments(x, missing=policy)
    found = covdist.load(tmp_path / "result")
    np.testing.assert_allclose(found.cov(), expected.cov(), rtol=1e-9, atol=1e-12)
    if policy == "pairwise":
        assert record["smallest_eigenvalue"] == pytest.approx(float(expected.smallest_eigenvalue()))
        np.testing.assert_array_equal(found.count, expected.count)
    if policy == "maxent":
        assert record["converged"]


def test_missing_pairwise_in_a_job(tmp_path, scheduler):
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    np.save(tmp_path / "x.npy", x)
    output("run", tmp_path / "x.npy", "--missing", "pairwise", "--job", tmp_path / "job", "--scheduler", scheduler)
    np.testing.assert_allclose(covdist.load(tmp_path / "job").cov(), covdist.cov(x, missing="pairwise"), rtol=1e-12)


def test_a_log_of_one_array_goes_by_its_name(tmp_path, scheduler):
    np.save(tmp_path / "weights.npy", np.eye(3))
    ran = output("run", tmp_path / "weights.npy", "-o", tmp_path / "out.zarr", "--scheduler", scheduler)
    for said in (ran, output("show", tmp_path / "out.zarr"), output("plan", tmp_path / "weights.npy")):
        assert "weights" in said
        assert "(root)" not in said
    assert list(json.loads(output("show", tmp_path / "out.zarr", "--json"))) == [""]


def test_by_bins(log, tmp_path):
    by = "bins(epoch, [0, 1, 2]),epoch"
    output("run", log.path, "--layer", "fc1", "--var", "gradient", "--by", by, "-o", tmp_path / "r")
    assert covdist.load(tmp_path / "r").count.dims == ("epoch_bins_epoch",)


def test_blocks_and_their_errors(log, tmp_path):
    output("run", log.path, "--layer", "fc1", "--var", "activation", "--blocks", "8", "-o", tmp_path / "r")
    found = json.loads(output("read", tmp_path / "r", "jackknife", "mean", "--level", "0.9", "--json"))[""]
    expected = covdist.moments(log.arrays["fc1/activation"], blocks=8).jackknife("mean", level=0.9)
    np.testing.assert_allclose(found["data_vars"]["error"]["data"], expected["error"], rtol=1e-12)

"""A result much larger than its log is refused before anything runs or is written, unless forced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result
from distributed import Client

import covdist
from covdist.cli import main
from covdist.errors import PlanError
from covdist.folding.fold import fold_request
from covdist.folding.selection import Selection, requests
from covdist.folding.strategy import plan_of
from covdist.limits import changed
from covdist.logs.opening import log_nodes

WIDE, NARROW = 50, 2
ROWS = 3 * WIDE // 2  # of three groups, none of which has so few that it is kept as rows
GROUPED = 3 * 8 * (WIDE**2 + 8 * WIDE + 4)
FLOOR = 30_000


@pytest.fixture(autouse=True)
def low_floor():
    with changed(oversized_result_bytes=FLOOR):
        yield


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.zarr"
    rng = np.random.default_rng(0)
    arrays = {"wide": (("step", "param"), rng.normal(size=(ROWS, WIDE)))}
    arrays |= {"narrow": (("step", "unit"), rng.normal(size=(ROWS, NARROW)))}
    xr.Dataset(arrays, {"epoch": ("step", np.arange(ROWS) % 3)}).to_zarr(path, zarr_format=2)
    return path


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, dashboard_address="127.0.0.1:0", n_workers=1, threads_per_worker=1) as found:
        yield found


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def says_no(said: str) -> bool:
    names = "result of 2 arrays would take", "for wide", "the 30.5 KiB that", "or 29.3 KiB", "--force"
    return all(name in said for name in (*names, "--by of fewer groups than the 3 of 'epoch'", "--state variances"))


@pytest.mark.parametrize("end", [["-o", "out"], ["--job", "job"], ["-o", "out", "--job", "job"]], ids=str)
def test_run_refuses_and_leaves_nothing(log, tmp_path, monkeypatch, end):
    monkeypatch.chdir(tmp_path)
    done = call("run", log, "--by", "epoch", *end)
    assert (done.exit_code, done.stdout) == (1, "")
    assert says_no(done.stderr), done.stderr
    assert not list(tmp_path.iterdir())


def test_plan_prints_its_table_and_refuses(log):
    for words in ([], ["--json"]):
        done = call("plan", log, "--by", "epoch", *words)
        assert done.exit_code == 1
        assert says_no(done.stderr), done.stderr
        forced = call("plan", log, "--by", "epoch", "--force", *words)
        assert (forced.exit_code, forced.stderr, forced.stdout) == (0, "", done.stdout)
    assert json.loads(done.stdout)["wide"]["bytes_written"] >= GROUPED - 3 * 8 * 4


def test_ordinary_runs_are_planned(log):
    for words in ([], ["--by", "epoch", "--state", "variances"], ["--by", "epoch", "--var", "narrow"]):
        done = call("plan", log, *words)
        assert (done.exit_code, done.stderr) == (0, "")


def test_a_result_larger_than_a_small_log_is_ordinary(log):
    with changed(oversized_result_bytes=1 << 30):
        assert call("plan", log, "--by", "epoch").exit_code == 0


def test_submit(log, client, tmp_path):
    with pytest.raises(PlanError, match="would take"):
        covdist.submit(log, job=tmp_path / "job", by="epoch", client=client)
    assert not list(tmp_path.iterdir())
    job = covdist.submit(log, job=tmp_path / "job", by="epoch", client=client, force=True).wait()
    assert job.result()["wide"].sel(epoch=1).cov().shape == (WIDE, WIDE)
    assert covdist.submit(log, job=tmp_path / "job", by="epoch", client=client).id == job.id  # it has begun
    assert call("resume", job.path, "--json").exit_code == 0


def test_python_plan_says_so(log):
    wide = covdist.open_log(log)["wide"]
    plan = covdist.plan(wide, dim="step", by="epoch")
    assert plan.refusal.startswith("the result of wide would take 6")
    assert plan.refusal in str(plan)
    assert covdist.plan(wide, dim="step").refusal == ""
    assert "saved result" in str(covdist.plan(wide, dim="step"))


def test_advice_is_of_options_that_help(log):
    tree = covdist.open_log(log)
    cross = covdist.plan(tree["wide"], tree["wide"].rename("other"), dim="step", by="epoch").refusal
    assert ("fewer groups" in cross, "variances" in cross) == (True, False)
    with changed(oversized_result_bytes=1):
        assert "--by" not in covdist.plan(tree["wide"], dim="step").refusal
        few = tree["wide"].isel(step=slice(12))
        cross = covdist.plan(few, few.rename("other"), dim="step").refusal
        assert "--layer and --var" in cross


SAVED = {
    "full": {}, "groups": {"by": "epoch"}, "variances": {"state": "variances"}, "pairwise": {"missing": "pairwise"},
    "cross": {"var": "wide", "against": "narrow"},
    "columnwise": {"var": "wide", "against": "wide", "state": "columnwise"}, "lagged": {"state": "lagged(lag=2)"},
    "tiles": {"max_columns": 0, "beyond": "tiles", "var": "wide"},
}  # fmt: skip


@pytest.mark.parametrize("options", SAVED.values(), ids=SAVED)
def test_the_planned_size_is_that_on_disk(log, tmp_path, options):
    chosen = requests(log_nodes(log), Selection(**options))
    for path, request in chosen.items():
        fold_request(request).save(tmp_path / f"{path}.zarr")
        found = [file for file in (tmp_path / f"{path}.zarr").rglob("*") if file.is_file() and file.name != "zarr.json"]
        size = sum(file.stat().st_size for file in found)
        beyond = 4 * WIDE**2 if "beyond" in options else 0  # tiles on the diagonal are written whole
        assert 0 <= size - plan_of(request).bytes_written < 150 + beyond  # checksums, and a few counts

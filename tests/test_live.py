"""``Recorder(path, stats=...)``: what windows of steps hold is what the moments of a recorded log's rows are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import covdist
from covdist.cli import main
from covdist.errors import DataError, ResultError
from covdist.results.windows import DIM
from tests.child import child

RNG = np.random.default_rng(1)
STEPS = 25
ACTIVATION = RNG.normal(3, 1e-3, (STEPS, 6, 4)).astype("f4")
GRADIENT = RNG.normal(0, 1e-160, (STEPS, 2, 3))


def arrays(step):
    return {"fc1/activation": ACTIVATION[step], "fc1/gradient": GRADIENT[step], "loss": float(step)}


def log(rec, start=0, stop=STEPS):
    for step in range(start, stop):
        rec.log(step, arrays(step), epoch=step // 5, split="train")


@pytest.fixture
def stats(tmp_path):
    with covdist.Recorder(tmp_path / "run.stats", stats=10) as rec:
        log(rec)
    return tmp_path / "run.stats"


def test_windows_are_the_moments_of_the_rows_of_a_log(stats, tmp_path):
    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        log(rec)
    rows, found = covdist.open_log(tmp_path / "run.zarr"), covdist.load(stats)
    assert found.keys() == {"fc1/activation", "fc1/gradient", "loss"}
    for name, one in found.items():
        assert one.layout.groups.values.tolist() == [0, 10, 20]
        array = rows[name]
        by = covdist.bins("step", width=10)
        expected = covdist.moments(array, dim=array.dims[0], by=by).compute()
        assert one.layout.axes == expected.layout.axes
        assert one.count.values.tolist() == expected.count.values.tolist()
        np.testing.assert_allclose(one.mean(), expected.mean(), rtol=1e-13)
        std = expected.std().values
        np.testing.assert_allclose(one.std(), std, rtol=1e-13)
        scale = std[..., :, None] * std[..., None, :] if array.ndim > 1 else std**2
        scaled = one.corr() * scale if array.ndim > 1 else one.std() ** 2
        np.testing.assert_allclose(scaled, (expected.corr() * scale) if array.ndim > 1 else std**2, rtol=1e-12, atol=0)
        whole, all_rows = one.merge(DIM), covdist.moments(array, dim=array.dims[0]).compute()
        np.testing.assert_allclose(whole.std(), all_rows.std(), rtol=1e-13)
        np.testing.assert_allclose(one.sel(window=10).mean(), expected.sel(step_bins=10).mean(), rtol=1e-13)


def test_commands_read_them(stats, tmp_path):
    def said(*words):
        done = CliRunner().invoke(main, [*map(str, words), "--json"])
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    assert said("show", stats)["fc1/activation"]["groups"] == {DIM: 3}
    assert said("merge", stats, stats, "-o", tmp_path / "both")["fc1/activation"]["rows"] == 2 * 6 * STEPS
    assert CliRunner().invoke(main, ["read", str(stats), "var"]).exit_code == 0


def test_arrays_that_change_after_the_call(tmp_path):
    with covdist.Recorder(tmp_path / "s", stats=100) as rec:
        reused = np.empty((6, 4), "f4")
        for step in range(STEPS):
            reused[:] = ACTIVATION[step]
            rec.log(step, {"fc1/activation": reused})
            reused[:] = np.nan
    found = covdist.load(tmp_path / "s")["fc1/activation"].merge(DIM)
    np.testing.assert_allclose(found.cov(), np.cov(ACTIVATION.reshape(-1, 4).T.astype("f8"), ddof=0), rtol=1e-11)


def test_wide_gradients_have_variances_alone(tmp_path):
    wide = RNG.normal(size=(4, 50_000)).astype("f4")
    with covdist.Recorder(tmp_path / "s", stats=4) as rec:
        for step in range(4):
            rec.log(step, {"fc1/gradient": wide[step]})
    found = covdist.load(tmp_path / "s")["fc1/gradient"].sel(window=0)
    assert found.layout.kind == "variances"
    np.testing.assert_allclose(found.var(), wide.astype("f8").var(axis=0), rtol=1e-12)


def test_training_that_diverges_goes_on(tmp_path):
    with covdist.Recorder(tmp_path / "s", stats=2) as rec:
        for step, value in enumerate([1.0, 2.0, np.nan, np.inf]):
            rec.log(step, {"x": np.array([[value, 1.0]])})
    found = covdist.load(tmp_path / "s")["x"]
    assert np.isnan(found.mean().values).tolist() == [[False, False], [True, False]]


def test_it_goes_on_where_it_ended(stats):
    with covdist.Recorder(stats, mode="a", stats=10) as rec:
        with pytest.raises(DataError, match="step 24 is in statistics that are saved, up to step 24"):
            rec.log(24, arrays(24))
        rec.log(25, arrays(3))
        rec.log(31, arrays(4))
    found = covdist.load(stats)["fc1/activation"]
    assert found.rows.values.tolist() == [60, 60, 36, 6]


def test_what_lies_beside_windows_is_none_of_them(stats):
    before = covdist.load(stats)["fc1/gradient"]
    shutil.copytree(sorted(stats.glob("steps-*"))[0], stats / "steps-copy")
    shutil.copytree(stats / "steps-copy", stats / "steps-1-2")
    (stats / "steps-x").write_text("a note")
    found = covdist.load(stats)["fc1/gradient"]
    np.testing.assert_array_equal(found.count, before.count)
    with covdist.Recorder(stats, mode="a", stats=10) as rec:
        rec.log(STEPS, arrays(0), epoch=5, split="train")
    assert int(covdist.load(stats)["loss"].count.sum()) == STEPS + 1


MOVED = {
    "steps that another holds": ("steps-000000000001-000000000002", r"holds steps that steps-0+-.* holds too"),
    "a later window": ("steps-000000000400-000000000401", r"holds the windows \[0\], expected the one of \d+ steps"),
    "several windows": ("steps-000000000200-000000000401", r"holds the windows \[0\], expected the one"),
    "the end before the start": ("steps-000000000401-000000000400", r"holds the windows \[0\], expected the one"),
}


@pytest.mark.parametrize(("name", "said"), MOVED.values(), ids=MOVED)
def test_rows_count_once_and_in_their_own_window(name, said, stats):
    shutil.copytree(sorted(stats.glob("steps-*"))[0], stats / name)
    with pytest.raises(ResultError, match=f"{name} {said}.*move"):
        covdist.load(stats)


@pytest.mark.parametrize("number", [0, -10])
def test_windows_of_no_steps_are_none(number, stats):
    (stats / "windows.json").write_text(json.dumps({"covdist": 1, "steps": number}))
    with pytest.raises(ResultError, match="is not a covdist result"):
        covdist.load(stats)


def test_a_marker_that_is_a_pipe(stats):
    (stats / "windows.json").unlink()
    os.mkfifo(stats / "windows.json")
    for use in (covdist.load, lambda path: covdist.Recorder(path, mode="a", stats=10)):
        with pytest.raises(ResultError):
            use(stats)


def test_negative_steps(tmp_path):
    for mode, first in (("x", -7), ("a", -4)):
        with covdist.Recorder(tmp_path / "run.stats", mode=mode, stats=2) as rec:
            for step in range(first, first + 3):
                rec.log(step, {"loss": float(step)})
    assert int(covdist.load(tmp_path / "run.stats")["loss"].count.sum()) == 6


def test_ranks_add_up(tmp_path):
    for rank in (0, 1):
        with covdist.Recorder(tmp_path / "s", stats=10, rank=rank) as rec:
            log(rec, stop=12 + rank)
    assert covdist.load(tmp_path / "s")["fc1/activation"].rows.values.tolist() == [120, 30]
    with pytest.raises(ResultError, match="holds windows of rank 1 already"):
        covdist.Recorder(tmp_path / "s", stats=10, rank=1)


TRAINING = """
import os, sys, numpy as np, covdist
rec = covdist.Recorder(sys.argv[1], stats=5)
for step in range(1000):
    rec.log(step, {"x": np.full((2, 3), step)})
    if step == 13:
        rec.flush()
        print("now", flush=True)
        sys.stdin.read()
"""


def test_a_kill_loses_the_last_window_alone(tmp_path):
    words = [sys.executable, "-c", TRAINING, str(tmp_path / "s")]
    with child(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, signal.SIGKILL)
    found = covdist.load(tmp_path / "s")["x"]
    assert found.layout.groups.values.tolist() == [0, 5]
    assert found.mean().values[:, 0].tolist() == [2, 7]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"stats": 0}, DataError, "stats must be a whole number from 1, found 0"),
        ({"stats": True}, DataError, "stats must be a whole number from 1, found True"),
        ({"stats": 10}, ResultError, "exists already"),
        ({"stats": 5, "mode": "a"}, ResultError, "holds no statistics in windows of 5 steps, found 10"),
        ({"stats": 10, "mode": "w"}, DataError, "mode='w' is unknown"),
        ({"stats": 10, "mode": "a", "chunk": 8}, DataError, "chunk is about a log, and with stats= none is written"),
    ],
    ids=str,
)
def test_bad_options(stats, options, error, said):
    with pytest.raises(error, match=said):
        covdist.Recorder(stats, **options)
    with pytest.raises(DataError, match="is a URL"):
        covdist.Recorder("memory://s", stats=10)


def test_bad_calls_fold_nothing(tmp_path):
    with covdist.Recorder(tmp_path / "s", stats=10) as rec:
        rec.log(12, {"x": np.ones((2, 3))})
        for step, value, said in [
            (13, np.ones((2, 4)), "expected \\(3,\\) as before"),
            (13, ["a", "b"], r"x is text, .* leave it out\.$"),
            (9, np.ones((2, 3)), r"^step 9 is in a window before that of step 12: log steps in order\.$"),
            (1.5, np.ones((2, 3)), "whole number"),
        ]:
            with pytest.raises(DataError, match=said):
                rec.log(step, {"y": np.ones((1, 1)), "x": value})
    assert covdist.load(tmp_path / "s").keys() == {"x"}
    with pytest.raises(ResultError, match="is closed"):
        rec.log(13, {"x": np.ones((2, 3))})


def test_no_window_yet(tmp_path):
    rec = covdist.Recorder(tmp_path / "s", stats=10)
    rec.log(0, arrays(0))
    with pytest.raises(ResultError, match="holds no window yet"):
        covdist.load(tmp_path / "s")
    rec.close()
    assert covdist.load(tmp_path / "s")["loss"].rows.values.tolist() == [1]

"""``covdist show RESULT --plot DIR``: files of plots, whole or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import covdist
from covdist.cli import main
from covdist.terminal import pictures

PNG = b"\x89PNG\r\n\x1a\n"
X = np.random.default_rng(0).normal(size=(60, 4))


@pytest.fixture
def result(tmp_path):
    x = X.copy()
    x[3, 1] = np.nan
    rows = xr.DataArray(x, dims=("step", "unit"), coords={"epoch": ("step", np.arange(60) // 20)})
    states = {
        "a/gradient": covdist.moments(X, state="variances"),
        "b$x$/<script>": covdist.moments(rows, dim="step", by="epoch", missing="drop"),
        "one": covdist.moments(X[:, 0]),
    }
    from covdist.results.saving import save

    save(states, tmp_path / "result.zarr")
    return tmp_path / "result.zarr"


def show(*words):
    return CliRunner().invoke(main, ["show", *map(str, words)])


def test_each_plot_is_a_file_with_a_safe_name(result, tmp_path):
    done = show(result, "--plot", tmp_path / "plots")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("6 plots in ")
    files = {path.name: path.read_bytes() for path in (tmp_path / "plots").iterdir()}
    odd = "b_x_._script_"
    assert set(files) == {
        f"{odd}.correlation.png", f"{odd}.spectrum.png", f"{odd}.missing.png", f"{odd}.drift.png", "one.spectrum.png",
        "gradients.png",
    }  # fmt: skip
    assert all(data.startswith(PNG) and len(data) > 5000 for data in files.values())


def test_json_stays_json_and_a_folder_that_exists_is_left_alone(result, tmp_path):
    done = CliRunner().invoke(main, ["show", str(result), "--json", "--plot", str(tmp_path / "plots")])
    assert set(json.loads(done.stdout)) == {"a/gradient", "b$x$/<script>", "one"}
    again = show(result, "--plot", tmp_path / "plots")
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_nothing_is_left_of_plots_that_fail(result, tmp_path, monkeypatch):
    saved = []

    def save(draw, path):
        if len(saved) == 2:
            raise covdist.CovdistError("the third fails")
        saved.append(path)
        path.write_bytes(b"")

    monkeypatch.setattr(pictures, "_save", save)
    assert show(result, "--plot", tmp_path / "plots").exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]


def test_where_there_is_nothing_to_draw_it_says_so(tmp_path):
    covdist.moments(X, state="variances").save(tmp_path / "v.zarr")
    done = show(tmp_path / "v.zarr", "--plot", tmp_path / "plots")
    assert done.exit_code == 1
    assert "there is nothing to draw: the result holds" in done.output
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/x.spectrum", "etc.x.spectrum.png"),
        ("", "_.png"),
        ("É/é.drift", "_._.drift.png"),
        ("-rf.drift", "rf.drift.png"),
        ("A.drift", "A_.drift.png"),
    ],
)
def test_names_of_files(name, expected):
    assert pictures._file_name(name, ["a.drift.png"]) == expected
    assert len(pictures._file_name("x" * 500 + ".drift", [])) < 120

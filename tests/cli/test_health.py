"""``covdist health``: a table within 80 columns, sentences, and the same numbers as Python's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.terminal.health import health_records

from . import logs, running
from .calling import output, sentence

RNG = np.random.default_rng(0)
SIZES = {"block1/attn": 1e-4, "block2/attn": 0.05, "head": 1.0}


@pytest.fixture(scope="module")
def sick(tmp_path_factory) -> Path:
    """Gradients that shrink, units that say the same, one value that is not finite; in three epochs."""
    path = tmp_path_factory.mktemp("health") / "log.zarr"
    nodes = {"/": xr.Dataset()}
    for layer, size in SIZES.items():
        units = np.tanh(RNG.normal(size=(60, 4)))
        arrays = {"gradient": (("step", "param"), size * RNG.normal(size=(30, 8)))}
        arrays["activation"] = ("sample", "unit"), units[:, [0, 1, 2, 3, 0, 1]]
        epochs = {"epoch": ("step", np.repeat([0, 1, 2], 10)), "sample_epoch": ("sample", np.repeat([0, 1, 2], 20))}
        nodes[f"/{layer}"] = xr.Dataset(arrays, epochs)
    nodes["/head"]["activation"][59, 1] = np.inf
    xr.DataTree.from_dict(nodes).to_zarr(path, zarr_format=2)
    return path


def test_the_page(sick):
    page = output("health", sick)
    rows = [line.split() for line in page.splitlines() if "vanishing" in line]
    assert [row[0] for row in rows] == ["block1/attn"]
    assert rows[0][1:] == [rows[0][1], rows[0][2], rows[0][3], "vanishing", "0%", "33%"]
    said = [" ".join(each.split()) for each in page.split("\n-> ")[1:]]  # lines are as wide as the terminal
    assert said == covdist.health(covdist.open_log(sick), by=()).compute()["advice"].item().split("\n")
    assert "1 value of head" in said[0]


@pytest.mark.parametrize("words", [[], ["--by", "epoch", "--bounds", "*=-1,1"]])
def test_the_table_fits_80_columns(sick, words, monkeypatch):
    monkeypatch.setattr("covdist.commands.health.console", lambda: __import__("rich.console").console.Console(width=80))
    lines = [line for line in output("health", sick, *words).splitlines() if line]
    table = lines[: next(number for number, line in enumerate(lines) if line.startswith("-> "))]
    assert len(table) >= 3 + (9 if words else 3)  # long names go on below themselves
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)


def test_json_has_the_numbers_of_python(sick):
    found = json.loads(output("health", sick, "--by", "epoch", "--json"))
    expected = covdist.health(covdist.open_log(sick), by="epoch").compute()
    assert found["layers"] == health_records(expected)
    assert [(one["layer"], one["epoch"]) for one in found["layers"]][:4] == [
        ("block1/attn", 0), ("block1/attn", 1), ("block1/attn", 2), ("block2/attn", 0),
    ]  # fmt: skip
    assert found["layers"][0]["rms"] == pytest.approx(expected["rms"][0, 0].item())
    assert found["layers"][0]["saturated_share"] is None


def test_thresholds_and_layers(sick):
    words = ["--vanishing", "1e-7", "--redundant", "1", "--layers", "block1/attn", "--layers", "block2/attn"]
    found = json.loads(output("health", sick, *words, "--json"))
    assert [one["verdict"] for one in found["layers"]] == ["ok", "ok"]
    assert found["advice"] == ["Nothing to change."]


def test_bounds_say_which_units_are_saturated(sick):
    found = json.loads(output("health", sick, "--bounds", "block*=-1,1", "--saturated", "0.9", "--json"))
    assert [one["saturated_share"] for one in found["layers"]] == [1, 1, None]
    assert [one["saturated"] for one in found["layers"]] == [True, True, False]


def test_on_workers(sick, scheduler):
    there = json.loads(output("health", sick, "--scheduler", scheduler, "--json"))
    assert there == json.loads(running.output("health", sick, "--json"))


def test_an_array_without_a_layer(tmp_path):
    np.save(tmp_path / "gradient.npy", RNG.normal(size=(20, 3)))
    (found,) = json.loads(output("health", tmp_path / "gradient.npy", "--json"))["layers"]
    assert (found["layer"], found["verdict"], found["parameters"], found["units"]) == ("root", "ok", 3, 0)


@pytest.mark.parametrize(
    ("words", "expected", "code"),
    [
        (["--by", "label"], "no coordinate 'label'", 1),
        (["--layers", "fc7"], "'fc7' is no layer of the log", 1),
        (["--gradient", "g", "--activation", "a"], "no node of the log holds a variable 'g' or 'a'", 1),
        (["--share", "2"], "share=2.0 is not a threshold", 1),
        (["--bounds", "fc9=0,1"], "bounds name 'fc9', which no layer matches", 1),
        (["--bounds", "fc1"], "'fc1' is not a range: write it like 'fc*=-1,1'", 2),
        (["--vanishing", "much"], "'--vanishing'", 2),
    ],
)
def test_what_does_not_fit(words, expected, code, sick):
    assert expected in sentence("health", sick, *words, code=code)


def test_what_is_no_log(tmp_path):
    assert "does not exist" in sentence("health", tmp_path / "none.zarr")
    log = logs.without_arrays(tmp_path / "log.zarr")
    assert "holds no arrays" in sentence("health", log.path)


@pytest.mark.parametrize("width", ["60", "30"])
def test_names_keep_their_letters_and_figures_are_whole_in_a_narrow_terminal(width, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    names = ["\u202etxet", "transformer.encoder.self_attention_with_a_long_name"]
    epochs = [f"epoch-with-a-long-label-{number}" for number in range(2)]
    steps = RNG.normal(size=(10, 4))
    coordinates = {"epoch": ("step", np.repeat(epochs, 5)), "sample_epoch": ("sample", np.repeat(epochs, 3))}
    nodes = {
        f"/{name}": xr.Dataset(
            {"gradient": (("step", "param"), steps), "activation": (("sample", "unit"), units)}, coordinates
        )
        for name, units in zip(names, (np.zeros((6, 2)), RNG.normal(size=(6, 2))), strict=True)
    }
    xr.DataTree.from_dict(nodes).to_zarr(tmp_path / "log", zarr_format=2, consolidated=False)
    found = output("health", tmp_path / "log", "--by", "epoch")
    lines, _, said = found.partition("->")
    assert names[1] in "".join(line.split(" ")[0] for line in lines.splitlines())
    assert lines.split().count("dead") == 1 + 2  # in the head, and as the verdicts
    assert "…" not in lines
    assert r"\u202etxet never fire" in " ".join(said.split())

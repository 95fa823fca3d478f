"""Tables fit a terminal of 80 columns, say once what repeats, and stay easy to search."""

from __future__ import annotations

import cProfile
import json
import pstats
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import covdist
from covdist.cli import main
from covdist.engine.plan import Work, make_plan
from covdist.errors import DataError
from covdist.results.saving import save
from covdist.terminal.columns import TableRow, columns, facts, wrapped
from covdist.terminal.jobs import job_table, jobs_table
from covdist.terminal.tables import plan_table, refused_list

LAYERS = [f"layer{i}" for i in range(1, 9)]
WIDTHS = {**dict.fromkeys(LAYERS, 5), "output": 2}


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.zarr"
    rng = np.random.default_rng(0)
    nodes = {"/": xr.Dataset()}
    for layer, width in WIDTHS.items():
        arrays = {"activation": (("sample", "unit"), rng.normal(size=(12, width)))}
        arrays |= {"gradient": (("step", "param"), rng.normal(size=(10, 6)))}
        nodes[layer] = xr.Dataset(arrays, {"epoch": ("step", np.arange(10) // 5)})
    xr.DataTree.from_dict(nodes).to_zarr(path, zarr_format=2)
    return path


@pytest.fixture(scope="module")
def result(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("result") / "result.zarr"
    arrays = {
        f"{layer}/{name}": each for layer in WIDTHS for name, each in covdist.open_log(log)[layer].data_vars.items()
    }
    save({name: covdist.moments(each, dim=each.dims[0]) for name, each in arrays.items()}, path)
    return path


def lines(*words: object) -> list[str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = done.stdout.splitlines()
    assert max(map(cell_len, found)) <= 80
    return found


def test_plan_of_nine_layers(log):
    found = lines("plan", log)
    assert len(found) <= 9
    assert any(line.startswith("layer1 … layer8/activation (8)") for line in found)
    assert any(line.startswith("output/activation ") for line in found)
    assert "in all 18 arrays: read 8.16 KiB, write " in found[-1]
    assert "strategy memory" in "\n".join(found)


def test_plan_of_one_array_and_of_one_layer(log):
    found = lines("plan", log, "--layer", "output", "--var", "gradient")
    assert found[:2] == ["array       output", "shape       10 × 6"]
    assert any("output/activation" in line for line in lines("plan", log, "--layer", "output"))


def test_plan_with_several_strategies(log):
    found = lines("plan", log, "--var", "gradient", "--max-columns", 1, "--beyond", "tiles")
    assert [line for line in found if "or sketch" in line]
    assert len(found) <= 11  # eight layers alike and one other, four rows each


def test_show_of_nine_layers(log, result):
    found = lines("show", result)
    assert len(found) == 1 + 18 + 1
    for layer in WIDTHS:
        assert any(line.startswith(f"{layer}/activation ") for line in found)
    assert found[-1] == "in all rows: zeros 0.0%, constant 0, state full"
    records = json.loads(CliRunner().invoke(main, ["show", str(result), "--json"]).stdout)
    assert f"{records['output/gradient']['std']:.3g}" in found[-2]


def test_show_of_groups(log, tmp_path):
    tree = covdist.open_log(log)
    m = {name: covdist.moments(tree[name]["gradient"], dim="step", by="epoch") for name in ("layer1", "layer2")}
    save(m, tmp_path / "out.zarr")
    assert "full by epoch (2)" in "\n".join(lines("show", tmp_path / "out.zarr"))


def test_a_wider_terminal_shows_more(log, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert "wider terminal: state" in "\n".join(lines("plan", log))
    monkeypatch.setenv("COLUMNS", "120")
    done = CliRunner().invoke(main, ["plan", str(log)])
    assert "wider terminal" not in done.stdout
    assert "operations" in done.stdout.splitlines()[0]


# ---- every command, with names that are long, wide or hostile


LONG = "transformer.encoder.self_attention_with_a_long_name."
HOSTILE = [LONG + "q", LONG + "k", "層" * 70, "red\x1b[31m" + "\x07" * 20, "a b"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "log.zarr"
    rng = np.random.default_rng(0)
    nodes = {"/": xr.Dataset()}
    for number, layer in enumerate(HOSTILE):
        dims = "sample_\x1b[1m", "unit_with_a_name_that_is_rather_long"
        arrays = {"activation": (dims, rng.normal(size=(12, 5 + number)))}
        arrays |= {"gradient": (("step", "param"), rng.normal(size=(10, 6)))}
        epochs = {"epoch": ("step", [f"\x1b[31m{i // 5}" for i in range(10)])}
        epochs[f"{dims[0]}_epoch"] = dims[0], [f"\x1b[31m{i // 6}" for i in range(12)]
        nodes[layer] = xr.Dataset(arrays, epochs)
    xr.DataTree.from_dict(nodes).to_zarr(path, zarr_format=2)
    return path


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(hostile, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    out = tmp_path / "out.zarr"
    commands = [
        ["plan", hostile], ["run", hostile, "-o", out], ["show", out],
        ["compare", out, out], ["health", hostile], ["inspect", hostile],
        ["health", hostile, "--by", "epoch"],
    ]  # fmt: skip
    for command in commands:
        done = CliRunner().invoke(main, [str(word) for word in command])
        assert done.exit_code == 0, (command, done.output)
        found = done.stdout.splitlines()
        assert len(found) > 5
        wide = [line for line in found if cell_len(line) > width]
        assert not wide, command
        assert all(line.isprintable() for line in found), command


def test_why_arrays_are_refused_is_told_in_lines_of_words():
    found = refused_list({"red\x1b[31m": DataError("some word " * 40), HOSTILE[2]: DataError("short")}).splitlines()
    assert max(map(cell_len, found)) <= 80
    said = " ".join(found)
    assert r"red\x1b[31m: some word some" in said
    assert said.count("some word") == 40
    assert all(line.isprintable() for line in found)


def test_what_long_names_begin_with_is_said_once():
    rows = [TableRow(f"{LONG}{name}_projection", (name, "1")) for name in "qkv"]
    found = columns("array", ("figure", "other"), rows, 80).splitlines()
    assert found[1].split() == ["q_projection", "q"]
    assert f"all names begin with {LONG}" in found
    assert "\n".join(found).count(LONG) == 1


def test_facts_of_long_names_and_words():
    found = facts([("short", "one two"), ("n" * 100, "value " * 30), ("path", "/x" * 100)], 60).splitlines()
    assert found[0] == "short  one two"
    assert max(map(cell_len, found)) <= 60
    assert "".join(found).replace(" ", "").endswith("/x" * 100)


@pytest.mark.parametrize("width", [20, 60, 80])
@given(text=st.text(st.sampled_from("ab層 /")))
def test_wrapping_keeps_every_letter(width, text):
    found = wrapped(text, width)
    assert max(map(cell_len, found)) <= width
    assert "".join(found).replace(" ", "") == text.replace(" ", "")


# ---- names


def test_long_and_odd_names_have_lines_of_their_own():
    names = ["a", "b" * 300, "red\x1b[31m" + "c" * 40, "層" * 30]
    found = columns("array", ("rows", "mean"), [TableRow(name, (f"{n}", "1")) for n, name in enumerate(names)], 80)
    assert max(map(cell_len, found.splitlines())) <= 80
    assert r"red\x1b[31m" + "c" * 40 in found.splitlines()
    assert found.isprintable() or set(found) - {"\n"} == {each for each in found if each.isprintable()}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["w0", "w1", "w2"], "w0 … w2 (3)"),
        (["a/0/x", "a/1/x", "a/2/x"], "a/0 … a/2/x (3)"),
        (["w0", "w1"], "w1"),
        (["q", "k", "v"], "k"),
        ([f"h{i}.q{j}" for i in range(2) for j in range(2)], "h0.q0 … h1.q1 (4)"),
    ],
    ids=str,
)
def test_names_that_differ_in_numbers_are_folded(names, shown):
    rows = [TableRow(name, ("1", "2")) for name in names] + [TableRow("other", ("3", "4"))]
    assert any(line.startswith(f"{shown}  ") for line in columns("array", ("a", "b"), rows, 80).splitlines())


def test_rows_that_disagree_are_not_folded():
    rows = [TableRow(f"w{i}", (str(i), "2")) for i in range(5)]
    assert len(columns("array", ("a", "b"), rows, 80).splitlines()) == 1 + 5 + 1


def test_many_arrays_take_calls_in_proportion():
    def calls(arrays: int) -> int:
        plans = [make_plan(Work(100 + i % 7, 1, "64", 512, 51200, 4096.0, 20000)) for i in range(arrays)]
        profile = cProfile.Profile()
        found = profile.runcall(plan_table, {f"w{i}": plan for i, plan in enumerate(plans)})
        assert len(found.splitlines()) < 20
        return pstats.Stats(profile).total_calls

    assert calls(20_000) < 11 * calls(2_000)


# ---- jobs


def status(name: str, **changed: object) -> dict:
    found = {
        "job": "0123456789abcdef", "path": f"/disk/{name}", "status": "running", "folded": 1234, "shards": 5678,
        "seconds_left": 3600.0, "log": "/some/long/folder/with/many/parts/" + "x" * 30, "per_second": 0.5,
        "iterations": 0, "iteration": 0, "owner": "host 1", "reason": "",
        "failures": [{"task": "0-0-1", "reason": "no " * 100}],
    }  # fmt: skip
    return found | changed


def test_jobs_and_status():
    table = jobs_table([status("first"), status("second", log="other.zarr", status="done")])
    assert max(map(cell_len, table.splitlines())) <= 80
    assert "1,234 of 5,678 (22%)" in table
    assert table.count("0123456789abcdef") == 1  # said once
    one = job_table(status("first"))
    assert max(map(cell_len, one.splitlines())) <= 80
    assert "log          /some/long/folder/with/many/parts/" in one
    assert jobs_table([]) == "no jobs"

"""``covdist compare``: two results side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest

import covdist
from covdist.results.saving import save

from .calling import output, sentence

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
EPOCH = np.arange(60) // 20


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    layers = {f"block{i}/attn/activation": X * (i + 1) for i in range(3)}
    a = {path: covdist.moments(x, by=EPOCH) for path, x in layers.items()}
    b = {path: covdist.moments(x * 1.5 + 1, by=EPOCH % 2) for path, x in layers.items()}
    save({**a, "head": covdist.moments(X), "old": covdist.moments(X)}, folder / "a.zarr")
    save({**b, "head": covdist.moments(X[:, :2]), "new": covdist.moments(X)}, folder / "b.zarr")
    covdist.moments(X).save(folder / "one.zarr")
    return folder


def test_a_table_within_80_columns(results):
    text = output("compare", results / "a.zarr", results / "b.zarr")
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    assert lines[1].startswith("block0/attn/activation ")
    assert "in all rows: rows 60, std ratio 1.5" in text
    assert "only in A:  old" in text
    assert "only in B:  new" in text
    assert "not compared: head:" in text


def test_json_has_what_python_returns(results):
    found = json.loads(output("compare", results / "a.zarr", results / "b.zarr", "--json"))
    assert list(found["arrays"]) == [f"block{i}/attn/activation" for i in range(3)]
    assert (found["only_in_a"], found["only_in_b"]) == (["old"], ["new"])
    assert "m_a is of unit (3) and m_b of unit (2)" in found["refused"]["head"]
    expected = covdist.compare(covdist.moments(X), covdist.moments(X * 1.5 + 1))
    for name, value in found["arrays"]["block0/attn/activation"].items():
        assert value == pytest.approx(float(expected[name]), rel=1e-10, abs=1e-12)


def test_groups(results):
    text = output("compare", results / "a.zarr", results / "b.zarr", "--by", "group")
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[2].split()[:2] == ["0", "20"]
    assert "block0/attn/activation: only in A:  2" in text
    found = json.loads(output("compare", results / "a.zarr", results / "b.zarr", "--by", "group", "--json"))
    groups = found["arrays"]["block1/attn/activation"]
    assert list(groups["groups"]) == ["0", "1"]
    expected = covdist.frechet(covdist.moments(2 * X[20:40]), covdist.moments(3 * X[20:40] + 1))
    assert groups["groups"]["1"]["frechet"] == pytest.approx(float(expected), rel=1e-9)
    assert groups["groups"]["0"]["rows_b"] == 40


def test_one_state_and_what_json_has_no_number_for(results, tmp_path):
    facts = output("compare", results / "one.zarr", results / "one.zarr")
    assert "Frechet     0\n" in facts
    for name, value in (("still", 1.0), ("moved", 2.0)):
        covdist.moments(np.full((3, 1), value)).save(tmp_path / f"{name}.zarr")
    found = json.loads(output("compare", tmp_path / "still.zarr", tmp_path / "moved.zarr", "--json"))["arrays"][""]
    assert found["mean_shift"] == "infinite"
    assert (found["std_ratio"], found["corr_change"], found["frechet"]) == (None, None, 1)


def test_wrong_words(results, tmp_path):
    a, one = results / "a.zarr", results / "one.zarr"
    said = sentence("compare", a, one)
    assert "the results hold no array of the same name, A has block0/attn/activation, " in said
    assert "B has one state: compare results of the same layers" in said
    assert "--by epoch needs groups by that coordinate in both results, one has" in sentence(
        "compare", one, one, "--by", "epoch"
    )
    save({"old": covdist.moments(X, by=EPOCH + 7)}, tmp_path / "later.zarr")
    save({"old": covdist.moments(X, by=EPOCH)}, tmp_path / "earlier.zarr")
    said = sentence("compare", tmp_path / "earlier.zarr", tmp_path / "later.zarr", "--by", "group")
    assert "no group by 'group' in common, A has 0, 1, 2 and B has 7, 8, 9: leave out --by" in said
    assert "does not exist" in sentence("compare", one, tmp_path / "none.zarr")
    assert "Missing argument 'B'" in sentence("compare", one, code=2)
    assert "--by was given 2 times" in sentence("compare", one, one, "--by", "a", "--by", "b", code=2)

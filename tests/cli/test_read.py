"""``covdist read``: readings of a result by the names that Python has for them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.results.saving import save
from covdist.terminal.readings import readings_table

from .calling import output, sentence

X = np.random.default_rng(0).normal(size=(30, 3))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("read") / "r.zarr"
    covdist.moments(X).save(path)
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    path = tmp_path_factory.mktemp("read") / "r.zarr"
    save({"fc1": covdist.moments(X), "fc2": covdist.moments(X[:, 0])}, path)
    return path


def test_prints_what_python_returns(result):
    m = covdist.load(result)
    assert output("read", result, "cov") == f"{readings_table({'': m.cov()})}\n"
    assert output("read", result, "mean") == f"{readings_table({'': m.mean()})}\n"
    assert output("read", result, "cov", "--ddof", "1") == f"{readings_table({'': m.cov(ddof=1)})}\n"
    expected = m.second_moment(divide=False, append_one=True)
    assert (
        output("read", result, "second_moment", "--no-divide", "--append-one") == f"{readings_table({'': expected})}\n"
    )
    expected = m.spectrum(2, vectors=False)
    assert output("read", result, "spectrum", "2", "--vectors=False") == f"{readings_table({'': expected})}\n"


def test_json_and_several_arrays(several):
    found = json.loads(output("read", several, "std", "--json"))
    assert found["fc1"]["dims"] == ["unit"]
    np.testing.assert_allclose(found["fc2"]["data"], X[:, 0].std())
    text = output("read", several, "std")
    assert text.startswith("fc1\nstd: standard deviation, in units of the columns\n")
    assert "\n\nfc2\n" in text


def test_writes_files(result, several, tmp_path):
    expected = covdist.load(result).cov()
    for kind in (".npy", ".csv", ".zarr"):
        assert output("read", result, "cov", "-o", tmp_path / f"c{kind}") == ""
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), expected)
    assert (tmp_path / "c.csv").read_text().splitlines()[0] == "unit,unit_2,cov"
    assert xr.open_zarr(tmp_path / "c.zarr", consolidated=False)["cov"].equals(expected)
    output("read", several, "var", "-o", tmp_path / "both.zarr")
    found = xr.open_datatree(tmp_path / "both.zarr", engine="zarr", consolidated=False)
    np.testing.assert_allclose(found["fc1/var"], X.var(axis=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.zarr", "c.csv", "c.npy", "c.zarr"]


def test_what_is_a_result_itself(tmp_path):
    m = covdist.moments(X, by=np.arange(30) % 2)
    m.save(tmp_path / "r.zarr")
    assert "30" in output("read", tmp_path / "r.zarr", "within", "group")
    assert output("read", tmp_path / "r.zarr", "within", "group", "-o", tmp_path / "w.zarr") == ""
    np.testing.assert_array_equal(covdist.load(tmp_path / "w.zarr").cov(), m.within("group").cov())
    assert "holds several" in sentence("read", tmp_path / "r.zarr", "within", "group", "-o", tmp_path / "w.npy")


def test_wrong_words(result, several, tmp_path):
    assert "there is no reading 'covv': there are autocorr, " in sentence("read", result, "covv", code=2)
    assert sentence("read", result, "maen", code=2).endswith("; nearest is mean")
    said = sentence("read", result, "cov", "--dof", "1", code=2)
    assert "cov takes ddof, min_periods, nearest_psd, found --dof 1: " in said
    assert "spectrum takes k, vectors, found none" in sentence("read", result, "spectrum", code=2)
    assert ".zarr, .npy, .csv" in sentence("read", result, "cov", "-o", tmp_path / "x.png", code=2)
    (tmp_path / "x.npy").touch()
    assert "exists" in sentence("read", result, "cov", "-o", tmp_path / "x.npy")
    assert "holds several arrays" in sentence("read", several, "cov", "-o", tmp_path / "y.npy")
    assert "fc1: this needs a state of kind higher" in sentence("read", several, "kurtosis")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_windows_of_a_result(tmp_path):
    covdist.moments(X, by=np.arange(30) // 10).save(tmp_path / "r.zarr")
    assert output("read", tmp_path / "r.zarr", "rolling", "group", "2", "-o", tmp_path / "w.zarr") == ""
    np.testing.assert_allclose(covdist.load(tmp_path / "w.zarr").mean()[2], X[10:].mean(axis=0))
    with_rows = json.loads(output("read", tmp_path / "r.zarr", "expanding", "group", "--json"))
    assert "expanding('group')" in str(with_rows)


def test_names_that_zarr_would_change(tmp_path):
    save({"a\\b": covdist.moments(X), "a/b": covdist.moments(X[:, :2])}, tmp_path / "r.zarr")
    said = sentence("read", tmp_path / "r.zarr", "cov", "-o", tmp_path / "c.zarr")
    assert "a\\b has a backslash in its name, which zarr takes for a slash: rename it in the log" in said
    assert [path.name for path in tmp_path.iterdir()] == ["r.zarr"]

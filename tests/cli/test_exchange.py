"""``covdist export`` and ``covdist import``: there, back, and on with new rows."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.results.saving import save

from .calling import output, sentence

X = np.random.default_rng(0).normal(3, 1, (30, 3))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("exchange") / "r.zarr"
    covdist.moments(X).save(path)
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    path = tmp_path_factory.mktemp("exchange") / "r.zarr"
    grouped = covdist.moments(X, by=np.arange(30) % 2)
    save({"fc/input": covdist.moments(X), "fc/gradient": covdist.moments(X[:, :2]), "epochs": grouped}, path)
    return path


LABELS = {
    "numbers": np.arange(30) % 2, "texts of numbers": np.array(["1", "2"])[np.arange(30) % 2],
    "texts": np.array(["a b", "it's"])[np.arange(30) % 2], "flags": np.arange(30) % 2 > 0,
    "floats": np.arange(30) % 2 / 10,
    "days": np.array(["2024-01-01", "2024-02-01"], "M8[ns]")[np.arange(30) % 2],
    "times": np.array(["2024-01-01T12:30", "2024-02-01"], "M8[ns]")[np.arange(30) % 2],
}  # fmt: skip


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_one_group_as_the_sentence_says(labels, tmp_path):
    x = xr.DataArray(X, dims=("row", "unit"), coords={"k": ("row", labels)})
    m = covdist.moments(x, dim="row", by="k")
    m.save(tmp_path / "r.zarr")
    said = sentence("export", tmp_path / "r.zarr", "--as", "fid", "-o", tmp_path / "s.npz")
    ((python, words),) = re.findall(r"such as by (\.sel\(k=.*\)) or (--sel .*), or add up", said)
    assert output("export", tmp_path / "r.zarr", "--as", "fid", *shlex.split(words), "-o", tmp_path / "s.npz") == ""
    one = eval(f"m{python}", {"m": m, "np": np})
    np.testing.assert_array_equal(one.mean(), np.load(tmp_path / "s.npz")["mu"])


def test_no_group_names_those_there_are(tmp_path):
    x = xr.DataArray(X, dims=("row", "unit"), coords={"k": ("row", LABELS["days"])})
    with pytest.raises(KeyError, match=r"no group k='2023', there are \['2024-01-01', '2024-02-01'\]"):
        covdist.moments(x, dim="row", by="k").sel(k="2023")


def test_there_and_back_and_on(result, tmp_path):
    assert output("export", result, "--as", "fid", "-o", tmp_path / "s.npz") == ""
    mu, sigma = (np.load(tmp_path / "s.npz")[name] for name in ("mu", "sigma"))
    np.testing.assert_allclose(sigma, np.cov(X, rowvar=False), rtol=1e-12)
    np.savez(tmp_path / "old.npz", mu=mu, sigma=sigma)
    words = ["--as", "fid", "--count", 30, "-o", tmp_path / "old.zarr", "--json"]
    (record,) = json.loads(output("import", tmp_path / "old.npz", *words)).values()
    assert record["rows"] == 30
    output("merge", tmp_path / "old.zarr", result, "-o", tmp_path / "both.zarr")
    both, expected = covdist.load(tmp_path / "both.zarr"), covdist.moments(np.concatenate([X, X]))
    np.testing.assert_allclose(both.cov(), expected.cov(), rtol=1e-12, atol=1e-14)


def test_imported_results_are_shown(result, tmp_path):
    output("export", result, "--as", "mom2", "-o", tmp_path / "s.npz", "--sample-size", 7)
    assert np.load(tmp_path / "s.npz")["sample_size"] == 7
    shown = output("import", tmp_path / "s.npz", "--as", "mom2", "--mean=0", "--dim", "f", "-o", tmp_path / "m.zarr")
    assert shown == output("show", tmp_path / "m.zarr")
    assert covdist.load(tmp_path / "m.zarr").mean().dims == ("f",)


def test_layers_and_groups(several, tmp_path):
    output("export", several, "--as", "fid", "--layer", "fc/*", "-o", tmp_path / "all")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["fc.gradient.npz", "fc.input.npz"]
    output("export", several, "--as", "fid", "--layer", "fc/input", "-o", tmp_path / "one.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "one.npz")["mu"], covdist.moments(X).mean())
    output("export", several, "--as", "fid", "--layer", "epochs", "--sel", "group=1", "-o", tmp_path / "odd.npz")
    np.testing.assert_allclose(np.load(tmp_path / "odd.npz")["mu"], X[1::2].mean(axis=0))


def test_kronfluence(several, tmp_path):
    pytest.importorskip("safetensors")
    words = ["--as", "kronfluence", "--layer", "fc/*", "--bias", "*"]
    output("export", several, *words, "-o", tmp_path / "k")
    output("import", tmp_path / "k", "--as", "kronfluence", "--bias", "*", "--mean", "0", "-o", tmp_path / "k.zarr")
    found = covdist.load(tmp_path / "k.zarr")
    np.testing.assert_allclose(found["fc/input"].cov(), covdist.moments(X).cov(), rtol=1e-11)
    assert found["fc/gradient"].layout.widths == (2,)


def test_leace(result, tmp_path):
    covdist.moments(X, X[:, :1]).save(tmp_path / "xz.zarr")
    output("export", tmp_path / "xz.zarr", "--as", "leace", "--m-x", result, "-o", tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["sigma_xz_"].shape == (3, 1)


def test_wrong_words(result, several, tmp_path):
    out = ["-o", tmp_path / "s.npz"]
    assert "is not one of 'fadtk', 'fid'," in sentence("export", result, "--as", "fidd", *out, code=2)
    assert "Missing option '--as'" in sentence("export", result, *out, code=2)
    assert "fid takes no options, found --bias x" in sentence(
        "export", result, "--as", "fid", "--bias", "x", *out, code=2
    )
    assert "fid takes count, dim, found --rows 3" in sentence("import", "x", "--as", "fid", "--rows", 3, *out, code=2)
    assert "can be written, not read" in sentence("import", "x", "--as", "quip", *out)
    assert "there is no layer 'fc2'" in sentence("export", several, "--as", "fid", "--layer", "fc2", *out)
    assert "; nearest is 'fid'" in sentence("export", several, "--as", "fidd", *out, code=2)
    assert "one state, which has no name" in sentence("export", result, "--as", "fid", "--layer", "fc2", *out)
    assert "epochs is a full state of" in sentence("export", several, "--as", "fid", *out)
    assert "no group group=7" in sentence("export", several, "--as", "fid", "--layer", "ep*", "--sel", "group=7", *out)
    assert "does not name a group" in sentence("export", several, "--as", "fid", "--sel", "epoch", *out, code=2)
    assert "exists already" in sentence("import", "x", "--as", "fid", "-o", result)
    assert "exists already" in sentence("export", result, "--as", "fid", "-o", result)
    assert "x does not exist" in sentence("import", "x", "--as", "fid", "--count", 3, *out)
    assert list(tmp_path.iterdir()) == []

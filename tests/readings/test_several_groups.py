"""``by=("epoch", "split")``: rows that are alike in several coordinates."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError, MergeError
from covdist.folding.selection import Selection

rng = np.random.default_rng(0)
EPOCH, SPLIT = rng.integers(0, 3, 60), np.where(rng.random(60) < 0.7, "train", "valid")
SPLIT[EPOCH == 2] = "train"
X = rng.normal(size=(60, 4))
LOG = xr.Dataset({"act": (("sample", "unit"), X)}, coords={"epoch": ("sample", EPOCH), "split": ("sample", SPLIT)})
PAIRS = [(0, "train"), (0, "valid"), (1, "train"), (1, "valid"), (2, "train")]
BY = ("epoch", "split")


@pytest.fixture(params=[None, 7])
def act(request):
    return LOG["act"] if request.param is None else LOG["act"].chunk(sample=request.param)


def rows(epoch=None, split=None) -> np.ndarray:
    return X[((epoch == EPOCH) | (epoch is None)) & ((split == SPLIT) | (split is None))]


def test_each_pair_is_a_group(act):
    found = covdist.cov(act, dim="sample", by=BY)
    assert found.dims == ("epoch_split", "unit", "unit_2")
    assert found.indexes["epoch_split"].to_list() == PAIRS
    for epoch, split in PAIRS:
        one = found.sel(epoch=epoch, split=split).squeeze()
        np.testing.assert_allclose(one, np.cov(rows(epoch, split).T, ddof=0), rtol=1e-12)
    assert set(found.unstack("epoch_split").dims) == {"epoch", "split", "unit", "unit_2"}


def test_one_coordinate_chosen_or_merged(act, tmp_path):
    m = covdist.moments(act, dim="sample", by=BY)
    m.save(tmp_path / "m.zarr")
    for each in (m, m.compute(), covdist.load(tmp_path / "m.zarr")):
        assert each.mean().indexes["epoch_split"].to_list() == PAIRS
        np.testing.assert_allclose(each.sel(epoch=1).sel(split="valid").mean(), rows(1, "valid").mean(axis=0))
        np.testing.assert_allclose(each.merge("epoch").sel(split="train").var(), rows(split="train").var(axis=0))
        np.testing.assert_allclose(each.merge("split").var().sel(epoch=2), rows(2).var(axis=0))
        np.testing.assert_allclose(each.merge("epoch_split").var(), X.var(axis=0))
    with pytest.raises(KeyError, match="no group epoch=9"):
        m.sel(epoch=9)
    with pytest.raises(MergeError, match="cannot merge over 'class'"):
        m.merge("class")


def test_sums_and_other_readings(act):
    first, second = (covdist.moments(part, dim="sample", by=BY) for part in (act[:20], act[20:]))
    both = (first + second).compute()
    assert both.var().indexes["epoch_split"].to_list() == PAIRS
    for epoch, split in PAIRS:
        np.testing.assert_allclose(both.sel(epoch=epoch).sel(split=split).var(), rows(epoch, split).var(axis=0))
    stats = covdist.gradient_stats(act, dim="sample", by=BY).compute()
    np.testing.assert_allclose(stats["layer_std"].sel(epoch=1, split="train").squeeze(), rows(1, "train").std())
    tree = xr.DataTree.from_dict({"/fc": xr.Dataset({"act": act})})
    pooled = covdist.gradient_stats(tree, dim="sample", by=BY, var="act").compute()
    assert pooled.dataset.indexes["epoch_split"].to_list() == PAIRS
    for method in ("exact", "sketch", "dual"):
        spectrum = covdist.spectrum(act, 1, dim="sample", by=BY, method=method).compute()
        top = np.linalg.eigvalsh(np.cov(rows(0, "train").T, ddof=0))[-1]
        np.testing.assert_allclose(spectrum["eigenvalue"].sel(epoch=0, split="train").squeeze(), top)


def test_a_level_may_be_called_like_a_field(tmp_path):
    x = LOG["act"].rename(epoch="count", split="mean")
    covdist.moments(x, dim="sample", by=("count", "mean")).save(tmp_path / "m.zarr")
    m = covdist.load(tmp_path / "m.zarr")
    np.testing.assert_allclose(m.sel(count=1).sel(mean="train").var(), rows(1, "train").var(axis=0))
    with pytest.raises(DataError, match="no coordinate 'none'"):
        covdist.moments(x, dim="sample", by=("count", "none"))


def test_a_selection_says_the_same_again():
    selection = Selection(by=BY)
    again = Selection(**json.loads(json.dumps(selection.asked())))
    assert again.by == BY
    assert Selection(by=("epoch",)).asked()["by"] == "epoch"

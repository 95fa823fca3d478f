"""``redundant`` against the matrix, whatever holds it."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError
from covdist.readings.gradients import redundant as module


def rows(width, seed=0, noise=0.1):
    """Columns of which many follow another, some with the other sign, one constant."""
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(60, max(1, width // 3)))
    x = source[:, rng.integers(source.shape[1], size=width)] * rng.choice([-1, 2.0], size=width)
    x += noise * rng.normal(size=x.shape) * rng.random(width)
    x[:, width // 2] = 3.0
    return x


def direct(x, threshold):
    """Pairs by a double loop, and groups by spreading the least number until nothing changes."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(x.T).reshape(x.shape[1], -1)
    width = len(r)
    pairs = [(i, j) for i in range(width) for j in range(i + 1, width) if abs(r[i, j]) > threshold]
    group = list(range(width))
    for _ in range(width):
        for i, j in pairs:
            group[i] = group[j] = min(group[i], group[j])
    return pairs, [r[pair] for pair in pairs], group


def check(found, x, threshold):
    pairs, r, group = direct(x, threshold)
    assert list(zip(found["first"].values.tolist(), found["second"].values.tolist(), strict=True)) == pairs
    np.testing.assert_allclose(found["r"], r, rtol=1e-12, atol=1e-14)
    assert found["group"].values.tolist() == group
    assert found["repeats"].values.tolist() == [any(j == each for _, j in pairs) for each in range(len(group))]


@given(width=st.integers(1, 12), seed=st.integers(0, 99), threshold=st.floats(0, 0.999), noise=st.floats(0, 2))
def test_pairs_and_groups_are_those_of_the_matrix(width, seed, threshold, noise):
    x = rows(width, seed, noise)
    r = np.abs(covdist.corr(x).values)
    if not (np.abs(r - threshold) < 1e-9).any():  # where the last bit decides
        check(covdist.moments(x).redundant(threshold=threshold), x, threshold)


@pytest.mark.usefixtures("few_tiles")
@pytest.mark.parametrize("matrix", ["memory", "tiles"])
@pytest.mark.parametrize("chunks", [None, (20, 30)])
def test_in_memory_in_tiles_and_lazy(matrix, chunks, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_STRIP_BYTES", 8 * 70 * 9)  # nine rows at a time
    x = rows(70)
    m = covdist.moments(x if chunks is None else da.from_array(x, chunks=chunks), matrix=matrix)
    check(covdist.redundant(m, threshold=0.9), x, 0.9)
    m.save(tmp_path / "m.zarr")
    check(covdist.load(tmp_path / "m.zarr").redundant(threshold=0.9), x, 0.9)


def test_no_more_than_a_strip_of_the_matrix_is_made(monkeypatch):
    monkeypatch.setattr(module, "_STRIP_BYTES", 8 * 70 * 9)
    asked = []
    kind = type(covdist.moments(rows(70)).state)
    correlation = kind.correlation
    monkeypatch.setattr(kind, "correlation", lambda state, part: asked.append(part) or correlation(state, part))
    covdist.moments(rows(70)).redundant()
    assert [(each.start, each.stop) for each in asked] == [(s, min(s + 9, 70)) for s in range(0, 70, 9)]


def test_single_linkage_joins_what_hangs_together():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5000))
    x = np.stack([np.cos(t) * a + np.sin(t) * b for t in (0.0, 0.4, 0.8)], axis=1)  # r about 0.92, 0.92, 0.70
    found = covdist.moments(x).redundant(threshold=0.85)
    assert found["group"].values.tolist() == [0, 0, 0]
    assert found.sizes["pair"] == 2
    assert found.attrs["linkage"] == "single"


def test_columns_keep_their_labels():
    x = xr.DataArray(rows(4), dims=("sample", "unit"), coords={"unit": list("abcd")})
    found = covdist.moments(x, dim="sample").redundant()
    assert found["group"].dims == found["repeats"].dims == ("unit",)
    assert found["unit"].values.tolist() == list("abcd")
    assert all(each.attrs["long_name"] for each in found.data_vars.values())


def test_sums_of_states_and_other_states_with_a_matrix():
    x = rows(9)
    check((covdist.moments(x[:20]) + covdist.moments(x[20:])).redundant(threshold=0.9), x, 0.9)
    check(covdist.moments(x, state="norms").redundant(threshold=0.9), x, 0.9)


def test_tiny_and_far_columns():
    x = rows(9)
    for moved in (x * 1e-160, x + 1e6):
        found, expected = (covdist.moments(each).redundant(threshold=0.9) for each in (moved, x))
        assert found.drop_vars("r").equals(expected.drop_vars("r"))


@pytest.mark.parametrize("threshold", [-0.1, 1, 1.5, np.nan, "high", None, True])
def test_what_is_no_threshold(threshold):
    with pytest.raises(DataError, match="is not a correlation: pass a number from 0 up to less than 1"):
        covdist.moments(rows(3)).redundant(threshold=threshold)


def test_groups_and_states_without_a_matrix_are_refused():
    m = covdist.moments(rows(3), by=np.arange(60) % 2)
    with pytest.raises(DataError, match=r"one matrix, this state has groups by 'group'.*m\.sel\(group="):
        m.redundant()
    assert m.sel(group=1).redundant().sizes["unit"] == 3
    with pytest.raises(DataError, match="state of kind"):
        covdist.moments(rows(3), state="variances").redundant()
    with pytest.raises(DataError, match=r"one array's columns, found a .*: fold x without y"):
        covdist.moments(rows(3), rows(2)).redundant()

"""Units that say the same, off the rows that a state keeps: no matrix of all units."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError
from covdist.numerics.dependence import correlated_pairs as module
from covdist.numerics.dependence.correlated_pairs import correlated_pairs
from readings.containers import quick

RNG = np.random.default_rng(0)


def alike(rows: int, pairs: int, r: float) -> np.ndarray:
    """Columns, of which each of the second half has about the correlation r, or -r, with one of the first."""
    x = RNG.normal(size=(rows, pairs))
    sign = np.where(np.arange(pairs) % 2, -1, 1)
    return np.hstack([x, sign * (r * x + np.sqrt(1 - r * r) * RNG.normal(size=(rows, pairs)))])


def assert_same(found, expected):
    for name in ("first", "second", "group", "repeats"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    np.testing.assert_allclose(found["r"], expected["r"], atol=1e-12)


@quick
@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 0.9, 0.99]), st.sampled_from([8, 256]))
def test_pairs_are_those_of_the_matrix_where_all_rows_are_kept(width, seed, threshold, directions):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, width)) * np.exp(rng.normal(size=width) * 20)
    x[:, width // 2 :] += x[:, : width - width // 2] * rng.choice([0.0, 3.0, -50.0], width - width // 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DIRECTIONS", directions)  # of 8 the margin reaches below most thresholds
        found = covdist.moments(x, state="sampled").redundant(threshold=threshold)
    assert_same(found, covdist.moments(x).redundant(threshold=threshold))
    assert (found["standard_error"] == 0).all()


def test_none_is_missed_of_many_at_the_threshold():
    x = alike(700, 400, 0.95)
    expected = covdist.moments(x).redundant(threshold=0.95)
    assert 100 < expected.sizes["pair"] < 300
    for seed in range(5):
        assert_same(covdist.moments(x, state=f"sampled(seed={seed})").redundant(threshold=0.95), expected)


def test_few_pairs_are_looked_at_again(monkeypatch):
    looked = []
    monkeypatch.setattr(module, "_STRIP_BYTES", 4 * 800 * 50)
    monkeypatch.setattr(module.np, "nonzero", lambda near, own=np.nonzero: looked.append(own(near)) or looked[-1])
    correlated_pairs(alike(700, 400, 0.999), np.ones(700), 0.99, seed=0)
    assert len(looked) == 16
    assert sum(len(first) for first, _ in looked) < 500  # of 319,600


def test_of_fewer_rows_as_far_off_as_they_say():
    x = alike(6000, 50, 0.98)
    exact = np.corrcoef(x.T)
    found = covdist.moments(x, state="sampled(rows=600)").redundant(threshold=0.95)
    assert found.sizes["pair"] == 50
    off = (found["r"] - exact[found["first"], found["second"]]) / found["standard_error"]
    assert 0.6 < float(np.sqrt((off**2).mean())) < 1.4
    assert found["standard_error"].attrs["long_name"] == "standard error of r"


def test_lazy_saved_and_merged(tmp_path):
    x = alike(1000, 20, 0.995)
    expected = covdist.moments(x).redundant()
    lazy = covdist.moments(da.from_array(x, chunks=(300, 7)), state="sampled")
    assert_same(lazy.redundant(), expected)
    (lazy.compute() + covdist.moments(x, state="sampled")).save(tmp_path / "m.zarr")
    assert_same(covdist.load(tmp_path / "m.zarr").redundant(), expected)


def test_odd_columns():
    x = alike(600, 4, 0.999)
    x = np.column_stack([x * 1e-160, x[:, 0] + 1e6, np.full(600, 3.0), np.full(600, 3.0), x[:, 1] * 1e300])
    found = covdist.moments(x, state="sampled").redundant()
    assert_same(found, covdist.moments(x).redundant())
    assert {(0, 8), (1, 11), (5, 11)} <= set(zip(found["first"].values, found["second"].values, strict=True))
    x[599, 0] = np.nan  # in a row that may not be kept
    for rows in (4, 4096):
        first = covdist.moments(x, state=f"sampled(rows={rows})", missing="propagate").redundant()["first"]
        assert 0 not in first.values
    one = covdist.moments(x[:, 1], state="sampled").redundant()
    assert one.sizes["pair"] == 0
    none = covdist.moments(np.full((3, 2), np.nan), state="sampled", missing="drop").redundant()
    assert none.sizes["pair"] == 0
    whole = covdist.moments((alike(600, 4, 0.999) > 0), state="sampled").redundant(threshold=0.9)
    assert whole.sizes["pair"] >= 4


def test_groups_are_refused():
    with pytest.raises(DataError, match="read one group"):
        covdist.moments(np.eye(6), by=np.arange(6) % 2, state="sampled").redundant()

"""Dask arrays whose chunks come out otherwise than the array says are refused before a kernel runs over them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import covdist
from covdist.errors import DataError

X = np.random.default_rng(0).normal(size=(12, 3))
MAPPED = {
    "fewer rows": lambda block: block[:2],
    "more rows": lambda block: np.vstack([block, block]),
    "fewer columns": lambda block: block[:, :2],
    "more columns": lambda block: np.hstack([block, block]),
    "no columns": lambda block: block[:, 0],
    "complex numbers": lambda block: block + 1j,
    "objects": lambda block: block.astype(object),
}
CALLS = {
    "cov": covdist.cov,
    "groups": lambda x: covdist.var(x, by=np.arange(12) // 4),
    "weights": lambda x: covdist.cov(x, weights=np.arange(12.0)),
    "two arrays": lambda x: covdist.cov(da.from_array(X, chunks=3), x),
    "pairwise": lambda x: covdist.cov(x, missing="pairwise"),
}


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("made", MAPPED)
def test_refused(made, call):
    x = da.from_array(X, chunks=4).map_blocks(MAPPED[made], dtype=float)
    with pytest.raises(DataError, match=r"a chunk of a dask array came out as .* expected float64 of shape \(4, 3\)"):
        CALLS[call](x).compute(scheduler="sync")


@pytest.mark.parametrize("made", ["fewer rows", "fewer columns", "objects"])
def test_refused_where_chunks_are_turned_on_their_side(made):
    x = da.from_array(X, chunks=4).map_blocks(MAPPED[made], dtype=float)
    with pytest.raises(DataError, match="a chunk of a dask array came out as"):
        covdist.spectrum(x, 1, method="dual").compute(scheduler="sync")


@pytest.mark.parametrize("made", ["fewer columns", "more columns", "complex numbers"])
def test_refused_where_chunks_share_work(made):
    x = da.from_array(X, chunks=12).map_blocks(MAPPED[made], dtype=float)
    x = da.concatenate([x[:6] + 1, x[6:] + 1])
    with pytest.raises(DataError, match="a chunk of a dask array came out as"):
        covdist.cov(x).compute(scheduler="sync")


M = covdist.moments(X)
GOOD = da.from_array(X, chunks=4)
ROW_CALLS = {
    "standardise": lambda x: covdist.standardise(x, M),
    "whiten": lambda x: covdist.whiten(x, M),
    "fill": covdist.fill,
    "distances": covdist.distance_corr,
    "distances of complete rows": lambda x: covdist.distance_corr(x, GOOD, missing="drop"),
    "ranks": lambda x: covdist.corr(x, method="spearman"),
    "ranks of complete rows": lambda x: covdist.corr(x, GOOD, method="spearman", missing="drop"),
}


@pytest.mark.parametrize("call", sorted(ROW_CALLS))
@pytest.mark.parametrize("made", ["fewer rows", "no columns", "complex numbers", "objects"])
def test_refused_where_rows_are_made_of_rows(made, call):
    x = GOOD.map_blocks(MAPPED[made], dtype=float)
    with pytest.raises(DataError, match=r"a chunk of a dask array came out as .* expected float64 of shape \(4, 3\)"):
        ROW_CALLS[call](x).compute(scheduler="sync")


def test_rows_made_of_rows_stay_lazy_and_equal():
    for name, call in ROW_CALLS.items():
        found = call(GOOD)
        assert isinstance(found.data, da.Array), name
        np.testing.assert_allclose(found, call(X), rtol=1e-12, err_msg=name)


def test_other_real_numbers_are_taken():
    x = da.from_array(X, chunks=4).map_blocks(lambda block: block.astype("f4"), dtype=float)
    np.testing.assert_allclose(covdist.cov(x), np.cov(X.T, ddof=0), rtol=1e-5, atol=1e-6)

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


def test_other_real_numbers_are_taken():
    x = da.from_array(X, chunks=4).map_blocks(lambda block: block.astype("f4"), dtype=float)
    np.testing.assert_allclose(covdist.cov(x), np.cov(X.T, ddof=0), rtol=1e-5, atol=1e-6)

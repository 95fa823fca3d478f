"""Hypothesis strategies that draw rows, and how they are wrapped, chunked and laid out."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st

DTYPES = ["f2", "f4", "f8", ">f8", "?", "u1", "i4", "i8"]
KINDS = ["numpy", "dask", "DataArray", "lazy DataArray"]

thorough = settings(deadline=None, max_examples=40)
quick = settings(deadline=None, max_examples=25)


def chunkings(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw the chunks of an axis; a border drawn twice makes an empty chunk."""
    borders = st.lists(st.integers(0, n), max_size=5).map(sorted)
    return borders.map(lambda cuts: tuple(np.diff([0, *cuts, n]).tolist())) | st.just((1,) * n)


@st.composite
def rows(draw: st.DrawFn, columns: int | None = None, n: int | None = None) -> np.ndarray:
    """Draw a 2-D block of rows in some dtype."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (n or draw(st.integers(2, 30)), columns or draw(st.integers(1, 5)))
    values = rng.normal(size=shape) * 10 + rng.normal(size=shape[1]) * draw(st.sampled_from([0, 5, 100]))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "b":
        return values > 0
    return (np.abs(values) if dtype.kind == "u" else values).astype(dtype)


@st.composite
def wrapped(draw: st.DrawFn, values: np.ndarray, dims: tuple[str, ...], kind: str | None = None) -> Any:
    """Draw a container that holds ``values``."""
    kind = kind or draw(st.sampled_from(KINDS))
    data = values
    if kind in ("dask", "lazy DataArray"):
        data = da.from_array(values, chunks=tuple(draw(chunkings(n)) for n in values.shape))
    return xr.DataArray(data, dims=dims) if "DataArray" in kind else data


def named(container: Any) -> bool:
    return isinstance(container, xr.DataArray)


def exact(values: np.ndarray) -> np.ndarray:
    """Columns as rows of long doubles: what numpy's cov takes, with digits to spare."""
    return values.reshape(len(values), -1).astype(np.longdouble).T


def assert_close(found: Any, expected: np.ndarray, scale: np.ndarray | float) -> None:
    """Compare within 1e-13 of ``scale``; NaN must stand where it is expected."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    error = np.nan_to_num(np.abs(found - expected))
    np.testing.assert_array_less(error, np.broadcast_to(1e-13 * scale + np.finfo(float).tiny, error.shape))

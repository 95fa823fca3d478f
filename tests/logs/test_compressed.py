"""Compressed chunks, decoded by several threads."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import LogError
from covdist.rows import readers

ROWS, CHUNK = 3100, 500
X = np.random.default_rng(3).normal(size=(ROWS, 6)).astype(np.float32)


@pytest.fixture(params=[2, 3])
def log(tmp_path, monkeypatch, request):
    """A log of seven chunks, the last of them cut off."""
    monkeypatch.setattr(readers, "_LARGE", 1)
    variables = {"activation": (("sample", "unit"), X)}
    xr.Dataset(variables).chunk(sample=CHUNK).to_zarr(tmp_path, zarr_format=request.param, consolidated=False)
    return tmp_path


def moments(log, threads):
    with dask.config.set(scheduler="threads", num_workers=threads):
        return covdist.moments(covdist.open_log(log)["activation"], dim="sample").compute()


def test_as_one_thread_reads_them(log):
    expected = moments(log, 1)
    np.testing.assert_allclose(expected.cov(), covdist.cov(X), atol=1e-14)
    for threads in (2, 4, 9):
        xr.testing.assert_identical(moments(log, threads).dataset, expected.dataset)


def test_the_first_that_is_damaged_is_named(log):
    for chunk in (log / "activation").rglob("*"):
        if chunk.name in ("2.0", "5.0") or chunk.parent.name in ("2", "5"):
            chunk.write_bytes(chunk.read_bytes()[:40])
    for threads in (1, 4):
        with pytest.raises(LogError, match=r"2[./]0 is damaged"):
            moments(log, threads)

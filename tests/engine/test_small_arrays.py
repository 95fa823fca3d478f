"""Coordinates that are lazy are read here; a cluster without workers keeps nobody waiting."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster, wait

import covdist
from covdist.errors import ClusterError

X = np.random.default_rng(0).normal(size=(40, 3))
EPOCH, STEP = np.arange(40) // 10, np.arange(40.0)


@pytest.fixture(scope="module")
def client():
    with LocalCluster(0, processes=False, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        yield client


def lazily(values: np.ndarray) -> da.Array:
    return da.from_array(values, chunks=7)


@pytest.fixture
def x() -> xr.DataArray:
    names = da.from_array(np.array(["a", "b", "c"]))
    along = xr.Coordinates({"step": ("step", lazily(STEP)), "epoch": ("step", lazily(EPOCH))}, indexes={})
    x = xr.DataArray(da.from_array(X, chunks=(10, 3)), dims=("step", "unit"))
    return x.assign_coords(along).assign_coords({"name": ("unit", names)})


@pytest.mark.parametrize("by", ["epoch", lazily(EPOCH), xr.DataArray(lazily(EPOCH), dims="step", name="epoch")])
def test_groups(client, x, by):
    m = covdist.moments(x, dim="step", by=by)
    found = m.compute(scheduler="threads").mean()
    np.testing.assert_allclose(found, X.reshape(4, 10, 3).mean(axis=1))
    assert found["name"].values.tolist() == ["a", "b", "c"]


def test_half_lives_labels_and_places(client, x):
    faded = covdist.moments(x, x.copy(), dim="step", halflife=10).compute(scheduler="threads")
    np.testing.assert_allclose(faded.x.mean(), np.average(X, axis=0, weights=0.5 ** (np.arange(40)[::-1] / 10)))
    assert covdist.fill(x, dim="step").compute(scheduler="threads").equals(x.compute(scheduler="threads"))
    other = x.assign_coords(xr.Coordinates({"step": ("step", lazily(STEP + 1))}, indexes={}))
    with pytest.raises(covdist.errors.DataError, match="different labels along 'step', first at row 0"):
        covdist.cov(x, other, dim="step")


def test_what_a_cluster_keeps(client, x):
    client.cluster.scale(1)
    client.wait_for_workers(1)
    epoch = client.persist(lazily(EPOCH))
    wait(epoch)
    m = covdist.moments(x, dim="step", by=epoch)
    assert m.mean().sizes["group"] == 4
    client.cluster.scale(0)
    while client.scheduler_info()["workers"]:
        pass
    with pytest.raises(ClusterError, match="has no workers"):
        covdist.moments(x, dim="step", by=epoch)

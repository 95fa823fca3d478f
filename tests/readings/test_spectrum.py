"""Spectra by every way against numpy, with names, lazily and on any chunking."""

from __future__ import annotations

import math
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import covdist
from covdist.errors import PlanError
from covdist.folding.request import policy
from covdist.limits import changed
from covdist.readings.spectrum import methods as module
from covdist.readings.spectrum.dual import dual_pass
from covdist.readings.spectrum.sketch import sketch_pass
from covdist.results.labels import label
from covdist.rows.transposed import column_stream

from .counting import Counted

RNG = np.random.default_rng(0)
N, D, K = 40, 90, 5
VALUES = RNG.normal(size=(N, D)) * np.exp(-np.arange(D) / 4) + 1e3 * RNG.normal(size=D)
METHODS = ["exact", "dual", "sketch"]
each_method = pytest.mark.parametrize("method", METHODS)


def expected(values: np.ndarray = VALUES) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, descending, and eigenvectors, one a row."""
    wide = values.reshape(len(values), -1).astype(np.longdouble)
    centred = (wide - wide.mean(axis=0)).astype(float)
    _, singular, vectors = np.linalg.svd(centred / math.sqrt(len(values)), full_matrices=False)
    return singular**2, vectors


def assert_right(found: xr.Dataset, values: np.ndarray = VALUES) -> None:
    truth, vectors = expected(values)
    k = found.sizes["component"]
    error = np.abs(found["eigenvalue"] - truth[:k])
    assert (error <= found["error"] + 1e-12 * truth[0]).all()
    if found.attrs["method"] != "sketch":
        np.testing.assert_allclose(found["eigenvalue"], truth[:k], rtol=1e-10)
        np.testing.assert_allclose(np.abs(np.sum(found["eigenvector"] * vectors[:k], axis=1)), 1, rtol=1e-10)
        shares = truth[: len(values) - 1] / truth.sum()
        assert float(found["effective_rank"]) == pytest.approx(np.exp(-np.sum(shares * np.log(shares))))
        assert float(found["participation_ratio"]) == pytest.approx(1 / np.sum(shares**2))
    np.testing.assert_allclose(found["std"], np.sqrt(found["eigenvalue"]), rtol=1e-12)
    np.testing.assert_allclose(found["total_variance"], truth.sum(), rtol=1e-12)
    np.testing.assert_allclose(found["explained"], found["eigenvalue"] / truth.sum(), rtol=1e-12)


@each_method
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("chunks", [None, (40, 90), (7, 90), (40, 11), (9, 13), (1, 90)], ids=str)
def test_any_chunking(method, passes, chunks):
    x = VALUES if chunks is None else da.from_array(VALUES, chunks=chunks)
    found = covdist.spectrum(x, K, method=method, passes=passes)
    assert dask.is_dask_collection(found) == (chunks is not None)
    assert found.attrs["method"] == method
    assert_right(found.compute(scheduler="synchronous"))


@each_method
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i4", "?"])
def test_any_dtype(method, dtype):
    values = (VALUES.mean(axis=0) < VALUES) if dtype == "?" else (100 * (VALUES - VALUES.mean(axis=0))).astype(dtype)
    assert_right(covdist.spectrum(values, 3, method=method), values.astype(float))


@each_method
def test_tiny_gradients(method):
    found = covdist.spectrum((VALUES - 1e3) * 1e-200, K, method=method)
    plain = covdist.spectrum(VALUES - 1e3, K, method=method)
    np.testing.assert_allclose(found["std"] / 1e-200, plain["std"], rtol=1e-9)
    np.testing.assert_allclose(found["explained"], plain["explained"], rtol=1e-9)
    assert (found["eigenvalue"] == 0).all()


@each_method
def test_means_a_million_spreads_away(method):
    values = RNG.normal(size=(N, D)) + 1e6 * RNG.normal(size=D)
    assert_right(covdist.spectrum(values, K, method=method), values)


@each_method
def test_as_many_vectors_as_columns(method):
    values = np.hstack([VALUES[:6, :3], VALUES[:6, :3], np.ones((6, 2))])
    found = covdist.spectrum(values, 8, method=method)
    np.testing.assert_allclose(found["eigenvalue"][:3], expected(values)[0][:3], rtol=1e-10)
    assert (found["eigenvalue"][3:] <= 1e-14 * found["eigenvalue"][0]).all()
    assert found["condition"] == np.inf
    np.testing.assert_allclose(np.sum(found["eigenvector"][:3] ** 2, axis=1), 1)


@each_method
def test_constant_data(method):
    found = covdist.spectrum(np.full((6, 70), 1e9 / 3), 2, method=method)
    assert found["eigenvalue"].values.tolist() == [0, 0]
    assert found["total_variance"] == 0
    assert np.isnan([found["effective_rank"], found["participation_ratio"], found["condition"]]).all()
    assert np.isnan(found["explained"]).all()


@pytest.mark.parametrize("n", [200, 2000])
def test_condition_and_edge(n):
    values = np.random.default_rng(n).normal(size=(n, 50))
    found = covdist.spectrum(values, 1)
    assert float(found["condition"]) == pytest.approx(np.linalg.cond(np.cov(values.T)), rel=1e-9)
    assert float(found["eigenvalue"][0]) == pytest.approx(float(found["marchenko_pastur_edge"]), rel=0.15)
    assert float(found["marchenko_pastur_edge"]) == pytest.approx(
        np.var(values, axis=0).mean() * (1 + math.sqrt(50 / n)) ** 2
    )


# ---- choice


@pytest.mark.parametrize(
    ("rows", "columns", "method"),
    [
        (100, 4096, "exact"),
        (5000, 5001, "dual"),
        (100, 10**8, "dual"),
        (5001, 5002, "sketch"),
        (6000, 6000, "exact"),
        (10**9, 8192, "exact"),
        (10**9, 8193, "sketch"),
        (100_000, 200_000, "sketch"),
    ],
)
def test_auto_goes_by_size(rows, columns, method):
    x = da.zeros((rows, columns), chunks=(5000, 5000) if rows < 10**6 else (10**7, 1000), dtype="f4")
    chosen, reason = module._choose("auto", module.label(x, 0, fallback="x"), "raise", 20)
    assert chosen == method
    assert f"{columns:,} columns" in reason


def test_auto_avoids_dual_where_rows_are_dropped():
    x = da.zeros((10, 5000))
    assert covdist.spectrum(x, 2, missing="drop").attrs["method"] == "sketch"


# ---- names


def named(data: Any) -> xr.DataArray:
    coords = {"unit": [f"w{i}" for i in range(D)], "step": np.arange(N)}
    return xr.DataArray(data, dims=("step", "unit"), coords=coords, name="gradient")


@each_method
@pytest.mark.parametrize("lazy", [False, True])
def test_names(method, lazy):
    x = named(da.from_array(VALUES, chunks=(7, 13)) if lazy else VALUES)
    found = covdist.spectrum(x.transpose("unit", "step"), K, dim="step", method=method)
    assert found["eigenvector"].dims == ("component", "unit")
    assert found["eigenvalue"].dims == ("component",)
    assert found["unit"].values[3] == "w3"
    assert found["component"].values.tolist() == list(range(K))
    assert_right(found.compute())


@each_method
def test_stacked_dims(method):
    values = VALUES.reshape(4, 10, 9, 5, 2)
    x = xr.DataArray(values, dims=("epoch", "step", "row", "column", "channel")).chunk(step=3, row=4, column=2)
    found = covdist.spectrum(x, K, dim=("epoch", "step"), method=method).compute()
    assert found["eigenvector"].dims == ("component", "row_column_channel")
    assert_right(found)


@each_method
def test_one_variable(method):
    found = covdist.spectrum(VALUES[:, 0], 1, method=method)
    assert found["eigenvector"].dims == ("component",)
    assert float(found["eigenvalue"][0]) == pytest.approx(np.var(VALUES[:, 0]))


@each_method
def test_without_vectors(method):
    assert "eigenvector" not in covdist.spectrum(VALUES, K, method=method, vectors=False)


def test_of_moments():
    x = named(VALUES).assign_coords(epoch=("step", np.arange(N) // 20))
    whole = covdist.moments(x, dim="step")
    xr.testing.assert_identical(
        whole.spectrum(K).drop_attrs(), covdist.spectrum(x.drop_vars("epoch"), K, dim="step").drop_attrs()
    )
    by = covdist.moments(x.chunk(step=7), dim="step", by="epoch").spectrum(K).compute()
    assert by["eigenvector"].dims == ("epoch", "component", "unit")
    assert_right(by.sel(epoch=1).assign_attrs(method="exact"), VALUES[20:])


def test_weights_come_from_moments():
    weights = np.arange(1, N + 1)
    found = covdist.moments(VALUES, weights=weights).spectrum(K)
    np.testing.assert_allclose(found["eigenvalue"], expected(np.repeat(VALUES, weights, axis=0))[0][:K], rtol=1e-10)


# ---- laziness


@each_method
@pytest.mark.parametrize(("passes", "chunks"), [(1, (7, 90)), (2, (7, 90)), (1, (40, 13))])
def test_building_reads_nothing_and_a_pass_reads_once(method, passes, chunks):
    counted = Counted(VALUES, *chunks)
    found = covdist.spectrum(counted.array, K, method=method, passes=passes)
    assert not counted.made
    times = {"dual": 2, "sketch": passes}.get(method, 1)
    found.compute(scheduler="synchronous")
    assert set(counted.made) == set(counted.every)
    assert max(counted.made.values()) <= times


@pytest.mark.parametrize("values", [VALUES, VALUES[:, :1], np.ones((5, 3))], ids=["several", "one column", "constant"])
def test_without_vectors_none_are_computed_and_numbers_have_the_same_bits(values, monkeypatch):
    m = covdist.moments(values)
    expected = m.spectrum(values.shape[1]).drop_vars("eigenvector")
    k, dual = min(values.shape), {"method": "dual"}
    expected_dual = covdist.spectrum(values, k, **dual).drop_vars("eigenvector")
    monkeypatch.setattr("covdist.numerics.eigen._largest_vectors", None)
    assert covdist.spectrum(values, k, vectors=False, **dual).identical(expected_dual)
    assert m.spectrum(values.shape[1], vectors=False).identical(expected)
    assert m.effective_rank() > 0 or values.std() == 0


def test_dual_without_vectors_reads_once():
    counted = Counted(VALUES, 40, 13)
    covdist.spectrum(counted.array, K, method="dual", vectors=False).compute(scheduler="synchronous")
    assert counted.made == counted.every


@each_method
def test_the_same_call_makes_the_same_keys_and_bits(method):
    x = da.from_array(VALUES, chunks=(7, 13), name="values")
    first, second = (covdist.spectrum(x, K, method=method) for _ in range(2))
    assert set(first.__dask_graph__()) == set(second.__dask_graph__())
    alone = first.compute(scheduler="synchronous")
    xr.testing.assert_identical(alone, second.compute(scheduler="threads"))


@each_method
def test_on_a_cluster(method):
    x = da.from_array(VALUES, chunks=(7, 13), name="values")
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0"):
        found = covdist.spectrum(x, K, method=method, passes=2).compute()
    xr.testing.assert_identical(found, covdist.spectrum(x, K, method=method, passes=2).compute(scheduler="threads"))


def test_dual_vectors_are_chunked_along_the_columns():
    with changed(most_transposed_bytes=N * 8 * 20):
        found = covdist.spectrum(da.from_array(VALUES, chunks=(8, 90)), K, method="dual")
    assert_right(found.compute(scheduler="synchronous"))


@pytest.mark.parametrize("chunks", [(8, 90), (8, 20), (40, 7)], ids=str)
@pytest.mark.parametrize("slab", [1 << 23, N * 8 * 25, N * 8])
def test_dual_of_a_log_reads_slabs(tmp_path, chunks, slab):
    import zarr

    array = zarr.open_group(tmp_path / "log.zarr", mode="w").create_array(
        "gradient", shape=VALUES.shape, chunks=chunks, dtype="f8", dimension_names=("step", "param")
    )
    array[:] = VALUES
    x = covdist.open_log(tmp_path / "log.zarr")["gradient"]
    with changed(transposed_bytes=slab, most_transposed_bytes=slab):
        widths = np.diff(column_stream(x.data, 1).bounds)
        found = covdist.spectrum(x, K, dim="step", method="dual")
    assert widths.sum() == D
    assert widths.max() <= max(slab // (N * 8), 1)
    assert_right(found.compute(scheduler="synchronous"))


# ---- refusals


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"k": 0}, "k=0 eigenpairs of 90 columns"),
        ({"k": 91}, "from 1 to 90"),
        ({"k": 2.5}, r"k=2\.5"),
        ({"method": "lanczos"}, "'exact', 'dual', 'sketch'"),
        ({"passes": 3}, "passes=3"),
        ({"missing": "drop", "method": "dual"}, "needs whole rows"),
        ({"dim": 5}, "not an axis"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(covdist.CovdistError, match=match):
        covdist.spectrum(VALUES, **{"k": K, **options})


def test_a_cross_covariance_has_no_spectrum():
    with pytest.raises(covdist.CovdistError, match="kind full"):
        covdist.moments(VALUES, VALUES).spectrum(2)


@each_method
def test_holes(method):
    values = VALUES.copy()
    values[6, 44] = np.nan
    x = da.from_array(values, chunks=(9, 13))
    with pytest.raises(covdist.CovdistError, match="nan at row 6, column 44"):
        covdist.spectrum(x, K, method=method).compute(scheduler="synchronous")
    found = covdist.spectrum(x, K, method=method, missing="propagate").compute()
    assert np.isnan(found["eigenvalue"]).all()
    if method != "dual":
        dropped = covdist.spectrum(x, K, method=method, missing="drop", passes=2).compute()
        assert_right(dropped, np.delete(VALUES, 6, axis=0))


@each_method
def test_what_does_not_fit_is_refused_with_both_numbers(method):
    x = da.zeros((4000, 9000), chunks=(100, 9000), dtype="f4")
    with pytest.raises(PlanError, match=r"needs .*MiB.* but has 250 MiB"):
        covdist.spectrum(x, K, method=method, memory="250MiB")
    assert covdist.spectrum(x, K, method=method, memory="8GiB").attrs["method"] == method


def test_the_plan_of_a_call_is_near_that_of_its_way():
    x = label(da.zeros((4000, 9000), chunks=(4000, 250), dtype="f4"), 0, fallback="x")
    sketch = sketch_pass(x, 20, policy("raise"), "raise")
    for way, plan in {"dual": dual_pass(x, 20).plan, "sketch": sketch.plan}.items():
        other = next(each for each in covdist.plan(x.data).strategies if each.strategy == way)
        assert other.flops == plan.flops
        assert other.peak_bytes == pytest.approx(plan.peak_bytes, rel=0.1)


@pytest.mark.parametrize("method", ["auto", "exact", "dual", "sketch"])
@pytest.mark.parametrize("chunks", [None, 7])
def test_groups(method, chunks):
    rng = np.random.default_rng(5)
    values, epoch = rng.normal(size=(40, 6)) * np.arange(1, 7), rng.integers(0, 3, 40)
    x = xr.DataArray(values, dims=("sample", "unit"), coords={"epoch": ("sample", epoch)}, name="act")
    given = x if chunks is None else x.chunk(sample=chunks)
    found = covdist.spectrum(given, 2, dim="sample", by="epoch", method=method)
    assert found["eigenvalue"].dims == ("epoch", "component")
    assert found["eigenvector"].dims == ("epoch", "component", "unit")
    assert (found.chunks != {}) == (chunks is not None)
    found = found.compute()
    for group in range(3):
        alone = covdist.spectrum(values[epoch == group], 2, method=method)
        np.testing.assert_allclose(found["eigenvalue"].sel(epoch=group), alone["eigenvalue"], rtol=1e-9)
        np.testing.assert_allclose(found["total_variance"].sel(epoch=group), alone["total_variance"], rtol=1e-9)
    assert found.attrs.keys() == {"ddof", "kernel", "method", "reason"}

"""A matrix in tiles says what one in memory says, reads nothing before it must, and is stored once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import DataError, MergeError, NonFiniteError, PlanError, ResultError
from covdist.results import tile_store

from .counting import Counted

pytestmark = pytest.mark.usefixtures("few_tiles")
RNG = np.random.default_rng(0)
ROWS, COLUMNS = 500, 83
VALUES = RNG.normal(size=(ROWS, COLUMNS)) * RNG.uniform(0.1, 9, COLUMNS) + RNG.normal(size=COLUMNS)
WEIGHTS = RNG.integers(0, 4, ROWS)


def lazy(values: np.ndarray, *chunks: int) -> da.Array:
    return da.from_array(values, chunks=chunks or (70, values.shape[1]))


def close(found: xr.DataArray, expected: xr.DataArray) -> None:
    found = found.compute(scheduler="synchronous")
    assert (found.dims, found.name, found.attrs) == (expected.dims, expected.name, expected.attrs)
    sizes = np.sqrt(np.diagonal(expected))
    np.testing.assert_allclose(found / np.outer(sizes, sizes), expected / np.outer(sizes, sizes), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found, found.values.T)


@pytest.mark.parametrize("chunks", [(70, 83), (500, 83), (70, 20), (500, 7), ((0, 400, 100), 50)], ids=str)
def test_any_chunking_gives_the_matrix_in_memory(chunks):
    found = covdist.cov(lazy(VALUES, *chunks), matrix="tiles")
    assert isinstance(found.data, da.Array)
    assert max(found.data.numblocks) > 8
    close(found, covdist.cov(VALUES))


OPTIONS: dict[str, dict[str, Any]] = {
    "ddof": {"ddof": 1},
    "frequencies": {"weights": WEIGHTS, "ddof": 1},
    "reliabilities": {"weights": WEIGHTS / 3, "ddof": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    close(covdist.cov(lazy(VALUES), matrix="tiles", **options), covdist.cov(VALUES, **options))


@pytest.mark.parametrize("chunks", [(70, 83), (70, 20)], ids=str)
def test_a_hole_in_any_column_drops_its_row_from_all(chunks):
    values = VALUES.copy()
    values[[3, 250, 499], [0, 40, 82]] = np.nan, np.inf, np.nan
    x = lazy(values, *chunks)
    for options in ({}, {"weights": WEIGHTS}):
        close(
            covdist.cov(x, matrix="tiles", missing="drop", inf="missing", **options),
            covdist.cov(values, missing="drop", inf="missing", **options),
        )
    assert covdist.moments(x, matrix="tiles", missing="drop", inf="missing").compute().count == ROWS - 3


def test_a_hole_stays_in_its_column():
    values = VALUES.copy()
    values[250, 40] = np.nan
    found = covdist.cov(lazy(values), matrix="tiles", missing="propagate").compute()
    expected = covdist.cov(values, missing="propagate")
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_a_hole_is_refused_where_it_stands():
    values = VALUES.copy()
    values[250, 40] = np.nan
    with pytest.raises(NonFiniteError, match="row 250, column 40"):
        covdist.cov(lazy(values, 70, 20), matrix="tiles").compute(scheduler="synchronous")


def test_a_mean_that_drifts_and_one_far_away():
    drifting = VALUES + np.linspace(0, 1e6, ROWS)[:, None] + 1e8
    close(covdist.cov(lazy(drifting), matrix="tiles"), covdist.cov(drifting))


def test_values_whose_squares_underflow():
    scales = np.where(np.arange(COLUMNS) % 3 == 0, 1e-200, np.where(np.arange(COLUMNS) % 3 == 1, 1e-90, 1.0))
    m = covdist.moments(lazy(VALUES * scales), matrix="tiles")
    np.testing.assert_allclose(m.std().compute() / scales, VALUES.std(axis=0), rtol=1e-12)
    found, expected = m.cov().compute().values, covdist.cov(VALUES * scales).values
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-300)


# ---- correlation


SCALES = np.where(np.arange(COLUMNS) % 3 == 0, 1e-200, np.where(np.arange(COLUMNS) % 3 == 1, 1e-90, 1.0))


@pytest.mark.parametrize(
    "scales",
    [np.ones(COLUMNS), SCALES[::-1], SCALES * (np.arange(COLUMNS) != 40)],
    ids=["ordinary", "tiny", "tiny, and one constant"],
)
def test_correlations_are_those_of_the_matrix_in_memory(scales, tmp_path):
    x = lazy(VALUES * scales, 70, 50)
    expected = covdist.corr(VALUES * scales)
    m = covdist.moments(x, matrix="tiles")
    m.save(tmp_path / "m")
    for found in (covdist.corr(x, matrix="tiles"), m.corr(), covdist.load(tmp_path / "m").corr()):
        assert isinstance(found.data, da.Array)
        found = found.compute(scheduler="synchronous")
        assert (found.dims, found.name, found.attrs) == (expected.dims, expected.name, expected.attrs)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(found, found.values.T)
        np.testing.assert_array_equal(np.diagonal(found), np.diagonal(expected))  # 1, NaN of a constant column


@pytest.mark.parametrize("options", [{"weights": WEIGHTS}, {"weights": WEIGHTS / 3}, {"missing": "drop"}], ids=str)
def test_correlations_with_options(options):
    values = VALUES.copy()
    if "missing" in options:
        values[[3, 250], [0, 40]] = np.nan
    found = covdist.corr(values, matrix="tiles", **options)
    assert not dask.is_dask_collection(found)
    xr.testing.assert_allclose(found, covdist.corr(values, **options), rtol=0, atol=1e-13)


def test_corr_chooses_tiles_as_cov_does():
    assert max(covdist.corr(wide(21_000)).data.numblocks) > 8
    assert covdist.corr(wide(21_000)).data.numblocks == covdist.cov(wide(21_000)).data.numblocks
    with pytest.raises(PlanError, match="has 3 GiB"):
        covdist.corr(wide(30_000), matrix="memory", memory="3GiB")


@pytest.mark.parametrize(
    ("read", "advice"),
    [
        (lambda m: m.spectrum(2), r"call covdist.spectrum\(x, k, dim=...\).* or .*\(x, dim=..., matrix='memory'\)$"),
        (lambda m: m.smallest_eigenvalue(), r"covdist.moments\(x, dim=..., matrix='memory'\)$"),
        (lambda m: m.skewness(), r"fold the data with covdist.moments\(x, dim=..., state='higher'\)$"),
        (lambda m: m.x.cov(), r"found a variances state .* covdist.moments\(x, dim=...\)$"),
        (lambda m: m.scaled(2), "a matrix in tiles does not add up; pass weights="),
    ],
    ids=["spectrum", "smallest eigenvalue", "skewness", "columns alone", "scaled"],
)
def test_what_tiles_cannot_tell_says_what_can(read, advice, tmp_path):
    m = covdist.moments(lazy(VALUES), matrix="tiles")
    m.save(tmp_path / "m")
    for each in (m, covdist.load(tmp_path / "m")):
        with pytest.raises(DataError, match=advice):
            read(each)


def test_columns_alone_are_saved_as_columns(tmp_path):
    covdist.moments(VALUES, matrix="tiles").x.save(tmp_path / "x")
    np.testing.assert_allclose(covdist.load(tmp_path / "x").var(), VALUES.var(axis=0), rtol=1e-12)


def test_several_dims_and_names():
    names = [f"u{i}" for i in range(5)]
    x = xr.DataArray(
        da.from_array(VALUES[:, :60].reshape(100, 5, 5, 12), chunks=(30, 5, 2, 12)),
        dims=("step", "sample", "unit", "part"),
        coords={"unit": names},
        name="activation",
    )
    close(covdist.cov(x, dim=("step", "sample"), matrix="tiles"), covdist.cov(x, dim=("step", "sample")).compute())
    found = covdist.cov(x, dim=("step", "sample"), matrix="tiles")
    assert found["unit_2"].values[-1] == "u4"


@pytest.mark.parametrize("chunks", [(100, 83), (100, 10)], ids=str)
def test_a_log_of_covdist_own(chunks, tmp_path):
    zarr.open_group(tmp_path / "log.zarr", mode="w").create_array(
        "fc1/gradient", data=VALUES.astype("f4"), chunks=chunks, dimension_names=("step", "unit")
    )
    x = covdist.open_log(tmp_path / "log.zarr")["fc1/gradient"]
    close(covdist.cov(x, dim="step", matrix="tiles"), covdist.cov(x.compute(), dim="step"))


def test_chunks_that_share_work():
    depth = {0: 1, 1: 0}
    x = da.overlap.trim_overlap(da.overlap.overlap(lazy(VALUES) + 1, depth, "none"), depth, "none")
    assert covdist.plan(x).work.shared
    close(covdist.cov(x, matrix="tiles"), covdist.cov(VALUES + 1))


def test_fast_products():
    m = covdist.moments(lazy(VALUES), matrix="tiles", precision="fast")
    sizes = np.outer(VALUES.std(axis=0), VALUES.std(axis=0))
    assert (np.abs(m.cov().compute() - np.cov(VALUES.T, ddof=0)) / sizes).max() < 1e-5


def test_nothing_is_read_before_it_must_be_and_then_only_what_a_tile_needs():
    counted = Counted(VALUES, 70, 10)
    found = covdist.cov(counted.array, matrix="tiles")
    covdist.plan(counted.array, matrix="tiles")
    assert not counted.made
    found[-3:, -3:].compute(scheduler="synchronous")
    assert counted.made
    assert min(column for _, column in counted.made) > 3


def test_the_same_call_makes_the_same_keys():
    x = da.from_array(VALUES, chunks=(70, 83), name="values")
    first, again = (covdist.cov(x, matrix="tiles") for _ in range(2))
    other = covdist.cov(x, matrix="tiles", missing="drop")
    assert set(first.__dask_graph__()) == set(again.__dask_graph__())
    assert set(first.__dask_graph__()).isdisjoint(other.__dask_graph__())


def test_numpy_in_computed_out():
    found = covdist.cov(VALUES, matrix="tiles")
    assert not dask.is_dask_collection(found)
    close(found, covdist.cov(VALUES))


def test_means_and_variances_need_no_matrix():
    counted = Counted(VALUES, 70, 83)
    m = covdist.moments(counted.array, matrix="tiles")
    results = dask.compute(m.mean(), m.var(), m.count, scheduler="synchronous")
    assert counted.made == counted.every
    for found, expected in zip(results, (VALUES.mean(axis=0), VALUES.var(axis=0), ROWS), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


# ---- on disk


def test_stored_once_and_mirrored_when_read(tmp_path, monkeypatch):
    monkeypatch.undo()  # as many tiles as ever: those on the diagonal are stored whole
    values = RNG.normal(size=(40, 600))
    m = covdist.moments(lazy(values, 40, 100), matrix="tiles")
    m.save(tmp_path / "m")
    found = covdist.load(tmp_path / "m")
    for ddof, part in ((0, slice(50)), (1, slice(None))):
        lazily = m.cov(ddof)[part].compute(scheduler="synchronous")
        assert isinstance(found.cov(ddof).data, da.Array)
        xr.testing.assert_identical(found.cov(ddof)[part].compute(), lazily)
    chunks = [path for path in (tmp_path / "m" / "scatter" / "c").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in chunks) <= 1.1 * 8 * 600 * 601 / 2
    np.testing.assert_allclose(found.mean(), values.mean(axis=0), rtol=1e-12, atol=1e-15)
    assert (found.count, found.layout.kind) == (40, "tiles")
    assert covdist.plan(lazy(values), matrix="tiles").bytes_written >= sum(p.stat().st_size - 64 for p in chunks)


def test_stored_with_tiny_values(tmp_path):
    scales = np.where(np.arange(COLUMNS) % 2, 1e-200, 1e-90)
    m = covdist.moments(lazy(VALUES * scales), matrix="tiles")
    m.save(tmp_path / "m")
    xr.testing.assert_identical(covdist.load(tmp_path / "m").cov().compute(), m.cov().compute())


def test_a_zarr_store_of_the_lazy_matrix(tmp_path):
    found = covdist.cov(lazy(VALUES), matrix="tiles")
    found.to_dataset().to_zarr(tmp_path / "cov.zarr", consolidated=False)
    written = zarr.open_group(tmp_path / "cov.zarr", mode="r")["cov"][...]
    np.testing.assert_array_equal(written, found.compute())


def test_a_lost_tile_is_noticed(tmp_path):
    covdist.moments(lazy(VALUES), matrix="tiles").save(tmp_path / "m")
    (tmp_path / "m" / "scatter" / "c" / "0" / "3").unlink()
    with pytest.raises(ResultError, match="lacks 1 of its"):
        covdist.load(tmp_path / "m")


def test_what_is_stored_in_tiles_neither_merges_nor_is_saved_anew(tmp_path):
    covdist.moments(lazy(VALUES), matrix="tiles").save(tmp_path / "m")
    found = covdist.load(tmp_path / "m")
    with pytest.raises(MergeError, match="join the rows"):
        found.merge(found)
    with pytest.raises(ResultError, match="copy that folder"):
        found.save(tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_a_run_that_fails_leaves_nothing(tmp_path: Path):
    values = VALUES.copy()
    values[-1, -1] = np.nan
    with pytest.raises(NonFiniteError):
        covdist.moments(lazy(values), matrix="tiles").save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


# ---- the choice


def wide(columns: int, rows: int = 1000) -> da.Array:
    return da.zeros((rows, columns), chunks=(100, columns), dtype="f4")


@pytest.mark.parametrize(
    ("columns", "memory", "expected"),
    [(4096, None, "memory"), (20_000, None, "memory"), (21_000, None, "tiles"), (20_000, "3GiB", "tiles")],
)
def test_the_way_depends_on_the_data_and_the_options(columns, memory, expected):
    plan = covdist.plan(wide(columns), memory=memory)
    assert (plan.strategy, bool(plan.reason)) == (expected, True)
    assert [each.strategy for each in plan.strategies] == ["memory", "tiles", "dual", "sketch"]
    assert all(each.peak_bytes and each.flops and each.bytes_read and each.bytes_written for each in plan.strategies)
    assert all(f"by {each.strategy}" in str(plan) for each in plan.strategies if each.strategy != expected)


def test_what_cannot_fit_is_refused_with_both_numbers_and_the_way_out():
    with pytest.raises(PlanError, match=r"needs .* GiB .* has 3 GiB.*tile the matrix, which needs"):
        covdist.plan(wide(30_000), matrix="memory", memory="3GiB")
    with pytest.raises(PlanError, match="has 200 MiB"):
        covdist.cov(wide(30_000), matrix="tiles", memory="200MiB")
    with pytest.raises(PlanError, match="has 3 GiB"):
        covdist.cov(wide(30_000), matrix="memory", memory="3GiB")


def test_less_memory_makes_smaller_bands():
    plans = [covdist.plan(wide(30_000), memory=memory) for memory in ("600MiB", "3GiB")]
    assert plans[0].strips > plans[1].strips
    assert plans[0].peak_bytes <= 600 << 20


@pytest.mark.parametrize("options", [{"by": np.arange(ROWS) % 2}, {"y": VALUES[:, :3]}], ids=["by", "y"])
def test_tiles_of_groups_or_of_two_arrays_are_refused(options):
    with pytest.raises(DataError, match="leave out y and by"):
        covdist.cov(VALUES, matrix="tiles", **options)


def test_a_stored_matrix_that_is_gone_is_no_matrix_of_nan(tmp_path):
    covdist.moments(lazy(VALUES[:50, :20]), matrix="tiles").save(tmp_path / "m")
    found = covdist.load(tmp_path / "m").cov()
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(ResultError, match=r"m is damaged .*No such file.*restore it"):
        found.compute()


def test_tiles_of_a_result_that_was_given_up_have_no_place(tmp_path, monkeypatch):
    """As its folder is removed while a worker folds."""
    place, tile = tmp_path / "result.zarr", tile_store.scatter_tile
    m = covdist.moments(lazy(VALUES), matrix="tiles").with_tiles_in(zarr.open_group(place, mode="w"))
    monkeypatch.setattr(tile_store, "scatter_tile", lambda *given: (place.rename(tmp_path / "gone"), tile(*given))[1])
    with pytest.raises(FileNotFoundError), dask.config.set(scheduler="synchronous"):
        m.compute()
    assert [each.name for each in tmp_path.iterdir()] == ["gone"]

"""One state for every position of some dims: numpy's covariance of each, in any layout, chunks and shards."""

from __future__ import annotations

import operator
from functools import reduce

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.cli import main
from covdist.errors import DataError, NonFiniteError
from covdist.kernel.library import compiled

from .containers import chunkings
from .counting import Counted

RNG = np.random.default_rng(0)
SIZES = {"sample": 30, "h": 3, "w": 4, "c": 5}
COORDS = {"h": [30, 20, 10], "w": list("abcd"), "c": [1.0, 2.0, 3.0, 4.0, 5.0]}
X = xr.DataArray(
    RNG.normal(size=tuple(SIZES.values())) * RNG.uniform(0.1, 10, size=(3, 4, 5)) + RNG.normal(size=(3, 4, 5)) * 100,
    dims=tuple(SIZES),
    coords=COORDS,
)
EACH = ("h", "w")


def expected(x: np.ndarray, ddof: float = 0, **weights: np.ndarray) -> np.ndarray:
    return np.array(
        [[np.cov(x[:, i, j].T, ddof=ddof, **weights) for j in range(x.shape[2])] for i in range(x.shape[1])]
    )


def assert_like_numpy(found: xr.DataArray, x: np.ndarray, ddof: float = 0, **weights: np.ndarray) -> None:
    of_numpy = expected(x.astype(np.float64), ddof, **weights)
    size = np.sqrt(np.einsum("hwii->hwi", of_numpy))
    error = abs(found.values - of_numpy) / (size[..., :, None] * size[..., None, :])
    assert error.max() < 1e-12


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i4", "u1"])
@pytest.mark.parametrize("order", [("sample", "h", "w", "c"), ("sample", "c", "h", "w"), ("w", "c", "sample", "h")])
def test_covariances_of_any_layout_and_dtype(order, dtype):
    x = abs(X).astype(dtype).transpose(*order)
    found = covdist.cov(x, dim="sample", each=EACH, ddof=1)
    assert found.dims == ("h", "w", "c", "c_2")
    for name, values in {**COORDS, "c_2": COORDS["c"]}.items():
        np.testing.assert_array_equal(found[name], values)
    assert_like_numpy(found, abs(X).astype(dtype).values, 1)


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_any_chunks(data):
    sizes = {dim: data.draw(chunkings(size)) for dim, size in SIZES.items()}
    order = data.draw(st.permutations(list(SIZES)))
    lazy = covdist.moments(X.chunk(sizes).transpose(*order), dim="sample", each=EACH)
    assert lazy.cov().chunks is not None
    found = lazy.compute(scheduler="sync")
    assert_like_numpy(found.cov(), X.values)
    np.testing.assert_allclose(found.mean(), X.mean("sample"), rtol=1e-13)
    np.testing.assert_array_equal(found.count, np.full((3, 4), 30))
    assert found.mean().dims == ("h", "w", "c")


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_same_bits_however_positions_are_shared(parts, lazy):
    x = RNG.normal(size=(70, 8, 30)).astype("f4") + 10
    x[5, 3], x[40, 6, 2] = 1e30, 0  # what wants a closer look at some positions alone
    whole = covdist.cov(x, each=1)
    cut = [da.from_array(part, chunks=(70, 3, 30)) if lazy else part for part in np.split(x, parts, axis=1)]
    found = np.concatenate([covdist.cov(part, each=1) for part in cut])
    np.testing.assert_array_equal(found, whole)


def test_each_position_is_as_it_is_alone():
    """Up to rounding, and also where single columns, constant ones or huge numbers lie beside others."""
    x = X.values.copy()
    x[:, 0, 0], x[:, 0, 1, 2], x[:, 1] = x[:, 0, 0] * 1e200, 7.0, x[:, 1] * 1e-200
    m = covdist.moments(x, each=(1, 2))
    for i in range(3):
        for j in range(4):
            alone = covdist.moments(x[:, i, j])
            np.testing.assert_allclose(m.std()[i, j], alone.std(), rtol=1e-13)
            np.testing.assert_allclose(m.corr()[i, j], alone.corr(), atol=1e-13)


@pytest.mark.parametrize("state", ["full", "variances", "higher", "norms", ("full", "higher"), "lagged(lag=2)"])
def test_other_states(state):
    m = covdist.moments(X, dim="sample", each=EACH, state=state)
    alone = covdist.moments(X[:, 1, 2], dim="sample", state=state)
    np.testing.assert_allclose(m.mean()[1, 2], alone.mean(), rtol=1e-13)
    for name in ("var", "skewness", "autocov"):
        if alone.can_answer({"var": "variance", "skewness": "skewness", "autocov": "autocovariance"}[name]):
            np.testing.assert_allclose(getattr(m, name)()[1, 2], getattr(alone, name)(), rtol=1e-10)
    np.testing.assert_array_equal(m.mean().h, COORDS["h"])


@pytest.mark.parametrize("width", [1, 2, 255, 256, 300])
def test_few_and_many_columns(width):
    x = RNG.normal(size=(40, 3, width)).astype("f4")
    found = covdist.cov(x, each=1)
    assert found.shape == (3, width, width)
    for i in range(3):
        np.testing.assert_allclose(found[i], np.atleast_2d(np.cov(x[:, i].T.astype("f8"), ddof=0)), atol=1e-12)
    single = covdist.var(x[:, :, 0], each=1)
    np.testing.assert_allclose(single, x[:, :, 0].astype("f8").var(axis=0), rtol=1e-12)


def test_weights_and_halflife():
    times, trust = RNG.integers(1, 4, 30), RNG.random(30)
    assert_like_numpy(covdist.cov(X, dim="sample", each=EACH, weights=times), X.values, fweights=times)
    lazy = covdist.cov(X.chunk(sample=7), dim="sample", each=EACH, weights=trust)
    assert_like_numpy(lazy.compute(), X.values, aweights=trust)
    fading = covdist.moments(X.drop_vars("c"), dim="sample", each=EACH, halflife=5)
    assert_like_numpy(fading.cov(), X.values, aweights=0.5 ** (np.arange(29, -1, -1) / 5))


def test_missing_values():
    holed = X.values.copy()
    holed[3, 1, 2, 0] = holed[20, 2, 3, 4] = np.nan
    with pytest.raises(NonFiniteError, match="row 3, column 30 "):  # of all positions' columns
        covdist.cov(holed, each=(1, 2))
    for lazy in (False, True):
        x = da.from_array(holed, chunks=(11, 3, 2, 5)) if lazy else holed
        dropped = covdist.moments(x, each=(1, 2), missing="drop")
        rows = np.full((3, 4), 30)
        rows[1, 2] = rows[2, 3] = 29
        np.testing.assert_array_equal(dropped.count, rows)
        np.testing.assert_allclose(dropped.cov()[1, 2], np.cov(np.delete(holed[:, 1, 2], 3, 0).T, ddof=0), rtol=1e-10)
        np.testing.assert_allclose(dropped.cov()[0, 0], np.cov(holed[:, 0, 0].T, ddof=0), rtol=1e-10)
        spread = covdist.moments(x, each=(1, 2), missing="propagate").var()
        assert np.isnan(spread).sum() == 2
        pairs = covdist.cov(x, each=(1, 2), missing="pairwise")
        np.testing.assert_allclose(pairs[1, 2], covdist.cov(holed[:, 1, 2], missing="pairwise"), rtol=1e-12)


def test_choosing_and_joining_positions(tmp_path):
    m = covdist.moments(X.chunk(sample=10, h=2), dim="sample", each=EACH)
    row = m.sel(h=20)
    assert row.cov().dims == ("w", "c", "c_2")
    np.testing.assert_array_equal(row.sel(w="b").cov(), m.cov().sel(h=20, w="b"))
    pooled = m.merge("h").sel(w="c")
    np.testing.assert_allclose(pooled.cov(), covdist.cov(X[:, :, 2].drop_vars("h"), dim=("sample", "h")), rtol=1e-10)
    np.testing.assert_allclose(m.merge("h_w").mean(), X.mean(("sample", "h", "w")), rtol=1e-12)
    m.save(tmp_path / "m.zarr")
    loaded = covdist.load(tmp_path / "m.zarr")
    xr.testing.assert_identical(loaded.cov(), m.compute().cov())
    assert loaded.dataset.identical(m.compute().dataset)
    xr.testing.assert_allclose((loaded + m.compute()).cov(), loaded.cov())


def test_parts_add_up():
    first, second = (covdist.moments(part, dim="sample", each=EACH) for part in (X[:10], X[10:]))
    assert_like_numpy((first + second).cov(), X.values)
    left, right = (covdist.moments(X[:, part], dim="sample", each=EACH) for part in ([0], [1, 2]))
    both = (left + right).cov()
    assert both.dims == ("h", "w", "c", "c_2")
    whole = covdist.cov(X, dim="sample", each=EACH)
    np.testing.assert_array_equal(both.sel(h=COORDS["h"]), whole)


def test_positions_without_coordinates_are_numbered():
    x = X.drop_vars(["h", "w"])
    found = covdist.var(x, dim="sample", each=("w", "h"))
    assert found.dims == ("w", "h", "c")
    assert found.w.values.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found, X.var("sample").transpose("w", "h", "c"), rtol=1e-12)
    assert covdist.std(X, dim="sample", each="h").dims == ("h", "w_c")
    assert covdist.skewness(X.values, each=[1, 2]).dims == ("position_0", "position_1", "unit")


def test_the_plan_counts_all_positions():
    lazy = X.chunk(sample=10)
    plan, one = (
        covdist.plan(each, dim="sample", **options) for each, options in ((lazy, {"each": EACH}), (lazy[:, 0, 0], {}))
    )
    assert plan.bytes_read == lazy.nbytes
    assert plan.work.state_bytes == 12 * one.work.state_bytes
    assert plan.flops == 12 * one.flops


def test_variances_come_of_the_same_pass():
    counted = Counted(X.values.reshape(30, 60), 10, 60)
    x = counted.array.reshape(30, 12, 5)
    cov, var = dask.compute(covdist.cov(x, each=1), covdist.var(x, each=1), scheduler="sync")
    np.testing.assert_array_equal(np.einsum("pii->pi", cov), var)
    assert len(counted.made) == 3


def test_in_a_job_and_on_the_command_line(tmp_path):
    xr.Dataset({"patch": X.drop_vars("w").chunk(sample=10)}).to_zarr(tmp_path / "log.zarr", consolidated=False)
    runner = CliRunner()
    options = ["run", str(tmp_path / "log.zarr"), "-o", str(tmp_path / "r.zarr"), "--each", "h,w"]
    ran = runner.invoke(main, options)
    assert ran.exit_code == 0, ran.output
    assert_like_numpy(covdist.load(tmp_path / "r.zarr").cov(), X.values)
    with Client(processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0") as client:
        job = covdist.submit(tmp_path / "log.zarr", job=tmp_path / "job", client=client, each=EACH).wait()
        np.testing.assert_array_equal(job.result().cov(), covdist.load(tmp_path / "r.zarr").cov())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"each": EACH, "by": np.arange(30)},
            r"each=\('h', 'w'\) makes a state of every position by itself, which groups by",
        ),
        ({"each": EACH, "blocks": 3}, "which groups by 'block' does not go with"),
        ({"each": EACH, "y": X}, "which y does not go with"),
        ({"each": EACH, "missing": "maxent"}, "which missing='maxent' does not go with"),
        ({"each": EACH, "missing": "interpolate"}, "which missing='interpolate' does not go with"),
        ({"each": "d"}, "each='d' is not a dim of x besides 'sample'"),
        ({"each": ("h", "sample")}, "each='sample' is not a dim of x besides 'sample'"),
        ({"each": ("h", "h")}, "named twice"),
    ],
)
def test_what_does_not_go_together(options, message):
    with pytest.raises(DataError, match=message):
        covdist.moments(X, dim="sample", **options)


def test_other_readings_say_what_they_take():
    with pytest.raises(DataError, match=r"names a position twice: leave it out, by .drop_vars\('h'\)"):
        covdist.var(X.assign_coords(h=[1, 1, 2]), dim="sample", each="h")
    with pytest.raises(DataError, match="each=4 is not an axis of an array of shape"):
        covdist.var(X.values, each=4)
    m = covdist.moments(X, dim="sample", each=EACH)
    with pytest.raises(DataError, match=r"mahalanobis takes one state.*m.sel\(h=...\)"):
        covdist.mahalanobis(X, m)
    one = m.sel(h=20).sel(w="a")
    assert covdist.mahalanobis(X.sel(h=20, w="a"), one).dims == ("sample",)


@pytest.mark.parametrize("precision", ["high", "fast"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4"])
def test_the_same_bits_as_each_alone(dtype, precision):
    """Also of a position where numbers want a closer look, and of sums of these with others."""
    x = (RNG.normal(size=(700, 5, 60)) * 3 + 20).astype(dtype)
    x[:, 1, 3] = 7
    if dtype == "f8":
        x[:, 2] *= 1e-200
    parts = [covdist.moments(part, each=1, precision=precision) for part in (x[:300], x[300:])]
    for m, rows in ((parts[0], [x[:300]]), (parts[0] + parts[1], [x[:300], x[300:]]), (parts[1] + parts[0], None)):
        rows = rows or [x[300:], x[:300]]
        for position in range(5):
            alone = [covdist.moments(part[:, position], precision=precision) for part in rows]
            whole = alone[0] + alone[1] if len(alone) == 2 else alone[0]
            np.testing.assert_array_equal(m.cov(ddof=1)[position], whole.cov(ddof=1))
            np.testing.assert_array_equal(m.corr()[position], whole.corr())
            np.testing.assert_array_equal(m.var()[position], whole.var())
            np.testing.assert_array_equal(m.count[position], whole.count)
    assert list(m.state.folded.alone) == ([2] if dtype == "f8" and compiled() else [])


@pytest.mark.parametrize("state", ["full", "variances"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u1"])
def test_the_same_bits_wherever_the_channels_lie(dtype, state):
    """Before the positions, as torch has them, every other one, with rows back to front, in one part and in two."""
    x = (RNG.normal(size=(300, 10, 9, 11)) * 3 + 20).astype(dtype)
    x[7, 2, 4, 4] = 200
    for array in (x, x[::-1, 1::2], x[:, :, ::-1, 2:7], np.asfortranarray(x)):
        last = np.ascontiguousarray(np.moveaxis(array, 1, -1))
        parts = [slice(None), slice(0, 120), slice(120, None)]
        found = [covdist.moments(array[part], dim=0, each=(2, 3), state=state) for part in parts]
        expected = [covdist.moments(last[part], dim=0, each=(1, 2), state=state) for part in parts]
        for one, other in zip([*found, found[1] + found[2]], [*expected, expected[1] + expected[2]], strict=True):
            np.testing.assert_array_equal(one.var(), other.var())
            np.testing.assert_array_equal(one.mean(), other.mean())
            if state == "full":
                np.testing.assert_array_equal(one.cov(), other.cov())
    if state == "full":
        x = x.astype("f8")
        np.testing.assert_allclose(
            covdist.cov(x, dim=0, each=(2, 3))[4, 4], np.cov(x[:, :, 4, 4].T, ddof=0), rtol=1e-11, atol=1e-12
        )


def test_fast_products_are_the_same_wherever_the_channels_lie():
    x = RNG.normal(size=(600, 20, 7, 11)).astype("f4")
    found = covdist.moments(x, dim=0, each=(2, 3), precision="fast").cov()
    last = covdist.moments(np.ascontiguousarray(np.moveaxis(x, 1, -1)), dim=0, each=(1, 2), precision="fast").cov()
    np.testing.assert_array_equal(found, last)


def sum_of(parts: list[covdist.Moments]) -> covdist.Moments:
    return reduce(operator.add, parts)


@settings(deadline=None, max_examples=15)
@given(
    rows=st.integers(1, 900),
    width=st.integers(2, 130),
    size=st.integers(-30, 30),
    cut=st.integers(0, 900),
    seed=st.integers(0, 1000),
)
def test_fast_products_of_positions_are_those_of_each_alone(rows, width, size, cut, seed):
    """Of any scale, with a constant column, in one block and in two; within the error that is promised."""
    rng = np.random.default_rng(seed)
    x = ((rng.normal(size=(rows, 3, width)) + 2) * np.exp2(rng.integers(-3, 4, width) + size)).astype("f4")
    x[:, 1, -1] = x[0, 1, -1]
    parts = [part for part in (x[:cut], x[cut:]) if len(part)]
    found = sum_of([covdist.moments(part, each=1, precision="fast") for part in parts]).cov()
    for position in range(3):
        alone = sum_of([covdist.moments(part[:, position], precision="fast") for part in parts]).cov()
        np.testing.assert_array_equal(found[position], alone)
        exact = np.atleast_2d(np.cov(x[:, position].T.astype("f8"), ddof=0))
        deviations = np.sqrt(np.diagonal(exact))
        assert (abs(alone.values - exact) <= 1.6e-5 * np.outer(deviations, deviations)).all()


def test_sums_of_positions_that_were_alone_at_times():
    x = RNG.normal(size=(90, 4, 6))
    x[40, 1], x[70, 3] = 1e300, 1e-300
    lazy = covdist.moments(da.from_array(x, chunks=(30, 4, 6)), each=1).compute(scheduler="sync")
    for position in range(4):
        alone = covdist.moments(da.from_array(x[:, position], chunks=(30, 6))).compute(scheduler="sync")
        np.testing.assert_allclose(lazy.corr()[position], alone.corr(), rtol=1e-12)
        np.testing.assert_allclose(lazy.std()[position], alone.std(), rtol=1e-12)

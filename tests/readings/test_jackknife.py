"""``blocks=`` and ``m.jackknife``: errors by leaving out blocks of rows."""

from __future__ import annotations

import tracemalloc

import dask.array as da
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError
from covdist.folding.request import make_request
from covdist.folding.selection import Selection

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(640, 3)) @ np.array([[1, 0.6, 0], [0, 0.8, 0], [0, 0, 2]]) + 5
READINGS = {
    "mean": ({}, lambda x: x.mean(axis=0)),
    "std": ({"ddof": 1}, lambda x: x.std(axis=0, ddof=1)),
    "cov": ({}, lambda x: np.cov(x.T, ddof=0)),
    "corr": ({}, lambda x: np.corrcoef(x.T)),
    "logdet": ({}, lambda x: np.linalg.slogdet(np.cov(x.T, ddof=0))[1]),
}


def textbook(statistic, blocks, level=0.95):
    """Return value, error, bias and limits from the rows; of blocks of equal size the plain jackknife."""
    rows = np.concatenate(blocks)
    value = statistic(rows)
    left = [statistic(np.concatenate(blocks[:k] + blocks[k + 1 :])) for k in range(len(blocks))]
    n, g, sizes = len(rows), len(blocks), [len(block) for block in blocks]
    if len(set(sizes)) == 1:
        error = np.sqrt((g - 1) / g * sum((each - sum(left) / g) ** 2 for each in left))
        bias = (g - 1) * (sum(left) / g - value)
    else:  # Busing, Meijer and van der Leeden (1999), equations 9 to 12
        corrected = g * value - sum((1 - m / n) * each for m, each in zip(sizes, left, strict=True))
        pseudo = [n / m * value - (n / m - 1) * each for m, each in zip(sizes, left, strict=True)]
        squares = ((each - corrected) ** 2 / (n / m - 1) for m, each in zip(sizes, pseudo, strict=True))
        error, bias = np.sqrt(sum(squares) / g), value - corrected
    half = scipy.stats.t.ppf((1 + level) / 2, g - 1) * error
    return {"value": value, "error": error, "bias": bias, "lower": value - half, "upper": value + half}


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("rows", [640, 611])
@pytest.mark.parametrize("lazy", [False, True])
def test_as_the_textbook_has_it(name, rows, lazy):
    options, statistic = READINGS[name]
    x = da.from_array(X[:rows], chunks=(100, 3)) if lazy else X[:rows]
    m = covdist.moments(x, blocks=16)
    found = m.jackknife(name, level=0.9, **options)
    assert (found["error"].chunks is not None) == lazy
    found = found.compute()
    borders = np.flatnonzero(np.diff(np.arange(rows) * 16 // rows)) + 1
    expected = textbook(statistic, np.split(X[:rows], borders), 0.9)
    for part, values in expected.items():
        close = {"rtol": 1e-12, "atol": 1e-12 if part == "bias" else 1e-13}
        np.testing.assert_allclose(found[part], values, **close)
    assert found["error"].attrs["long_name"] == f"standard error of {name}"
    assert (found.attrs["level"], found.attrs["blocks"]) == (0.9, 16)


def test_blocks_are_runs_of_rows():
    m = covdist.moments(X[:611], blocks=16)
    assert m.count.dims == ("block",)
    assert set(m.count.values.tolist()) == {38, 39}
    np.testing.assert_allclose(m.sel(block=0).mean(), X[:39].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(m.merge("block").cov(), np.cov(X[:611].T, ddof=0), rtol=1e-12)
    np.testing.assert_array_equal(covdist.moments(X[:5], blocks=16).count, np.ones(5))
    deep = covdist.moments(xr.DataArray(X.reshape(64, 10, 3), dims=("a", "b", "c")), dim=("a", "b"), blocks=16)
    np.testing.assert_allclose(deep.mean(), covdist.moments(X, blocks=16).mean(), rtol=1e-14)


def test_each_group_has_its_own_blocks(tmp_path):
    label = RNG.choice(3, p=[0.6, 0.39, 0.01], size=640)
    m = covdist.moments(X, by=label, blocks=8)
    m.save(tmp_path / "m.zarr")
    for each in (m, covdist.load(tmp_path / "m.zarr")):
        found = each.jackknife("cov")
        for group in (0, 1):
            own = X[label == group]
            borders = np.flatnonzero(np.diff(np.arange(len(own)) * 8 // len(own))) + 1
            for part, values in textbook(READINGS["cov"][1], np.split(own, borders)).items():
                np.testing.assert_allclose(found[part].sel(group=group), values, rtol=1e-11, atol=1e-12)
    few = X[label == 2]
    found = m.jackknife("mean")["error"].sel(group=2)
    np.testing.assert_allclose(found, few.std(axis=0, ddof=1) / np.sqrt(len(few)), rtol=1e-12)
    within = m.jackknife(lambda part: part.within("group").cov())
    np.testing.assert_allclose(within["value"], covdist.moments(X, by=label).within("group").cov(), rtol=1e-12)
    pair = covdist.moments(xr.DataArray(X, dims=("row", "u"), coords={"a": ("row", label), "b": ("row", label % 2)}),
                           dim="row", by=("a", "b"), blocks=4)  # fmt: skip
    assert pair.jackknife("mean")["error"].indexes["a_b"].to_list() == [(0, 0), (1, 1), (2, 0)]


@quick
@given(st.integers(2, 40), st.integers(0, 2**32), st.booleans())
def test_the_error_of_a_mean(blocks, seed, weighted):
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=(60, 2)) + 1e6, rng.random(60) if weighted else np.ones(60)
    found = covdist.moments(x, blocks=blocks, weights=weights if weighted else None).jackknife("mean")
    borders = np.flatnonzero(np.diff(np.arange(60) * blocks // 60)) + 1
    sizes = np.array([part.sum() for part in np.split(weights, borders)])
    parts = zip(np.split(x, borders), np.split(weights, borders), strict=True)
    means = np.array([np.average(part, axis=0, weights=own) for part, own in parts])
    share = sizes / sizes.sum()
    expected = np.sqrt(((means - share @ means) ** 2 / (1 / share - 1)[:, None]).sum(axis=0) / blocks)
    rounding = np.spacing(1e6)  # of each mean, which the error of few rows may be close to
    np.testing.assert_allclose(found["error"], expected, rtol=1e-12, atol=4 * blocks * rounding)
    np.testing.assert_allclose(found["bias"], 0, atol=1e-8)


@pytest.mark.parametrize(("reading", "truth"), [("mean", 0.0), ("var", 1.0), ("std", 1.0), ("column_corr", 0.6)])
def test_intervals_hold_the_truth_as_often_as_they_say(reading, truth):
    x = RNG.normal(size=(960, 3000))
    if reading == "column_corr":
        y = 0.6 * x + 0.8 * RNG.normal(size=x.shape)
        found = covdist.moments(x, y, blocks=32, state="columnwise").jackknife("corr")
    else:
        found = covdist.moments(x, blocks=32, state="variances").jackknife(reading)
    inside = float(((found["lower"] < truth) & (truth < found["upper"])).mean())
    assert 0.93 < inside < 0.97


def test_rows_that_depend_on_each_other():
    phi, n = 0.8, 32 * 600
    x = scipy.signal.lfilter([1], [1, -phi], RNG.normal(size=(n + 200, 100)), axis=0)[200:]
    lags = np.arange(1, n)
    known = np.sqrt((1 + 2 * ((1 - lags / n) * phi**lags).sum()) / (1 - phi**2) / n)
    found = covdist.moments(x, blocks=32, state="variances").jackknife("mean")
    assert abs(float(np.sqrt((found["error"] ** 2).mean())) / known - 1) < 0.05
    assert abs(found["error"] / known - 1).median() < 0.15


def test_reads_no_rows():
    counted = Counted(X, 70, 3)
    m = covdist.moments(counted.array, blocks=8).compute(scheduler="sync")
    m.jackknife("corr")
    assert counted.made == counted.every


def test_a_reading_of_several_arrays():
    m = covdist.moments(X, blocks=8)
    found = m.jackknife("spectrum", 2)
    top = m.jackknife(lambda part: part.spectrum(2)["eigenvalue"])
    for part in top:
        np.testing.assert_array_equal(found[f"eigenvalue_{part}"], top[part])
    assert found["std_error"].attrs["long_name"] == "standard error of std"
    assert found.attrs["reading"] == "spectrum"
    lazy = covdist.moments(da.from_array(X, chunks=(64, 3)), blocks=8).jackknife("gradient_stats")
    assert lazy["snr_error"].chunks is not None
    np.testing.assert_allclose(lazy["variance_error"], m.jackknife("var")["error"], rtol=1e-12)


@pytest.mark.parametrize("blocks", [2, 3, 64, 65, 70, 130])
def test_many_blocks_are_left_out_one_by_one(blocks):
    x = RNG.normal(size=(260, 9)).astype("f4")
    found = covdist.moments(x, blocks=blocks).jackknife("var")
    parts = np.split(x.astype(float), np.flatnonzero(np.diff(np.arange(260) * blocks // 260)) + 1)
    for part, values in textbook(lambda rows: rows.var(axis=0), parts).items():
        np.testing.assert_allclose(found[part], values, rtol=1e-9, atol=1e-12)


def test_any_reading_of_one_array():
    m = covdist.moments(X, blocks=8)
    np.testing.assert_array_equal(m.jackknife("shrink", "oas")["value"], m.merge("block").shrink("oas"))
    top = m.jackknife(lambda part: part.spectrum(2)["eigenvalue"])
    assert top["error"].dims == ("component",)
    assert covdist.jackknife(m, "smallest_eigenvalue")["value"].ndim == 0
    epochs = covdist.moments(X, by=np.arange(640) // 80)
    np.testing.assert_allclose(epochs.jackknife("mean", dim="group")["error"], m.jackknife("mean")["error"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: covdist.moments(X).jackknife("mean"), MergeError, "needs groups by 'block'.* has no groups"),
        (lambda m: covdist.moments(X, blocks=1).jackknife("mean"), DataError, "two or more of 'block'"),
        (lambda m: m.jackknife("maen"), DataError, "there is no reading 'maen'"),
        (lambda m: m.jackknife("rows"), DataError, "there is no reading 'rows'"),
        (lambda m: m.jackknife(lambda part: 1.0), DataError, "gives a float: pass a function"),
        (lambda m: m.jackknife("mean", level=95), DataError, "between 0 and 1"),
        (lambda m: m.jackknife("cov", bias=True), DataError, "cov has no option bias"),
        (lambda m: covdist.jackknife(X, "cov"), DataError, "jackknife reads moments"),
        (lambda m: covdist.moments(X, blocks=0), DataError, "blocks=0 is not a number of blocks"),
        (lambda m: covdist.moments(X, blocks=2.5), DataError, "blocks=2.5"),
        (lambda m: covdist.moments(X, blocks=4, state="lagged(lag=1)").jackknife("autocov"), MergeError, "the order"),
        (lambda m: covdist.moments(xr.DataArray(X, dims=("row", "block")), dim="row", blocks=4), DataError, "rename"),
    ],
)  # fmt: skip
def test_what_has_no_blocks_says_so(make, error, message):
    with pytest.raises(error, match=message):
        make(covdist.moments(X, blocks=4))


def test_a_selection_says_the_same_again():
    assert Selection(**Selection(blocks=8, by="epoch").asked()).blocks == 8
    assert "blocks" not in Selection().asked()


def test_blocks_of_a_lazy_array_are_not_made_before_it_is_read():
    m = covdist.moments(da.zeros((10**12, 2), chunks=(10**10, 2)), blocks=4)  # codes of 4 TB
    assert m.layout.groups.values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("rows", "blocks"), [(60, 7), (5, 32), (1, 1), (100, 100), (1000, 32)])
@pytest.mark.parametrize("lazy", [False, True])
def test_blocks_have_the_rows_that_a_plan_counts(rows, blocks, lazy):
    x = np.zeros((rows, 2))
    request = make_request(da.from_array(x, chunks=(7, 2)) if lazy else x, blocks=blocks)
    np.testing.assert_array_equal(request.group_rows, np.bincount(np.asarray(request.vectors["by"])))
    assert np.ptp(request.group_rows) <= 1


def test_memory_does_not_grow_with_the_number_of_blocks():
    m = covdist.moments(RNG.normal(size=(512, 100)), blocks=128)
    m.jackknife("cov")
    tracemalloc.start()
    m.jackknife("cov")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 100**2 * 8  # of 128 that are left out, few are held


def test_a_long_bias_costs_no_digits():
    """Each block that is left out moves the reading by nearly as much."""
    m = covdist.moments(X, blocks=16)
    found = m.jackknife(lambda m: m.mean() + 1e9 / m.count)
    np.testing.assert_allclose(found["error"], m.jackknife("mean")["error"], rtol=1e-4)


def test_groups_that_lie_in_one_block_have_no_error():
    label, epoch = np.arange(640) // 40 % 2, np.arange(640) // 40
    x = xr.DataArray(X, dims=("sample", "unit"), coords={"label": ("sample", label), "epoch": ("sample", epoch)})
    found = covdist.moments(x, by=("epoch", "label"), dim="sample")
    error = found.jackknife("mean", dim="label")["error"]
    assert error.sizes["epoch"] == 16
    assert np.isnan(error).all()


def test_a_refusal_without_one_block_says_so():
    """It was taken for one about all rows, whose condition number there is."""
    x = np.column_stack([np.random.default_rng(0).normal(size=(64, 2)), np.arange(64) >= 56])
    m = covdist.moments(x, blocks=8)
    assert m.merge("block").condition_number() > 1
    with pytest.raises(DataError, match=r"^without the rows of block 7, the covariance of 3 columns is singular"):
        m.jackknife("condition_number")

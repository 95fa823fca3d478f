"""``state="serial(lags=...)"``: autocorrelations of all lags in one pass, and the time that they last."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.signal

import covdist
from covdist.errors import DataError, MergeError

RNG = np.random.default_rng(0)
STEP = np.arange(40.0)
X = np.column_stack([np.sin(STEP * STEP / 7) + STEP / 20, np.cos(STEP * STEP * STEP / 11) * 3 + 1e6])
# Of statsmodels 0.14: acf(..., fft=False, adjusted=False) of the columns, and missing="conservative" with two holes.
ACF = np.array(
    [
        [1.0, 0.12550923225764865, 0.30868503735178726, 0.25443576798696155, 0.2306714990682909],
        [1.0, 0.12062639439639976, 0.052973509714706775, -0.35356412804680987, -0.0818027428623404],
    ]
).T
ACOVF = [0.7363713588731855, 0.092421403908695, 0.2273068204185556, 0.18735921221850144, 0.1698598852222321]
HOLED = [1.0, 0.11795837034764499, 0.29721489340076757, 0.24959432837735276, 0.224860952565868]


def serial(x, lags=4, **options):
    return covdist.moments(x, state=f"serial(lags={lags})", **options)


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 40])
def test_as_statsmodels(chunk):
    x = X if chunk is None else da.from_array(X, chunks=(chunk, 2))
    m = serial(x)
    found = m.autocorr()
    np.testing.assert_allclose(found, ACF, atol=1e-10)
    np.testing.assert_allclose((found * m.var())[:, 0], ACOVF, atol=1e-10)
    assert found.dims == ("lag", "unit")
    assert found["lag"].values.tolist() == [0, 1, 2, 3, 4]
    assert (found.chunks is not None) == (chunk is not None)
    for lag in (1, 4):
        series = np.diagonal(covdist.autocov(x, lag, estimator="series"))
        np.testing.assert_allclose(series, (found * m.var())[lag], atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 5, 40])
def test_rows_left_out_stay_in_their_place(chunk):
    x = X[:, :1].copy()
    x[[7, 21]] = np.nan
    m = serial(da.from_array(x, chunks=(chunk, 1)), missing="drop")
    np.testing.assert_allclose(m.autocorr()[:, 0], HOLED, atol=1e-10)
    assert int(m.rows) == 38
    assert serial(x, missing="propagate").autocorr().isnull().all()
    with pytest.raises(DataError, match=r"row 7\b"):
        serial(x)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e200, 1e305])
def test_of_any_size(unit):
    x = X[:, :1] * unit
    exact = X[:, 0] if unit > 1e-300 else x[:, 0] / 1e-310
    u = exact - exact.mean()
    expected = [1.0, *((u[:-lag] @ u[lag:]) / (u @ u) for lag in (1, 2, 3, 4))]
    for chunk in (7, 40):
        found = serial(da.from_array(x, chunks=(chunk, 1))).autocorr()[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_of_whole_numbers_that_float64_does_not_hold():
    small = RNG.integers(0, 5, size=(60, 2))
    for x in (small + (1 << 62), small.astype(np.uint64) + np.uint64(1 << 63)):
        found = serial(da.from_array(x, chunks=(7, 2))).autocorr()
        np.testing.assert_allclose(found, serial(small.astype(float)).autocorr(), atol=1e-12)


def test_of_groups_saved_and_added(tmp_path):
    by = np.repeat([0, 1, 2], [20, 19, 1])
    m = serial(X, by=by)
    m.save(tmp_path / "m.zarr")
    for each in (m, covdist.load(tmp_path / "m.zarr")):
        np.testing.assert_allclose(each.autocorr()[1], serial(X[20:39]).autocorr(), rtol=1e-13)
        assert each.autocorr()[2].isnull().all()
    both = serial(X[:13]) + serial(X[13:])
    both.save(tmp_path / "both.zarr")
    np.testing.assert_allclose(covdist.load(tmp_path / "both.zarr").autocorr(), ACF, atol=1e-10)
    with pytest.raises(MergeError, match="the order"):
        m.merge("group")
    with pytest.raises(MergeError):
        serial(X, 3).merge(serial(X, 4))


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.6, 0.9])
def test_the_time_of_a_process_that_is_known(phi):
    n = 20_000
    x = scipy.signal.lfilter([1], [1, -phi], RNG.normal(size=(n + 300, 20)), axis=0)[300:]
    m = serial(x, 100)
    time = (1 + phi) / (1 - phi)
    found = m.autocorr_time()
    assert abs(float(found.mean()) / time - 1) < 0.1
    assert found.attrs == {"long_name": "integrated autocorrelation time", "units": "rows"}
    effective = m.effective_sample_size()
    np.testing.assert_allclose(effective, n / found)
    assert effective.attrs == {"long_name": "effective sample size", "units": "rows"}
    if phi == 0.9:
        assert serial(x, 5).autocorr_time().isnull().all()


def test_what_has_no_lags_says_so():
    constant = serial(np.ones((50, 1)))
    assert constant.autocorr().isnull().all()
    assert constant.autocorr_time().isnull().all()
    for read in (covdist.autocorr, covdist.autocorr_time):
        with pytest.raises(DataError, match="serial"):
            read(covdist.moments(X))
    with pytest.raises(DataError, match="weights of single rows"):
        serial(X, weights=np.ones(40))
    with pytest.raises(DataError, match="lags=0 is not a number"):
        serial(X, 0)


@pytest.mark.filterwarnings("error")
def test_rows_that_are_left_out_may_be_of_any_size():
    x = np.array([[1e-300, 0.0], [2e-300, 1.0], [1e300, np.nan], [2e-300, 0.0], [1e-300, 2.0]])
    found = serial(x, 2, missing="drop").autocorr()[:, 0]
    np.testing.assert_allclose(found, [1.0, -0.5, 0.25], rtol=1e-14)

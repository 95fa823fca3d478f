"""The kernels' criterion off states that keep the features."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import covdist
from covdist.errors import DataError, MergeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = X[:, :2] ** 2 + 0.1 * RNG.normal(size=(300, 2))
BY = np.repeat([0, 1], 150)
STATE = {"name": "fourier", "bandwidth": (2.0, 1.5), "features": 32}
NAMES = ["hsic", "normalised", "p_value", "bandwidth"]


def direct(x, y):
    return covdist.hsic(x, y, bandwidth=(2.0, 1.5), features=32)


def assert_same(found, expected):
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, atol=1e-12, err_msg=name)
    assert found.attrs == expected.attrs


@pytest.mark.parametrize("cut", [0, 1, 150, 299])
def test_states_add_up_and_are_saved(tmp_path, cut):
    parts = [slice(max(cut, 1)), slice(max(cut, 1), None)]
    first, second = (covdist.moments(X[part], Y[part], state=STATE) for part in parts)
    first.save(tmp_path / "first.zarr")
    assert_same((covdist.load(tmp_path / "first.zarr") + second).hsic(), direct(X, Y))


def test_lazy_and_any_chunks():
    m = covdist.moments(da.from_array(X, chunks=(70, 3)), da.from_array(Y, chunks=(90, 1)), state=STATE)
    found = m.hsic()
    assert all(found[name].chunks is not None for name in NAMES[:3])
    assert_same(found.compute(scheduler="threads"), direct(X, Y))


def test_groups_and_their_sum():
    m = covdist.moments(X, Y, by=BY, state=STATE)
    found = m.hsic()
    for group in range(2):
        one = direct(X[group == BY], Y[group == BY])
        for name in NAMES[:3]:
            np.testing.assert_allclose(found[name][group], one[name], rtol=1e-8, atol=1e-12)
    assert_same(m.merge("group").hsic(), direct(X, Y))


def test_weights_that_repeat_rows():
    often = RNG.integers(1, 4, 300)
    found = covdist.moments(X, Y, weights=often, state=STATE).hsic()["hsic"]
    expected = direct(np.repeat(X, often, axis=0), np.repeat(Y, often, axis=0))["hsic"]
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    tiny = covdist.moments(X, Y, weights={"reliability": np.full(300, 1e-170)}, state=STATE)
    np.testing.assert_allclose((tiny + tiny).hsic()["hsic"], direct(X, Y)["hsic"], rtol=1e-8)


def test_rows_with_nan_are_left_out():
    holed = X.copy()
    holed[5, 1] = np.nan
    kept = np.arange(300) != 5
    assert_same(covdist.moments(holed, Y, missing="drop", state=STATE).hsic(), direct(X[kept], Y[kept]))


def test_columns_have_their_moments():
    m = covdist.moments(X, Y, state=STATE)
    np.testing.assert_allclose(m.var(), X.var(axis=0), rtol=1e-12)


def test_other_kernels_refuse_to_add_up():
    with pytest.raises(MergeError):
        covdist.moments(X, Y, state=STATE) + covdist.moments(X, Y, state=STATE | {"bandwidth": (2.0, 1.0)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bandwidth": 0.0}, "bandwidth=0.0 is not a distance"),
        ({"bandwidth": (1, 2, 3)}, "is not a distance"),
        ({"features": 7}, "features=7 is not an even number"),
    ],
)
def test_what_is_no_kernel(change, words):
    with pytest.raises(DataError, match=words):
        covdist.moments(X, Y, state=STATE | change)
    with pytest.raises(DataError, match="needs a state of kind fourier"):
        covdist.moments(X, Y).hsic()


def test_integers_that_float64_rounds_are_refused():
    rows = np.arange(40)[:, None] + 2**60
    with pytest.raises(DataError, match="the state 'fourier' keeps rows as float64, which rounds the integer"):
        covdist.moments(rows, rows, dim=0, state="fourier(bandwidth=3)")

"""Uncentred second moments against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1.0, 1e-3, 50.0] + [0.0, 1e5, -2.0]
Y = X[:, :2] @ RNG.normal(size=(2, 2)) + 3
EPS = 2.0**-52


def exact(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> list[list[Fraction]]:
    """Return the weighted sum of x yᵀ."""
    each = [Fraction(1)] * len(x) if weights is None else [Fraction(float(w)) for w in weights]
    columns, columns_y = ([[Fraction(float(v)) for v in column] for column in side.T] for side in (x, y))
    return [[sum(map(_product, each, a, b)) for b in columns_y] for a in columns]


def _product(w: Fraction, a: Fraction, b: Fraction) -> Fraction:
    return w * a * b


def check(found: xr.DataArray, expected: list[list[Fraction]], by: Fraction, scale: np.ndarray, most: float) -> None:
    """Errors are relative to the roots of both columns' own products, as an entry may vanish by cancellation."""
    for i, row in enumerate(expected):
        for j, entry in enumerate(row):
            error = abs(Fraction(float(found[i, j])) - entry / by)
            assert error <= Fraction(most) * Fraction(float(scale[i, j])), (i, j)


def scales(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(np.outer((x**2).mean(axis=0), (y**2).mean(axis=0)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("divide", [False, True])
@pytest.mark.parametrize("sides", [1, 2])
def test_exact(sides, divide, weighted):
    y = X if sides == 1 else Y
    weights = RNG.random(len(X)) + 0.1 if weighted else None
    total = Fraction(len(X)) if weights is None else sum(Fraction(float(w)) for w in weights)
    m = covdist.moments(X, None if sides == 1 else Y, weights=weights)
    found = m.second_moment(divide=divide)
    scale = scales(X, y) * (1.0 if divide else float(total))
    check(found, exact(X, y, weights), total if divide else Fraction(1), scale, 8 * EPS)
    if sides == 1:
        np.testing.assert_array_equal(found, found.T)


def test_of_the_state_itself_to_the_last_digit():
    """What is added to the scatter of three rows whose deviations are exact is off by one rounding."""
    x = np.array([[1.0, 1.0], [2.0, 5.0], [3.0, 9.0]]) + np.array([2.0**40 + 1, 3.0])
    found = covdist.moments(x).second_moment(divide=False)
    expected = [[float(entry) for entry in row] for row in exact(x, x)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e30, 1e140])
def test_any_scale(scale):
    found = covdist.moments(X * scale).second_moment()
    np.testing.assert_allclose(found, X.T @ X / len(X) * scale * scale, rtol=1e-12)


def test_overflow_of_one_column_leaves_the_others():
    with np.errstate(over="raise"):
        found = covdist.moments(np.stack([X[:, 0], np.full(len(X), 1e200)], axis=1)).second_moment(divide=False)
    assert found[1, 1] == np.inf
    np.testing.assert_allclose(found[0, 0], X[:, 0] @ X[:, 0])
    np.testing.assert_allclose(found[0, 1], X[:, 0].sum() * 1e200, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e300])
def test_weights_of_any_size(unit):
    weights, x = RNG.random(len(X)) * unit, X[:, [0, 2]]
    m = covdist.moments(x, weights=weights)
    expected = (x * (weights / unit)[:, None]).T @ x
    np.testing.assert_allclose(m.second_moment(), expected / (weights / unit).sum(), rtol=1e-11)
    np.testing.assert_allclose(m.second_moment(divide=False) / unit, expected, rtol=1e-11)


def test_border_of_ones_is_the_number_of_rows_times_the_mean():
    m = covdist.moments(X)
    found = m.second_moment(divide=False, append_one=True)
    means = m.dataset["mean"].values, m.dataset["mean_low"].values
    exactly = [float(len(X) * (Fraction(high) + Fraction(low))) for high, low in zip(*means, strict=True)]
    np.testing.assert_array_equal(found[-1], [*exactly, len(X)])
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(m.second_moment(append_one=True)[-1], [*m.mean(), 1])


def test_border_with_y():
    found = covdist.moments(X, Y).second_moment(divide=False, append_one=True)
    ones = np.ones((len(X), 1))
    np.testing.assert_allclose(found, np.hstack([X, ones]).T @ np.hstack([Y, ones]), rtol=1e-11)


def test_groups_weights_and_sums_of_states():
    by = np.arange(len(X)) % 3
    m = covdist.moments(X[:30], by=by[:30]) + covdist.moments(X[30:], by=by[30:])
    found = m.second_moment(append_one=True)
    assert found.dims == ("group", "unit", "unit_2")
    for group in range(3):
        rows = np.hstack([X, np.ones((len(X), 1))])[by == group]
        np.testing.assert_allclose(found.sel(group=group), rows.T @ rows / len(rows), rtol=1e-11)


@pytest.mark.parametrize(
    ("labels", "last"),
    [
        (["a", "b", "c"], "one"),
        ([0.5, 1.0, 2.0], np.nan),
        (np.float32([0.5, 1.0, 2.0]), np.nan),
        (pd.date_range("2020", periods=3), pd.NaT),
        (np.arange(3).astype("timedelta64[s]"), pd.NaT),
    ],
)
def test_the_ones_have_a_label(labels, last):
    x = xr.DataArray(X, dims=("step", "unit"), coords={"unit": labels, "kind": ("unit", [1, 2, 3])})
    found = covdist.moments(x, dim="step").second_moment(append_one=True)
    np.testing.assert_array_equal(found["unit"][:3], x["unit"])
    assert found["unit"].dtype.kind == "U" or found["unit"].dtype == x["unit"].dtype
    assert found["unit"].values[-1] == last or pd.isna(found["unit"].values[-1])
    assert "kind" not in found.coords  # integers have no label left
    assert found["unit_2"].size == 4
    assert "kind" in covdist.moments(x, dim="step").second_moment().coords


def test_one_variable():
    found = covdist.moments(X[:, 2])
    np.testing.assert_allclose(found.second_moment(), (X[:, 2] ** 2).mean())
    np.testing.assert_allclose(found.second_moment(append_one=True)[0], [(X[:, 2] ** 2).mean(), X[:, 2].mean()])


def test_lazy_in_chunks_and_reads_nothing_twice():
    from covdist.limits import changed

    counted = Counted(X, 20, 3)
    m = covdist.moments(counted.array)
    with changed(matrix_chunk_bytes=48):
        found = m.second_moment(append_one=True)
        assert found.chunks == ((1, 1, 1, 1), (4,))
    rows = np.hstack([X, np.ones((len(X), 1))])
    np.testing.assert_allclose(found.compute(), rows.T @ rows / len(X), rtol=1e-11)
    assert counted.made == counted.every
    done = m.compute()
    counted.made.clear()
    done.second_moment()
    assert not counted.made


def test_labels_itself():
    found = covdist.moments(da.ones((4, 2))).second_moment()
    assert (found.name, found.attrs["long_name"]) == ("second_moment", "second moment")
    assert "units" in found.attrs
    assert covdist.moments(X).second_moment(divide=False).attrs["long_name"] == "sum of products"


def test_no_rows_and_missing_values():
    m = covdist.moments(np.where(np.arange(6).reshape(2, 3) == 1, np.nan, 1.0), missing="propagate")
    assert np.isnan(m.second_moment()).values.sum() == 5
    none = covdist.moments(X, weights=np.zeros(len(X)))
    with pytest.raises(DataError, match="nothing to divide by"):
        none.second_moment()
    np.testing.assert_array_equal(none.second_moment(divide=False), np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("m", "said"),
    [
        (covdist.moments(X, state="variances"), "kind cross or full, found a variances state"),
        (covdist.moments(X, missing="pairwise"), "found a pairwise state"),
        (covdist.moments(X[:, :2], Y, state="columnwise"), "found a columnwise state"),
        (covdist.moments(X, matrix="tiles"), "matrix='memory'"),
        (X, "second_moment reads moments, found a ndarray: pass covdist.moments"),
        ({"fc1": covdist.moments(X)}, r"found a dict: pass one of its states, such as m\['fc1'\]"),
    ],
)
def test_what_has_none_says_so(m, said):
    with pytest.raises(DataError, match=said):
        covdist.second_moment(m)


def test_other_names_of_options():
    with pytest.raises(DataError, match="second_moment has no option ddof: leave it out"):
        covdist.moments(X).second_moment(ddof=1)

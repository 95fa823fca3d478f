"""The cases of pandas' tests of ``DataFrame.cov``, ``corr`` and ``corrwith``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import covdist
from covdist.errors import DataError

NAN = np.nan
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(30, 4)), columns=list("ABCD"))
HOLED = FRAME.copy()
HOLED.iloc[:5, 0] = HOLED.iloc[5:10, 1] = NAN
READINGS = {"cov": {"ddof": 1}, "corr": {}}  # where pandas' default differs


def asked(name: str, frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Ask covdist as pandas would be asked."""
    found = getattr(covdist, name)(frame, missing="pairwise", **{**READINGS[name], **options})
    return pd.DataFrame(found.values, frame.columns, frame.columns)


def assert_like_pandas(name: str, frame: pd.DataFrame, **options: Any) -> None:
    expected = getattr(frame, name)(**options)
    pd.testing.assert_frame_equal(asked(name, frame, **options), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("least", [1, 2, 20, 22, 25, 26, 30, 31])
@pytest.mark.parametrize("frame", [FRAME, HOLED], ids=["full", "holed"])
def test_min_periods(name, least, frame):
    assert_like_pandas(name, frame, min_periods=least)


@pytest.mark.parametrize("name", READINGS)
def test_one_column(name):
    frame = pd.DataFrame({"a": np.linspace(0, 1, 10)})
    assert_like_pandas(name, frame)
    frame.loc[0] = NAN
    assert_like_pandas(name, frame)


@pytest.mark.parametrize("ddof", [0, 1, 2, 3])
def test_ddof(ddof):
    assert_like_pandas("cov", FRAME, ddof=ddof)
    both = HOLED[["A", "B"]].dropna()  # where values are missing, pandas' ddof is always 1
    found = asked("cov", HOLED, ddof=ddof).loc["A", "B"]
    np.testing.assert_allclose(found, np.cov(both.T, ddof=ddof)[0, 1], rtol=1e-12)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("left", [[1, 2, 3], [1, 2, None]])
@pytest.mark.parametrize("right", [pd.array([3, 5, 6]), np.array([3.0, 5, 6]), np.array([3, 5, NAN])])
def test_nullable_integers(name, left, right):
    assert_like_pandas(name, pd.DataFrame({"a": pd.array(left, "Int64"), "b": right}))


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [True, False, True], "b": [1, 0, 0]}),
        pd.DataFrame({"a": [1, 2, 3, 4], "b": [4, 1, 3, 2]}),
        pd.DataFrame({"a": pd.array([True, False, None], "boolean"), "b": [0.5, 2, 1]}),
        pd.DataFrame({"a": np.array([1, 5, 2], "u1"), "b": np.array([250, 3, 255], "u1")}),
    ],
    ids=["boolean", "whole", "nullable boolean", "unsigned"],
)
def test_whole_and_boolean_columns(name, frame):
    assert_like_pandas(name, frame)


@pytest.mark.parametrize("name", READINGS)
def test_text_is_refused_by_its_column(name):
    frame = FRAME.assign(c="foo")
    with pytest.raises(DataError, match=r"column 'c'.*select_dtypes\('number'\)"):
        asked(name, frame)
    assert_like_pandas(name, frame.select_dtypes("number"))
    with pytest.raises(DataError, match="real numbers are expected"):
        asked(name, FRAME.astype(object).assign(A=1j))


@pytest.mark.parametrize("name", READINGS)
def test_columns_without_a_row_in_common(name):
    columns = {"A": [1, 1.5, 1, NAN, NAN, NAN], "B": [NAN, NAN, NAN, 1, 1.5, 1], "C": [NAN] * 6}
    assert_like_pandas(name, pd.DataFrame(columns))


@pytest.mark.parametrize("length", [1, 2, 20, 2000])
@pytest.mark.parametrize("missing", ["raise", "pairwise"])
def test_constant_columns_have_no_correlation(length, missing):
    found = covdist.corr(pd.DataFrame(length * [[0.4, 0.1]]), missing=missing)
    assert np.isnan(found).all()
    assert (covdist.cov(pd.DataFrame(length * [[0.4, 0.1]]), missing=missing) == 0).all()


def test_constant_where_it_is_not_missing():
    found = asked("corr", pd.DataFrame({"A": [1, 1, 1, NAN, NAN, NAN], "B": [NAN, NAN, NAN, 1, 1, 1]}))
    assert found.isna().all(axis=None)


@pytest.mark.parametrize("missing", ["raise", "pairwise"])
def test_small_close_and_few_numbers(missing):
    small = covdist.corr(np.array([[1e-20, 1e-20], [2e-20, 2e-20], [3e-20, 3e-20]]), missing=missing)
    np.testing.assert_array_equal(small, np.ones((2, 2)))
    turned = covdist.corr(np.array([[0.2, 0.4], [0.4, 0.2]]), missing=missing)
    np.testing.assert_allclose(turned, [[1, -1], [-1, 1]], rtol=1e-15)
    close = covdist.corr(np.array([[0, 1.35951], [1, 1.3595100000000007]]), missing=missing)
    assert close.values.max() == 1
    assert (abs(covdist.corr(RNG.random((100, 4)), missing=missing)) <= 1).all()


def test_what_is_missing_twice():
    frame = pd.DataFrame({"A": [1, 2, None, 4], "B": [2, 4, None, 9]})
    assert_like_pandas("cov", frame)
    np.testing.assert_allclose(covdist.cov(frame, missing="drop", ddof=1), frame.dropna().cov(), rtol=1e-13)


@pytest.mark.parametrize("name", READINGS)
def test_too_short_for_the_columns_to_be_compared(name):
    assert_like_pandas(name, pd.DataFrame({"A": [1, 2], "B": [1, 2]}), min_periods=3)


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(DataError, match="'____' is unknown"):
        covdist.corr(FRAME, method="____")


@pytest.mark.parametrize("name", READINGS)
def test_both_sides_are_labelled_apart(name):
    found = getattr(covdist, name)(FRAME)
    assert found["unit"].values.tolist() == found["unit_2"].values.tolist() == [*"ABCD"]
    renamed = found.assign_coords(unit=[*"wxyz"])
    assert renamed["unit_2"].values.tolist() == [*"ABCD"]


def test_repeated_names():
    frame = pd.DataFrame(np.arange(12.0).reshape(4, 3) ** 2, columns=["a", "a", "b"])
    pd.testing.assert_frame_equal(asked("cov", frame), frame.cov(), rtol=1e-13)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("frame", [pd.DataFrame(), FRAME.iloc[:0], FRAME[[]]], ids=["nothing", "no rows", "no columns"])
def test_empty_frames_are_refused(name, frame):
    with pytest.raises(DataError, match="at least one row and one column"):
        asked(name, frame)


@pytest.mark.parametrize("dtype", ["float64", "Float64"])
def test_against_another_frame(dtype):
    """As ``corrwith``: rows go by their labels."""
    a = FRAME.set_axis(pd.date_range("2020", periods=30), axis=0).astype(dtype)
    b = a.add(pd.Series(RNG.normal(size=30), a.index), axis=0).astype(dtype)
    turned = b.iloc[::-1, ::-1]
    with pytest.raises(DataError, match="different labels along 'sample', first at row 0"):
        covdist.corr(a, turned)
    with pytest.raises(DataError, match="both must hold the same samples"):
        covdist.corr(a, turned.iloc[10:])
    first, second = a.align(turned, join="inner")
    np.testing.assert_allclose(np.diagonal(covdist.corr(first, second)), a.corrwith(turned)[first.columns], rtol=1e-12)
    series = covdist.corr(a, a["A"])
    np.testing.assert_allclose(np.ravel(series), a.corrwith(a["A"]), rtol=1e-12)
    by_rows = covdist.corr(first.T, second.T)
    np.testing.assert_allclose(np.diagonal(by_rows), first.corrwith(second, axis=1), rtol=1e-12)


def test_against_another_frame_with_holes():
    found = np.diagonal(covdist.corr(FRAME, HOLED, missing="pairwise"))
    np.testing.assert_allclose(found, FRAME.corrwith(HOLED), rtol=1e-12)
    few = np.diagonal(covdist.corr(FRAME, HOLED, missing="pairwise", min_periods=26))
    np.testing.assert_array_equal(np.isnan(few), [True, True, False, False])


def test_against_squares():
    steps = np.arange(100)
    found = covdist.corr(steps, steps**2).item()
    np.testing.assert_allclose(found, np.corrcoef(steps, steps**2)[0, 1], rtol=1e-14)
    assert found < 1

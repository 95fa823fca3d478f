"""Options as numpy, pandas and others call them: a sentence says what covdist calls them."""

from __future__ import annotations

import inspect
import pickle
from functools import partial

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

X = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 9.0]])
M = covdist.moments(X, state=("full", "higher"))
FUNCTIONS = {
    name: partial(getattr(covdist, name), X)
    for name in ("corr", "cov", "fill", "gradient_stats", "kurtosis", "moments", "plan", "skewness", "std", "var")
}
FUNCTIONS |= {"spectrum": partial(covdist.spectrum, X, 1), "autocov": partial(covdist.autocov, X, 1)}
METHODS = {
    f"m.{name}": getattr(M, name)
    for name in ("cov", "corr", "var", "std", "smallest_eigenvalue", "skewness", "kurtosis", "gradient_stats")
}
METHODS |= {"m.spectrum": partial(M.spectrum, 1)}
EVERY = FUNCTIONS | METHODS


def said(call, **options) -> str:
    with pytest.raises(DataError) as caught:
        call(**options)
    return str(caught.value)


@pytest.mark.parametrize("call", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"axis": 1}, "pass dim=1"),
        ({"rowvar": True}, "pass dim=1"),
        ({"rowvar": False}, "leave it out"),
        ({"keepdims": True}, "expand_dims"),
        ({"dtype": "f4"}, "float64"),
        ({"numeric_only": True}, "select_dtypes"),
    ],
    ids=str,
)
def test_every_reading_says_what_it_calls_an_option(call, option, words):
    assert words in said(call, **option)


@pytest.mark.parametrize("call", [FUNCTIONS["cov"], FUNCTIONS["var"], FUNCTIONS["std"], FUNCTIONS["autocov"]])
def test_divisors_of_functions(call):
    assert "ddof=0" in said(call, bias=True)
    assert "pass ddof=1" in said(call, bias=False)
    assert "pass ddof=1" in said(call, correction=1)


@pytest.mark.parametrize("call", [FUNCTIONS[name] for name in ("cov", "var", "std", "autocov")] + [M.cov, M.var, M.std])
@pytest.mark.parametrize("ddof", [None, "1", [1], np.ones(2), float("nan"), float("inf")], ids=str)
def test_a_divisor_that_is_no_number(call, ddof):
    assert "leave it out for 0, which divides by N, or pass 1" in said(call, ddof=ddof)


def test_divisors_by_place():
    assert "ddof=None is not a number" in said(partial(M.var, None))
    for one in (1, 1.0, np.int64(1), np.float32(1), True):
        np.testing.assert_allclose(M.var(one), X.var(axis=0, ddof=1), rtol=1e-14)
        np.testing.assert_allclose(covdist.var(X, ddof=one), X.var(axis=0, ddof=1), rtol=1e-14)


def test_where_there_is_no_divisor():
    assert "cancels" in said(FUNCTIONS["corr"], ddof=1)
    assert "population" in said(FUNCTIONS["skewness"], bias=True)


def test_weights_say_which_meaning():
    for call in (FUNCTIONS["cov"], FUNCTIONS["moments"], FUNCTIONS["skewness"], FUNCTIONS["plan"]):
        assert "integers say how often" in said(call, fweights=[1, 2, 3])
        assert "'frequency'" in said(call, fweights=[1, 2, 3])
        assert "'reliability'" in said(call, aweights=[1.0, 2.0, 3.0])
    for call in (M.cov, FUNCTIONS["autocov"], FUNCTIONS["spectrum"]):
        assert "rows have no weights here" in said(call, fweights=[1, 2, 3])
        assert "rows have no weights here" in said(call, weights=[1, 2, 3])
    assert covdist.plan(X, weights=np.ones(3)).work.rows == 3  # passed on


def test_missing_values():
    assert "missing='drop'" in said(FUNCTIONS["var"], skipna=True)
    assert "missing='propagate'" in said(FUNCTIONS["cov"], skipna=False)
    assert "covdist.moments" in said(M.var, skipna=True)
    assert "covdist.cov and covdist.corr" in said(FUNCTIONS["var"], min_periods=2)
    assert covdist.cov(X, missing="pairwise", min_periods=2).shape == (2, 2)


def test_functions_are_still_themselves():
    assert covdist.cov is covdist.cov
    assert pickle.loads(pickle.dumps(covdist.cov)) is covdist.cov
    assert list(inspect.signature(covdist.var).parameters)[:3] == ["x", "dim", "ddof"]
    assert "Variance of each column" in str(covdist.var.__doc__)
    with pytest.raises(TypeError, match="unexpected keyword argument 'wieghts'"):
        covdist.cov(X, wieghts=1)

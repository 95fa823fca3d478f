"""Options and arguments of other types than they take: one sentence each, at the call."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError, MergeError

X = np.random.default_rng(0).normal(size=(30, 3))
BY = np.arange(30) % 3
M, PAIR, GROUPED, BLOCKED = (
    covdist.moments(X), covdist.moments(X, X), covdist.moments(X, by=BY), covdist.moments(X, blocks=3)
)  # fmt: skip
PAIRWISE = covdist.moments(X, missing="pairwise")
SEEDS = [-1, 1.5, "1", None, [1], True]

SAMPLES = xr.DataArray(X, dims=("sample", "unit"))
# No name, word, flag or label: arrays and what holds several of them.
SEVERAL = {
    "array": np.zeros((2, 2)), "frame": pd.DataFrame({"a": [1, 2]}), "dataset": xr.Dataset({"a": SAMPLES}), "set": {1},
}  # fmt: skip
DOORS = {
    "within": (lambda given: GROUPED.within(given), "dim is a"),
    "between": (lambda given: GROUPED.between(given), "dim is a"),
    "expanding": (lambda given: GROUPED.expanding(given), "dim is a"),
    "dim": (lambda given: covdist.var(SAMPLES, dim=given), "dim is a"),
    "each": (lambda given: covdist.var(SAMPLES, dim="sample", each=[given]), "each is a"),
    "state": (lambda given: covdist.moments(X, state=given), "there is no state"),
    "divide": (lambda given: M.second_moment(divide=given), "divide=.* neither on nor off"),
    "append_one": (lambda given: M.second_moment(append_one=given), "append_one=.* neither on nor off"),
}

REFUSED = {
    **{
        f"{door} {name}": (lambda ask=ask, given=given: ask(given), said)
        for door, (ask, said) in DOORS.items()
        for name, given in SEVERAL.items()
    },
    "a group of several lengths": (lambda: GROUPED.sel(group=[[1], [2, 3]]), "is not one label"),
    "a group by a dataset": (lambda: GROUPED.sel(group=SEVERAL["dataset"]), "is not one label"),
    "memory": (lambda: covdist.cov(X, memory=np.inf), "memory=inf is not a size"),
    "merge": (lambda: M.merge(3), "merge takes moments.*found a int"),
    "merge an array": (lambda: M.merge(M.mean()), "merge takes moments.*found a DataArray"),
    **{f"scaled {by!r}": (lambda by=by: M.scaled(by), "factor=.*0 or more") for by in ("2", None, 1j, [2], np.nan)},
    "several groups": (lambda: GROUPED.sel(group=[0, 1]), r"group=\[0, 1\] is not one label"),
    "one group in a list": (lambda: GROUPED.sel(group=[0]), r"group=\[0\] is not one label"),
    **{
        f"min_periods {read.__name__} {given!r}": (
            lambda read=read, given=given: read(min_periods=given),
            "min_periods=.*whole",
        )
        for given in ("1", None, [], 1.5, -1, True)
        for read in (PAIRWISE.cov, PAIRWISE.corr, PAIRWISE.smallest_eigenvalue)
    },
    "min_periods of rows": (lambda: covdist.cov(X, missing="pairwise", min_periods="1"), "min_periods='1'"),
    "lag": (lambda: covdist.autocov(X, 10**30), "lag=1000.*whole number"),
    "cosines": (lambda: covdist.maximal_corr(X, features=10**30), "features=1000.*whole number"),
    "hsic without y": (lambda: covdist.hsic(X, None), "found no y"),
    "state": (lambda: covdist.moments(X, state=0), "no state 0: pass one of"),
    "states": (lambda: covdist.moments(X, state=["full", 1]), "no state 1: pass one of"),
    "tolerance": (lambda: PAIR.cca(tolerance="1"), "tolerance='1'"),
    "ridge": (lambda: PAIR.cca(ridge=None), "ridge=None"),
    "explained": (lambda: PAIR.svcca(explained=[1]), "explained="),
    "k": (lambda: covdist.spectrum(X, True), "k=True"),
    "k of moments": (lambda: M.spectrum(True), "k=True"),
    "along": (lambda: covdist.fill(X, along=[1]), r"no coordinate \[1\]"),
    "reading": (lambda: BLOCKED.jackknife(0), "no reading 0"),
    **{f"hsic {seed!r}": (lambda seed=seed: covdist.hsic(X, X, seed=seed), "seed=.*whole number") for seed in SEEDS},
    **{
        f"{name} seed": (lambda call=call: call(seed=-1), "seed=-1.*whole number")
        for name, call in {
            "spectrum": lambda **given: covdist.spectrum(X, 1, method="sketch", **given),
            "similarity": lambda **given: covdist.similarity({"a": X, "b": X}, directions=5, **given),
            "equal_covariance": lambda **given: covdist.equal_covariance(BLOCKED, BLOCKED, **given),
        }.items()
    },
}


@pytest.mark.parametrize(("call", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(call, said):
    with pytest.raises(DataError, match=said):
        call()


OTHER_LABELS = {
    "flags": BY > 0,
    "text": np.array(list("abc"))[BY],
    "dates": (BY + 17000).astype("M8[D]"),
    "times": BY.astype("m8[D]"),
    "numbers that float64 rounds": BY + 2**53 + 1,
}


def test_whole_numbers_of_any_size_are_numbers():
    np.testing.assert_allclose(M.initial_scale(target=10**30)["bias_scale"], M.initial_scale(target=1e30)["bias_scale"])
    assert covdist.health({"a/gradient": M, "b/gradient": M}, exploding=10**30).sizes["layer"] == 2


@pytest.mark.parametrize("by", OTHER_LABELS.values(), ids=OTHER_LABELS)
def test_groups_of_other_kinds_are_not_mixed(by):
    numbers = covdist.moments(X, by=BY + 0.5)
    with pytest.raises(MergeError, match=r"cannot merge groups by 'group' whose labels are float64.*label the rows"):
        numbers + covdist.moments(X, by=by)


@pytest.mark.parametrize("by", [(np.arange(30) % 2,), (np.arange(30) % 2, BY)], ids=["one", "two"])
def test_nor_flags_with_the_numbers_that_they_equal(by):
    def moments(first):
        coords = {name: ("t", each) for name, each in zip("ab", (first, *by[1:]), strict=False)}
        return covdist.moments(xr.DataArray(X, dims=("t", "u"), coords=coords), dim="t", by=tuple(coords))

    numbers, flags = moments(by[0]), moments(by[0] == 1)
    for a, b in ((numbers, flags), (flags, numbers)):
        with pytest.raises(MergeError, match=r"cannot merge groups by 'a' whose labels are .*label the rows of both"):
            a + b
    assert int((flags + flags).count.sum()) == 60


def test_nor_in_one_array():
    with pytest.raises(DataError, match=r"by has the label True \(bool\) at 0, expected .* all of one kind"):
        covdist.moments(X[:4], by=np.array([True, 1, None, 0], object))


def test_nor_where_there_are_several_coordinates():
    def by(epochs):
        coords = {"epoch": ("t", epochs), "split": ("t", np.array(list("ab") * 15))}
        return covdist.moments(xr.DataArray(X, dims=("t", "u"), coords=coords), dim="t", by=("epoch", "split"))

    with pytest.raises(MergeError, match=r"groups by 'epoch' whose labels are int64.*<U"):
        by(BY) + by(BY.astype(str))
    assert (by(BY) + by(BY.astype("i2") + 3)).count.size == 12


def test_sums_of_many():
    assert int(sum([M, M, M]).count) == 90
    np.testing.assert_allclose(sum([M, M]).cov(), M.cov(), rtol=1e-14)
    with pytest.raises(TypeError):
        1 + M


def test_moments_in_tiles_are_pickled_and_copied():
    m = covdist.moments(X, matrix="tiles")
    for each in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        xr.testing.assert_identical(each.cov(), m.cov())


def test_dims_that_are_numbers():
    x = xr.DataArray(np.array([[1.0], [np.nan], [4.0]]), dims=(0, 1))
    found = covdist.fill(x, dim=0)
    assert found.dims == (0, 1)
    assert found.values.ravel().tolist() == [1.0, 2.5, 4.0]


def test_sums_beyond_the_largest_number_warn_of_nothing():
    m = covdist.moments(X * 1e150)
    assert np.isinf(covdist.ekfac(m, m, append_one=False)["scale"]).all()

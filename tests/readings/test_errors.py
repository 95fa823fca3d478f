"""Every refusal: its class, one sentence that names the thing, what was found and what to do."""

from __future__ import annotations

import pickle
import re

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import LocalCluster

import covdist
from covdist import errors
from covdist.engine.cluster import cluster
from covdist.errors import ClusterError, CovdistError, DataError, LogError, PlanError, ResultError
from covdist.limits import changed

X = np.random.default_rng(0).normal(size=(10, 3))
NAMED = xr.DataArray(X, dims=("step", "unit"), coords={"epoch": ("step", np.arange(10))}, name="fc1")
LAZY = da.from_array(X, chunks=(3, 3))

# What is called, and what its message must say.
REFUSED = {
    "no dim": (lambda: covdist.cov(NAMED), ["fc1", "'step', 'unit'", "dim='step'"]),
    "unknown dim": (lambda: covdist.cov(NAMED, dim="sample"), ["fc1", "'sample'", "'step', 'unit'", "pass"]),
    "axis for names": (lambda: covdist.cov(NAMED, dim=0), ["fc1", "0", "'step', 'unit'"]),
    "name for axes": (lambda: covdist.cov(X, dim="step"), ["'step'", "(10, 3)", "axis number"]),
    "no such axis": (lambda: covdist.cov(X, dim=2), ["2", "(10, 3)", "axis number"]),
    "the same axis twice": (lambda: covdist.cov(X, dim=(0, -2)), ["dim"]),
    "the same dim twice": (lambda: covdist.cov(NAMED, dim=("step", "step")), ["dim"]),
    "no axis at all": (lambda: covdist.cov(X, dim=()), ["dim"]),
    "a number": (lambda: covdist.cov(3.0), ["at least one axis"]),
    "no rows": (lambda: covdist.cov(X[:0]), ["x", "empty", "(0, 3)|'sample': 0", "at least one row"]),
    "no columns": (lambda: covdist.cov(X[:, :0]), ["x", "empty", "at least one row and one column"]),
    "no lazy rows": (lambda: covdist.cov(LAZY[:0]), ["x", "empty", "at least one row"]),
    "complex": (lambda: covdist.cov(X * 1j), ["x", "complex128", "real"]),
    "objects": (lambda: covdist.cov(X.astype(object)), ["x", "object", "convert"]),
    "strings": (lambda: covdist.cov(X.astype(str)), ["x", "<U", "convert"]),
    "dates": (lambda: covdist.cov(X.astype("i8").astype("M8[s]")), ["x", "datetime64", "convert"]),
    "complex y": (lambda: covdist.cov(X, X * 1j), ["y", "complex128", "real"]),
    "unknown chunks": (lambda: covdist.cov(LAZY[LAZY[:, 0] > 0]), ["x", "compute_chunk_sizes"]),
    "other rows": (lambda: covdist.cov(X, X[:7]), ["x has 10", "y has 7", "align"]),
    "other rows, named": (lambda: covdist.cov(NAMED, NAMED[:7], dim="step"), ["10", "7", "step", "align"]),
    "names and none": (lambda: covdist.cov(NAMED, X, dim="step"), ["DataArray", "ndarray", "wrap"]),
    "ddof": (lambda: covdist.cov(X, ddof=10), ["ddof=10", "10 rows", "smaller ddof or more rows"]),
    "lazy ddof": (lambda: covdist.var(LAZY, ddof=11), ["ddof=11", "10 rows", "smaller ddof"]),
    "ddof of a state": (lambda: covdist.moments(X).cov(ddof=10), ["ddof=10", "10 rows", "smaller ddof"]),
    "ddof, weights": (lambda: covdist.cov(X, weights=[1] * 10, ddof=10), ["ddof=10", "smaller ddof"]),
    "method": (lambda: covdist.corr(X, method="kendall"), ["method='kendall'", "'pearson'"]),
    "missing": (lambda: covdist.cov(X, missing="ignore"), ["missing='ignore'", "'drop', ", "'propagate', 'raise'"]),
    "precision": (lambda: covdist.moments(X, precision="low"), ["precision='low'", "'high'"]),
    "weights, rows": (lambda: covdist.cov(X, weights=np.ones(9)), ["weights", "(9,)", "(10,)"]),
    "weights, negative": (lambda: covdist.cov(X, weights=X[:, 0]), ["weights", "negative", "-"]),
    "weights, NaN": (lambda: covdist.cov(X, weights=np.full(10, np.nan)), ["weights", "finite", "nan"]),
    "weights, text": (lambda: covdist.cov(X, weights=["a"] * 10), ["weights", "<U1", "integers"]),
    "weights, kind": (lambda: covdist.cov(X, weights={"size": X[:, 0]}), ["'size'", "'frequency'"]),
    "weights, complex": (
        lambda: covdist.cov(X, weights={"reliability": np.ones(10, complex)}),
        ["reliability", "complex128"],
    ),
    "frequencies that are no integers": (
        lambda: covdist.cov(X, weights={"frequency": np.full(10, 0.5)}),
        ["frequency", "float64", "integers"],
    ),
    "weights, dims": (
        lambda: covdist.cov(NAMED, dim="step", weights=xr.DataArray(np.ones(3), dims="unit")),
        ["weights", "unit", "step"],
    ),
    "by, unknown": (lambda: covdist.cov(NAMED, dim="step", by="layer"), ["fc1", "'layer'", "'epoch'"]),
    "by, rows": (lambda: covdist.cov(X, by=np.ones(9)), ["by", "(9,)", "(10,)"]),
    "by, a name that is taken": (
        lambda: covdist.cov(X, by=xr.DataArray(np.arange(10) % 2, dims="sample", name="unit")),
        ["unit"],
    ),
    "by, a coordinate that is taken": (
        lambda: covdist.cov(
            NAMED.assign_coords(depth=("unit", [1, 2, 3])),
            dim="step",
            by=xr.DataArray(np.arange(10) % 2, dims="step", name="depth"),
        ),
        ["depth", "fc1"],
    ),
    "by, a name that y takes": (
        lambda: covdist.cov(NAMED, NAMED.rename(unit="epoch", epoch="e"), dim="step", by="epoch"),
        ["epoch", "rename"],
    ),
    "sel, no label": (lambda: covdist.moments(X, by=np.arange(10)).sel(), ["sel(epoch=3)", "found 0"]),
    "needs a matrix": (lambda: covdist.moments(X, X).x.cov(), ["variances", "covdist.moments"]),
}


def assert_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert len(text) > 20
    assert "\n" not in text
    assert not re.search(r"[a-z]{2}\. +[A-Z]", text), text


@pytest.mark.parametrize(("call", "said"), REFUSED.values(), ids=REFUSED)
def test_data_that_do_not_fit(call, said):
    with pytest.raises(DataError) as caught:
        call()
    assert_one_sentence(caught.value)
    for words in said:
        assert any(word in str(caught.value) for word in words.split("|")), (words, str(caught.value))


def test_a_worker_that_is_too_small():
    plan = covdist.plan(da.zeros((1_000_000, 4096), chunks=(1000, 4096)))
    with pytest.raises(PlanError, match=r"3 MiB.*more memory") as caught:
        plan.check(3 << 20)
    assert_one_sentence(caught.value)


def test_a_path_that_holds_no_log(tmp_path):
    with pytest.raises(LogError, match="nowhere") as caught:
        covdist.open_log(tmp_path / "nowhere")
    assert_one_sentence(caught.value)


def test_a_path_that_holds_no_result(tmp_path):
    with pytest.raises(ResultError, match="covdist run") as caught:
        covdist.load(tmp_path / "nowhere")
    assert_one_sentence(caught.value)


def test_a_scheduler_file_that_is_not_there(tmp_path):
    with (
        pytest.raises(ClusterError, match="dask scheduler --scheduler-file") as caught,
        cluster(scheduler_file=str(tmp_path / "nowhere")),
    ):
        pass
    assert_one_sentence(caught.value)


def test_a_scheduler_without_workers():
    local = LocalCluster(n_workers=0, host="127.0.0.1", protocol="tcp", dashboard_address="127.0.0.1:0")
    refused = pytest.raises(ClusterError, match=r"no workers after 1 seconds.*`dask worker tcp://")
    with changed(worker_wait_seconds=1), local, refused as caught, cluster(scheduler=local.scheduler_address):
        pass
    assert_one_sentence(caught.value)


EVERY = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CovdistError)]


@pytest.mark.parametrize("error", EVERY)
def test_errors_travel_between_processes(error):
    copy = pickle.loads(pickle.dumps(error("the thing is wrong: do something")))
    assert type(copy) is error
    assert str(copy) == "the thing is wrong: do something"


def test_the_place_of_a_bad_value_travels_too():
    error = errors.NonFiniteError("nan", row=3, column=2, amount=5, side=1)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


@pytest.mark.parametrize("error", EVERY)
def test_the_tree_at_the_top_of_the_file_names_every_class(error):
    assert error is CovdistError or error.__name__ in (errors.__doc__ or "")

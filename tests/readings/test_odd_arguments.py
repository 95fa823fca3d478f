"""What people pass that is not a plain array: the right answer, or a sentence about what to pass."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
from dask.delayed import delayed

import covdist
from covdist.errors import DataError

X = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 9.0]])
FRAMES = {
    "floats": pd.DataFrame(X, columns=["a", "b"]),
    "nullable": pd.DataFrame(X, columns=["a", "b"]).convert_dtypes(),
    "one nullable": pd.DataFrame({"a": pd.array([1, 3, 4], "Int64"), "b": X[:, 1]}),
    "sparse": pd.DataFrame(X, columns=["a", "b"]).astype(pd.SparseDtype(float)),
    "whole and real": pd.DataFrame({"a": [1, 3, 4], "b": X[:, 1]}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_are_their_numbers_and_keep_their_names(frame):
    found = covdist.cov(frame)
    np.testing.assert_allclose(found, np.cov(X.T, ddof=0), rtol=1e-13)
    assert found.dims == ("unit", "unit_2")
    assert found["unit"].values.tolist() == found["unit_2"].values.tolist() == ["a", "b"]
    assert covdist.fill(frame)["unit"].values.tolist() == ["a", "b"]
    assert covdist.gradient_stats(frame)["unit"].values.tolist() == ["a", "b"]


def test_columns_that_are_only_numbered_have_no_names():
    assert not covdist.cov(pd.DataFrame(X)).coords
    assert covdist.var(pd.DataFrame(X, columns=[3, 5]))["unit"].values.tolist() == [3, 5]
    assert covdist.var(pd.DataFrame(X, index=list("abc")), dim=1)["unit"].values.tolist() == ["a", "b", "c"]


def test_missing_values_of_nullable_columns_are_nan():
    frame = pd.DataFrame({"a": pd.array([1, None, 4], "Int64"), "b": pd.array([True, False, True], "boolean")})
    with pytest.raises(DataError, match="nan"):
        covdist.cov(frame)
    assert covdist.var(frame, missing="drop").values.tolist() == [2.25, 0.0]
    assert covdist.var(pd.Series([1, None, 3], dtype="Int64"), missing="drop").item() == 1.0
    assert covdist.var(pd.array([1, None, 3], "Int64"), missing="drop").item() == 1.0
    weights = pd.Series([1, 0, 1], dtype="Int64")
    assert covdist.var(pd.Series([1.0, 7.0, 3.0]), weights=weights).item() == 1.0


def test_frames_of_other_libraries():
    for library in ("polars", "pyarrow"):
        package = pytest.importorskip(library)
        table = (
            package.table({"a": X[:, 0], "b": X[:, 1]}) if library == "pyarrow" else package.DataFrame(X, ["a", "b"])
        )
        found = covdist.cov(table)
        np.testing.assert_allclose(found, np.cov(X.T, ddof=0), rtol=1e-13)
        assert found["unit"].values.tolist() == ["a", "b"]


DATASET = xr.Dataset({"loss": ("step", X[:, 0])})
REFUSED = {
    "dataset": (DATASET, "x is a Dataset.*'loss'"),
    "tree": (xr.DataTree.from_dict({"/fc1": DATASET}), "x is a DataTree.*'fc1/loss'"),
    "mapping": ({"fc1": X, "fc2": X}, "x is a dict.*'fc1', 'fc2'"),
    "sparse": (scipy.sparse.csr_matrix(X), "x is a csr_matrix.*toarray"),
    "path": ("run.zarr", "x is a str.*open_log"),
    "Path": (Path("run.zarr"), "x is a Posix.*open_log"),
    "delayed": (delayed(X), "x is a Delayed.*to_dask_array"),
    "ragged": ([[1.0, 2.0], [3.0]], "x is a list that makes no array"),
    "set": ({1.0, 2.0}, "x is a set, which has no samples"),
    "generator": ((each for each in X), "x is a generator, which has no samples"),
    "nothing": (None, "x is a NoneType, which has no samples"),
    "text columns": (pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]}), "column 'name'.*select_dtypes"),
    "dates": (pd.DataFrame({"day": pd.date_range("2024", periods=2)}), "column 'day' of dtype datetime64"),
    "text": (pd.Series(["x", "y"]), "x has dtype"),
    "lazy sparse": (da.from_array(X).map_blocks(scipy.sparse.csr_matrix), "csr_matrix.*toarray"),
    "moments": (covdist.moments(X), "x is Moments.*m.cov()"),
}


@pytest.mark.parametrize("call", [covdist.cov, covdist.var, covdist.corr, covdist.moments, covdist.plan])
@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED)
def test_others_are_named_with_what_to_pass(call, given, said):
    with pytest.raises(DataError, match=said):
        call(given)


@pytest.mark.parametrize("what", ["dataset", "mapping", "sparse", "ragged"])
def test_so_are_others_in_place_of_y_or_weights(what):
    given, said = REFUSED[what]
    with pytest.raises(DataError, match=said.replace("x is", "y is")):
        covdist.cov(X, given)
    with pytest.raises(DataError, match=said.replace("x is", r"weights(\['reliability'\])? is")):
        covdist.var(X, weights={"reliability": given})
    for call in (covdist.fill, covdist.gradient_stats):
        with pytest.raises(DataError, match=said.replace("x is", "(x|g) is")):
            call(given)
    with pytest.raises(DataError, match=said):
        covdist.spectrum(given, 1)


def test_a_tensor_that_is_no_array_says_how_it_becomes_one():
    class Tensor(SimpleNamespace):
        def __array__(self, *_, **__):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    with pytest.raises(DataError, match=r"x is a Tensor.*\.detach\(\)"):
        covdist.cov(Tensor(detach=lambda: None))


def test_decimals_are_converted():
    table = pd.DataFrame({"a": [Decimal(1), Decimal(3)]}, dtype=object)
    with pytest.raises(DataError, match="column 'a' of dtype object"):
        covdist.var(table)


HOURS = pd.date_range("2024-01-01", periods=5, freq="h")
GAPPY = xr.DataArray([0.0, np.nan, 2.0, np.nan, np.nan], dims="t", coords={"t": HOURS})


@pytest.mark.parametrize("gap", ["2h", "120min", np.timedelta64(2, "h"), pd.Timedelta("2h"), HOURS[2] - HOURS[0]])
def test_gaps_in_time_are_said_as_pandas_says_them(gap):
    np.testing.assert_array_equal(covdist.fill(GAPPY, dim="t", max_gap=gap), [0.0, 1.0, 2.0, np.nan, np.nan])
    np.testing.assert_array_equal(covdist.fill(GAPPY, dim="t", max_gap="1h"), GAPPY)


@pytest.mark.parametrize(
    ("x", "gap"),
    [(GAPPY, 2), (GAPPY, "soon"), (GAPPY, "NaT"), (GAPPY, -1.0), (GAPPY, [1])]
    + [(GAPPY.drop_vars("t"), gap) for gap in ("2h", np.timedelta64(2, "h"), -1, float("nan"), 1j)],
)
def test_other_gaps_are_refused_by_name(x, gap):
    with pytest.raises(DataError, match=r"max_gap=.*pass"):
        covdist.fill(x, dim="t", max_gap=gap)


def test_half_lives_too():
    week = xr.DataArray([0.0, 1.0, 3.0], dims="t", coords={"t": HOURS[:3]})
    named = covdist.moments(week, dim="t", halflife="1h").mean()
    assert named.item() == covdist.moments(week, dim="t", halflife=np.timedelta64(1, "h")).mean().item()
    with pytest.raises(DataError, match="halflife='soon' is not a length"):
        covdist.moments(week, dim="t", halflife="soon")


@pytest.mark.parametrize("memory", ["much", "3 apples", -1, [], 1.5j])
def test_memory_that_is_no_size(memory):
    with pytest.raises(DataError, match=r"memory=.*'3GiB'"):
        covdist.cov(X, memory=memory)


@pytest.mark.parametrize("dim", [None, "sample"])
def test_an_array_without_axes_has_no_samples(dim):
    with pytest.raises(DataError, match="a is a single number, which has no samples: pass an array"):
        covdist.var(xr.DataArray(3.0, name="a"), dim=dim)

"""The similarity of layers too wide for the matrix of their columns, from projections."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstest

import covdist
from covdist.errors import DataError, MergeError, PlanError

from .counting import Counted

rng = np.random.default_rng(3)
HIDDEN = rng.normal(size=(400, 6)) * np.linspace(2, 0.5, 6)
LAYERS = {
    "a": HIDDEN @ rng.normal(size=(6, 90)),
    "b": np.tanh(HIDDEN @ rng.normal(size=(6, 120))) + 0.5 * rng.normal(size=(400, 120)),
    "noise": rng.normal(size=(400, 110)),
    "dead": np.full((400, 5), 3.0),
}
LAYER = np.repeat(list(LAYERS), [each.shape[1] for each in LAYERS.values()])
EPOCH = np.repeat([0, 1], 200)
STATE = {"name": "projected", "layers": [90, 120, 110, 5], "directions": 64, "seed": 0}


def side_by_side(rows: slice = slice(None)) -> xr.DataArray:
    return xr.DataArray(
        np.hstack(list(LAYERS.values()))[rows], dims=("sample", "unit"), coords={"layer": ("unit", LAYER)}
    )


def test_errors_are_as_large_as_said():
    """Over many draws the error over its standard error is a standard normal number."""
    exact = covdist.similarity(LAYERS).values
    draws = [covdist.similarity(LAYERS, directions=64, seed=seed) for seed in range(60)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        ratios = [(found[i, j].item() - exact[i, j]) / found["standard_error"][i, j].item() for found in draws]
        assert kstest(ratios, "norm").pvalue > 1e-3
        assert np.mean([found[i, j] for found in draws]) == pytest.approx(exact[i, j], rel=0.02)


def test_more_directions_come_nearer():
    errors = [
        covdist.similarity(LAYERS, directions=directions)["standard_error"][0, 2].item() for directions in (16, 64, 256)
    ]
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]


def test_known_values_stay_exact():
    found = covdist.similarity(LAYERS, directions=16)
    assert (np.diagonal(found)[:3] == 1).all()
    assert (np.diagonal(found["standard_error"])[:3] == 0).all()
    assert np.isnan(found[3]).all()
    assert np.isnan(found["standard_error"][:, 3]).all()
    assert np.array_equal(found, found.T, equal_nan=True)
    assert found.attrs["directions"] == 16
    assert found.attrs["seed"] == 0
    np.testing.assert_array_equal(covdist.similarity(LAYERS, method="rv", directions=16), found)


def test_one_pass_for_any_chunks():
    counted = {name: Counted(values, 70, values.shape[1]) for name, values in LAYERS.items()}
    found = covdist.similarity({name: each.array for name, each in counted.items()}, directions=32)
    assert found.chunks is not None
    assert found["standard_error"].chunks is not None
    assert not any(each.made for each in counted.values())
    found = found.compute(scheduler="threads")
    assert all(each.made == each.every for each in counted.values())
    whole = covdist.similarity(LAYERS, directions=32)
    np.testing.assert_allclose(found, whole, rtol=1e-9)
    np.testing.assert_allclose(found["standard_error"], whole["standard_error"], rtol=1e-6, atol=1e-12)


def test_by_group():
    found = covdist.similarity(LAYERS, directions=32, by=EPOCH)
    for epoch in range(2):
        own = {name: values[epoch == EPOCH] for name, values in LAYERS.items()}
        np.testing.assert_allclose(found[epoch], covdist.similarity(own, directions=32), rtol=1e-9)


def test_states_are_merged_and_saved(tmp_path):
    halves = [covdist.moments(side_by_side(rows), dim="sample", state=STATE) for rows in (slice(150), slice(150, None))]
    halves[0].save(tmp_path / "a.zarr")
    both = covdist.load(tmp_path / "a.zarr") + halves[1]
    expected = covdist.similarity(LAYERS, directions=64)
    for found in (both.similarity(), covdist.similarity(both)):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        np.testing.assert_allclose(found["standard_error"], expected["standard_error"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(both.mean(), side_by_side().mean("sample"))
    with pytest.raises(MergeError):
        both + covdist.moments(side_by_side(), dim="sample", state=STATE | {"seed": 1})


@pytest.mark.parametrize(("size", "place"), [(1e-160, 0.0), (1e150, 0.0), (1e-3, 1e6)])
def test_layers_of_other_magnitudes(size, place):
    found = covdist.similarity(LAYERS | {"a": LAYERS["a"] * size + place}, directions=32)
    rtol = 1e-10 if place == 0 else 1e-6
    np.testing.assert_allclose(found, covdist.similarity(LAYERS, directions=32), rtol=rtol)


def test_tiny_columns_beside_constant_and_large_ones():
    columns = np.hstack([LAYERS["a"] * 1e-160, np.full((400, 3), 7.0)])
    found = covdist.similarity({"a": columns, "b": LAYERS["b"]}, directions=64)
    plain = covdist.similarity({"a": np.hstack([LAYERS["a"], np.zeros((400, 3))]), "b": LAYERS["b"]}, directions=64)
    np.testing.assert_allclose(found, plain, rtol=1e-10)
    first = np.vstack([columns[:200], columns[200:] * 1e200])  # from one scale to another within the rows
    large = covdist.similarity({"a": first, "b": LAYERS["b"]}, directions=64)
    np.testing.assert_allclose(
        large, covdist.similarity({"a": first * 2.0**-400, "b": LAYERS["b"]}, directions=64), rtol=1e-10
    )


def test_where_the_matrix_does_not_fit_it_is_estimated():
    wide = {name: da.random.default_rng(0).normal(size=(40, 10_500), chunks=(20, 10_500)) for name in "ab"}
    found = covdist.similarity(wide)
    assert found.attrs["directions"] == 256
    assert found.shape == (2, 2)
    assert found.chunks is not None
    with pytest.raises(PlanError, match=r"method='svcca'.*21,000 columns.*method='cka'"):
        covdist.similarity(wide, method="svcca")


def test_too_few_rows():
    x = side_by_side(slice(2))
    assert np.isnan(covdist.moments(x[:1], dim="sample", state=STATE).similarity()).all()
    groups = covdist.moments(x, dim="sample", by=np.array([1, -1]), missing="drop", state=STATE)
    assert np.isnan(groups.similarity()).all()


@pytest.mark.parametrize(
    ("layers", "method", "words"),
    [
        ([90, 120], "cka", "layers of 90, 120 columns, 210 together, found 325"),
        ([120, 90, 110, 5], "cka", "layers of 90, 120, 110, 5 columns, the state is of 120, 90, 110, 5"),
        ([], "cka", "the state is of one layer's"),
        ([90, 120, 110, 5], "cca", "method='cca' takes the matrix of all columns"),
    ],
)
def test_layers_that_do_not_fit(layers, method, words):
    with pytest.raises(DataError, match=words):
        covdist.moments(side_by_side(), dim="sample", state=STATE | {"layers": layers}).similarity(method=method)

"""All layers of a log with each other."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError, PlanError

from .counting import Counted

rng = np.random.default_rng(7)
FIRST = rng.normal(size=(90, 4))
LAYERS = {
    "fc1": FIRST,
    "conv": rng.normal(size=(90, 2, 3)) + FIRST[:, :3].reshape(90, 1, 3),
    "fc2": np.tanh(FIRST @ rng.normal(size=(4, 6))),
    "deep/dead": np.full((90, 2), 3.0),
}
EPOCH = np.repeat([0, 1, 2], 30)
METHODS = ("cka", "rv", "cca", "svcca", "pwcca", "procrustes")
each_method = pytest.mark.parametrize("method", METHODS)


def log(chunks: int = 25, dim: str = "sample") -> xr.DataTree:
    nodes = {}
    for name, values in LAYERS.items():
        dims = (dim, *(f"{name.split('/')[-1]}_{i}" for i in range(values.ndim - 1)))
        data = da.from_array(values, chunks=(chunks, *values.shape[1:]))
        nodes[f"/{name}"] = xr.Dataset({"activation": (dims, data)}, {"epoch": (dim, EPOCH)})
    return xr.DataTree.from_dict(nodes)


def of_pair(method: str, x: np.ndarray, y: np.ndarray) -> float:
    m = covdist.moments(*(each.reshape(len(each), -1) for each in (x, y)))
    name = {"rv": "rv_coefficient"}.get(method, method)
    return float(getattr(covdist, name)(m).mean())


def expected(method: str, rows: slice = slice(None)) -> np.ndarray:
    found = np.full((4, 4), np.nan)
    for i, x in enumerate(LAYERS.values()):
        for j, y in enumerate(LAYERS.values()):
            found[i, j] = of_pair(method, x[rows], y[rows])
    np.fill_diagonal(found[:3, :3], 0.0 if method == "procrustes" else 1.0)
    return found


@each_method
def test_as_of_each_pair(method):
    found = covdist.similarity(log(), method=method)
    assert found.dims == ("layer", "layer_2")
    assert found.chunks is not None
    assert found["layer"].values.tolist() == found["layer_2"].values.tolist() == list(LAYERS)
    np.testing.assert_allclose(found, expected(method), rtol=1e-9)
    values = found.values[:3, :3]
    assert (np.diagonal(values) == (0 if method == "procrustes" else 1)).all()
    assert np.array_equal(values, values.T) == (method != "pwcca")


@each_method
def test_by_group(method):
    found = covdist.similarity(log(), method=method, by="epoch", dim="sample")
    assert found.dims == ("epoch", "layer", "layer_2")
    for epoch in range(3):
        rows = slice(30 * epoch, 30 * epoch + 30)
        np.testing.assert_allclose(found.sel(epoch=epoch), expected(method, rows), rtol=1e-9)


def test_each_chunk_is_read_once():
    flat = {name: values.reshape(90, -1) for name, values in LAYERS.items()}
    counted = {name: Counted(values, 20, values.shape[1]) for name, values in flat.items()}
    found = covdist.similarity({name: each.array for name, each in counted.items()})
    assert not any(each.made for each in counted.values())
    np.testing.assert_allclose(found.compute(scheduler="threads"), expected("cka"), rtol=1e-9)
    assert all(each.made == each.every for each in counted.values())


def test_chunks_that_differ_from_layer_to_layer():
    arrays = {
        name: Counted(values.reshape(90, -1), rows, values.size // 90)
        for rows, (name, values) in zip((20, 30, 90, 7), LAYERS.items(), strict=True)
    }
    found = covdist.similarity({name: each.array for name, each in arrays.items()})
    np.testing.assert_allclose(found.compute(scheduler="threads"), expected("cka"), rtol=1e-9)
    assert all(each.made == each.every for each in arrays.values())


def test_two_methods_share_a_pass():
    import dask

    counted = {name: Counted(values.reshape(90, -1), 20, values.size // 90) for name, values in LAYERS.items()}
    arrays = {name: each.array for name, each in counted.items()}
    both = [covdist.similarity(arrays, method=method) for method in ("cka", "procrustes")]
    dask.compute(*both, scheduler="threads")
    assert all(each.made == each.every for each in counted.values())


@each_method
def test_of_states_by_pair(method):
    arrays = {name: values.reshape(90, -1) for name, values in LAYERS.items()}
    states = {(a, b): covdist.moments(arrays[a], arrays[b]) for a, b in (("fc1", "fc2"), ("conv", "fc1"))}
    found = covdist.similarity(states, method=method)
    whole = covdist.similarity(arrays, method=method).sel(layer=found["layer"], layer_2=found["layer_2"])
    assert np.isnan(found.sel(layer="conv", layer_2="fc2"))
    np.testing.assert_allclose(found, whole.where(~np.isnan(found)), rtol=1e-9)


def test_of_lazy_states_by_group():
    x, y = (da.from_array(each, chunks=(25, -1)) for each in (FIRST, LAYERS["fc2"]))
    found = covdist.similarity({("a", "b"): covdist.moments(x, y, by=EPOCH)})
    assert found.chunks is not None
    assert found.sizes == {"group": 3, "layer": 2, "layer_2": 2}
    one = covdist.cka(covdist.moments(FIRST[:30], LAYERS["fc2"][:30]))
    np.testing.assert_allclose(found[0], [[1, one], [one, 1]], rtol=1e-9)


def test_of_moments_of_all_columns(tmp_path):
    whose = np.repeat(["a", "b"], [4, 6])
    x = xr.DataArray(np.hstack([FIRST, LAYERS["fc2"]]), dims=("sample", "unit"), coords={"layer": ("unit", whose)})
    m = covdist.moments(x, dim="sample")
    m.save(tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr").similarity()
    np.testing.assert_allclose(found, covdist.similarity({"a": FIRST, "b": LAYERS["fc2"]}), rtol=1e-9)
    with pytest.raises(DataError, match="lie apart"):
        covdist.similarity(covdist.moments(x[:, [0, 5, 1]], dim="sample"))
    with pytest.raises(DataError, match="coordinate 'layer'"):
        covdist.similarity(covdist.moments(FIRST))


@pytest.mark.parametrize("size", [1e-160, 1e-30, 1e150])
def test_layers_of_other_magnitudes(size):
    found = covdist.similarity({"a": FIRST * size, "b": LAYERS["fc2"]})
    np.testing.assert_allclose(found, covdist.similarity({"a": FIRST, "b": LAYERS["fc2"]}), rtol=1e-10)


def test_a_dim_that_a_log_has_renamed_is_one_of_other_rows():
    short = LAYERS["fc1"][:80]
    nodes = {
        "a": xr.Dataset({"activation": (("sample", "u"), FIRST)}),
        "b": xr.Dataset({"activation": (("sample_b", "u"), short)}),
    }
    for dim in (None, "sample"):
        with pytest.raises(DataError, match="a has 90 along sample but b has 80"):
            covdist.similarity(xr.DataTree.from_dict(nodes), dim=dim)


def test_other_labels_of_rows():
    a = xr.DataArray(FIRST, dims=("sample", "u"), coords={"sample": np.arange(90)})
    with pytest.raises(DataError, match="different labels along 'sample'"):
        covdist.similarity({"a": a, "b": a.assign_coords(sample=np.arange(90)[::-1])})


def test_what_does_not_fit():
    wide = {name: da.zeros((100, 12_000), chunks=(50, 12_000)) for name in "ab"}
    with pytest.raises(PlanError, match=r"24,000 columns of 2 layers.*2\.15 GiB, more than 1\.58 GiB"):
        covdist.similarity(wide, method="cca")
    with pytest.raises(PlanError, match=r"18 columns of 4 layers.* of 1 MiB"):
        covdist.similarity(log(), memory="1MiB", method="cca")
    for options in ({}, {"by": "epoch"}):
        with pytest.raises(PlanError):
            covdist.similarity(log(), memory="1MiB", **options)


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (FIRST, {}, "pass a log"),
        ({}, {}, "an empty dict"),
        ({"a": covdist.moments(FIRST)}, {}, "by the names of their two layers"),
        ({("a", "b"): covdist.moments(FIRST)}, {}, "kind both"),
        ({"a": FIRST}, {"directions": 2}, "directions=2 is not a number"),
        ({"a": FIRST}, {"method": "cos"}, "method='cos' is unknown"),
        (log(), {"var": "gradient"}, "no variable|no node of the log holds"),
    ],
    ids=["array", "nothing", "one name", "one side", "directions", "method", "variable"],
)
def test_what_cannot_be_compared(given, options, words):
    with pytest.raises(DataError, match=words):
        covdist.similarity(given, **options)


def test_an_array_at_the_root_stands_beside_a_layer_of_that_name():
    arrays = (np.random.default_rng(seed).normal(size=(20, 2)) for seed in range(2))
    root, below = (xr.Dataset({"activation": (("sample", "unit"), rows)}) for rows in arrays)
    found = covdist.similarity(xr.DataTree.from_dict({"/": root, "/root": below}))
    assert found["layer"].values.tolist() == ["root_", "root"]

"""``gradient_stats`` against the formulas written out, for gradients of any size."""

from __future__ import annotations

from fractions import Fraction

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

RNG = np.random.default_rng(0)
LIKE_A_NETWORK = {"fc1": 30, "block/attn": 5, "block/out": 2}
SIZES = [("f4", 1e-30), ("f8", 1e-200), ("f8", 1e-310), ("f8", 1.0), ("f4", 1e30), ("f8", 1e200)]
each_size = pytest.mark.parametrize(("dtype", "size"), SIZES)
overflows = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # variances of 1e200


def gradients(dtype: str, size: float, parameters: int = 6) -> np.ndarray:
    """Means far below and far above the spread; a dead parameter and one that often is zero."""
    values = RNG.normal(size=(50, parameters)) + np.linspace(0, 20, parameters)
    values[::3, parameters // 2] = 0
    values[:, parameters // 3] = 0
    return (values * size).astype(dtype)


class Direct:
    """The formulas, on values brought near 1 by a power of two, which changes no digit."""

    def __init__(self, *layers: np.ndarray):
        power = int(np.frexp(max(np.abs(layer).max() for layer in layers))[1])
        self.unit = np.longdouble(2) ** power
        self.layers = [layer / self.unit for layer in layers]
        self.values = np.concatenate(self.layers, axis=1)

    def per_parameter(self) -> dict[str, np.ndarray]:
        mean, std = self.values.mean(axis=0), self.values.std(axis=0)
        with np.errstate(invalid="ignore"):
            snr = np.abs(mean) / std
        norm = np.sqrt((self.values**2).mean(axis=0))
        return {"snr": snr, "mean": mean * self.unit, "std": std * self.unit, "norm": norm * self.unit}

    def pooled(self) -> dict[str, float]:
        mean, variance = self.values.mean(axis=0), self.values.var(axis=0)
        mean_norm = np.sqrt((mean**2).sum())
        return {
            "snr": mean_norm / np.sqrt(variance.sum()),
            "mean": self.values.mean() * self.unit,
            "std": self.values.std() * self.unit,
            "norm": np.sqrt((self.values**2).sum(axis=1).mean()) * self.unit,
            "mean_norm": mean_norm * self.unit,
            "variance": self.values.var() * self.unit**2,
            "zero_fraction": (self.values == 0).mean(),
        }


def assert_pooled(found: xr.Dataset, prefix: str, direct: Direct) -> None:
    for name, expected in direct.pooled().items():
        # What float64 cannot hold becomes zero or infinite, as everywhere.
        with np.errstate(over="ignore", under="ignore"):
            expected = np.float64(expected)
        np.testing.assert_allclose(found[f"{prefix}_{name}"], expected, rtol=1e-11, err_msg=name)


@each_size
@overflows
@pytest.mark.parametrize("chunks", [None, (7, 4)])
def test_one_layer(dtype, size, chunks):
    values = gradients(dtype, size)
    stats = covdist.gradient_stats(values if chunks is None else da.from_array(values, chunks=chunks)).compute()
    for name, expected in Direct(values).per_parameter().items():
        np.testing.assert_allclose(stats[name], expected.astype(float), rtol=1e-11, err_msg=name)
    np.testing.assert_allclose(stats["zero_fraction"], (values == 0).mean(axis=0))
    np.testing.assert_array_equal(stats["dead"], (values == 0).all(axis=0))
    assert int(stats["dead"].sum()) == 1
    assert_pooled(stats, "layer", Direct(values))


def network(dtype: str = "f8", size: float = 1.0, shift: float = 0.0) -> tuple[xr.DataTree, list[np.ndarray]]:
    layers = [gradients(dtype, size, n) + np.dtype(dtype).type(shift * size) for n in LIKE_A_NETWORK.values()]
    nodes = {
        f"/{path}": xr.Dataset({"gradient": (("step", "param"), values), "loss": ("step", np.ones(50))})
        for path, values in zip(LIKE_A_NETWORK, layers, strict=True)
    }
    return xr.DataTree.from_dict(nodes), layers


@each_size
@overflows
@pytest.mark.parametrize("chunks", [None, {"step": 7}])
def test_a_network(dtype, size, chunks):
    tree, layers = network(dtype, size)
    stats = covdist.gradient_stats(tree if chunks is None else tree.chunk(chunks), dim="step").compute()
    assert stats["layer"].values.tolist() == list(tree_paths(tree))
    for path, values in zip(LIKE_A_NETWORK, layers, strict=True):
        assert_pooled(stats[path].dataset, "layer", Direct(values))
        assert_pooled(stats.dataset.sel(layer=path), "layer", Direct(values))
    assert_pooled(stats.dataset, "network", Direct(*layers))


def tree_paths(tree: xr.DataTree) -> list[str]:
    return [node.path.strip("/") for node in tree.subtree if "gradient" in node.data_vars]


def test_a_network_whose_mean_dwarfs_its_noise():
    tree, layers = network(shift=1e7)
    stats = covdist.gradient_stats(tree, dim="step").dataset
    noise = sum(layer.astype(np.longdouble).var(axis=0).sum() for layer in layers)
    signal = sum((layer.astype(np.longdouble).mean(axis=0) ** 2).sum() for layer in layers)
    np.testing.assert_allclose(stats["network_snr"], float(np.sqrt(signal / noise)), rtol=1e-9)


def test_a_variable_of_another_name_and_a_root_that_holds_one():
    values = gradients("f8", 1.0)
    tree = xr.DataTree(xr.Dataset({"update": (("step", "param"), values)}))
    stats = covdist.gradient_stats(tree, dim="step", var="update")
    assert_pooled(stats.dataset, "network", Direct(values))
    with pytest.raises(DataError, match=r"'gradient', found are update: pass var="):
        covdist.gradient_stats(tree, dim="step")


def test_a_root_and_a_layer_below_it():
    top, below = gradients("f8", 1.0), gradients("f8", 2.0, 4)
    nodes = {
        "/": xr.Dataset({"gradient": (("step", "param"), top)}),
        "/head": xr.Dataset({"gradient": (("step", "weight"), below)}),
    }
    stats = covdist.gradient_stats(xr.DataTree.from_dict(nodes), dim="step")
    assert_pooled(stats.dataset, "network", Direct(top, below))
    assert_pooled(stats.dataset.isel(layer=0), "layer", Direct(top))
    assert_pooled(stats["head"].dataset, "layer", Direct(below))


def test_groups():
    values, epoch = gradients("f8", 1e-200), np.arange(50) // 20
    x = xr.DataArray(values, dims=("step", "param"), coords={"epoch": ("step", epoch)})
    stats = covdist.gradient_stats(x, dim="step", by="epoch")
    for group in range(3):
        assert_pooled(stats.sel(epoch=group), "layer", Direct(values[epoch == group]))


def test_several_parameter_dims_and_sample_dims():
    values = RNG.normal(size=(5, 4, 3, 2))
    x = xr.DataArray(values, dims=("step", "sample", "out", "in"))
    stats = covdist.gradient_stats(x, dim=("step", "sample"))
    assert stats["mean"].dims == ("out_in",)
    assert_pooled(stats, "layer", Direct(values.reshape(20, 6)))


@each_size
def test_correlations_of_gradients_of_any_size(dtype, size):
    values = gradients(dtype, size)
    live = np.delete(np.arange(6), 6 // 3)
    corr = covdist.corr(values)
    assert np.isnan(corr[2]).all()
    assert np.isnan(corr[:, 2]).all()
    assert np.abs(corr.values[np.ix_(live, live)]).max() == 1.0
    assert (np.diag(corr)[live] == 1).all()
    expected = np.corrcoef(Direct(values).values[:, live].T)
    np.testing.assert_allclose(corr[live][:, live], expected.astype(float), atol=1e-12)


@pytest.mark.parametrize("size", [1e-170, 1e-200, 1e-310])
def test_std_is_right_where_the_variance_underflows(size):
    values = gradients("f8", size)
    m = covdist.moments(values)
    assert (m.var() < 1e-300).all()
    np.testing.assert_allclose(m.std(), Direct(values).per_parameter()["std"].astype(float), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-200, 1e8 + 0.1, -1 / 3])
def test_constants_have_no_correlation_and_no_noise(value):
    x = np.stack([np.full(40, value), RNG.normal(size=40)], axis=1)
    corr = covdist.corr(da.from_array(x, chunks=(7, 1))).compute()
    assert np.isnan(corr.values).tolist() == [[True, True], [True, False]]
    stats = covdist.gradient_stats(x)
    assert stats["variance"][0] == 0
    assert stats["snr"][0] == np.inf if value else np.isnan(stats["snr"][0])


def test_columns_that_are_one_another_correlate_at_most_fully():
    x = RNG.normal(size=(1000, 1)) * 1e-3 + 1e6
    corr = covdist.corr(np.hstack([x, x, -3 * x, x + 1e-12]))
    assert (np.abs(corr) <= 1).all()
    np.testing.assert_allclose(np.abs(corr), 1, rtol=1e-12)
    assert (corr.values == corr.values.T).all()


def _exact(values):
    exact = [Fraction(float(value)) for value in np.ravel(values)]
    centre = sum(exact) / len(exact)
    return centre, sum((value - centre) ** 2 for value in exact) / len(exact)


@pytest.mark.parametrize("offset", [0, 1e4, 1e8, 1e12])
def test_pooled_values_keep_their_digits(offset):
    rng = np.random.default_rng(0)
    layers = {name: offset + rng.normal(size=(50, width)) for name, width in (("a", 6), ("b", 3))}
    tree = xr.DataTree.from_dict(
        {f"/{name}": xr.Dataset({"gradient": (("step", "param"), layer)}) for name, layer in layers.items()}
    )
    found = covdist.gradient_stats(tree, dim="step")
    everything = np.concatenate([layer.ravel() for layer in layers.values()])
    pools = [("network", found, everything), *(("layer", found.sel(layer=name), x) for name, x in layers.items())]
    for pool, dataset, values in pools:
        centre, variance = _exact(values)
        assert abs(Fraction(float(dataset[f"{pool}_mean"])) - centre) <= (abs(centre) + 1) * Fraction(1, 10**15)
        assert abs(Fraction(float(dataset[f"{pool}_variance"])) / variance - 1) < 1e-14


def test_equal_constants_pool_without_variance():
    tree = xr.DataTree.from_dict(
        {f"/{n}": xr.Dataset({"gradient": (("step", "param"), np.full((5, n), 0.1))}) for n in (3, 7, 11)}
    )
    found = covdist.gradient_stats(tree, dim="step")
    assert found["layer_variance"].values.tolist() == [0, 0, 0]
    assert float(found["network_variance"]) == 0


def test_a_lazy_tree_is_computed_by_itself_and_beside_others():
    x = da.from_array(np.random.default_rng(0).normal(size=(12, 3)), chunks=(4, 3))
    log = xr.DataTree.from_dict({"/fc": xr.Dataset({"gradient": (("step", "param"), x)})})
    tree = covdist.gradient_stats(log, dim="step")
    nodes, spread = dask.compute(tree.to_dict(), covdist.std(x, dim=0))
    for found in (tree.compute(), xr.DataTree.from_dict(nodes)):
        assert found["fc/mean"].chunks is None
        np.testing.assert_array_equal(found["fc/std"], spread)
        assert float(found["network_std"]) > 0


def test_infinity_that_is_let_in_does_not_warn():
    rows = np.ones((5, 2))
    rows[0, 0] = np.inf
    found = covdist.gradient_stats(rows, missing="propagate")
    assert found["mean"].values.tolist() == [np.inf, 1.0]
    assert not np.isfinite(found["layer_mean"])

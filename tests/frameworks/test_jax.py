"""Trees of JAX and Flax become the rows of a log."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
import covdist.record.jax as record

jax = pytest.importorskip("jax", reason="trees of JAX need jax, which has an environment of its own")
linen = pytest.importorskip("flax.linen", reason="modules of Flax need flax, which has an environment of its own")
jnp = jax.numpy


class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Conv(4, (3, 3))(x))
        self.sow("intermediates", "pooled", x.mean((1, 2)))
        again = linen.Dense(4)
        return linen.Dense(2)(again(again(x.mean((1, 2)))))


@pytest.fixture(scope="module")
def net():
    x = jax.random.normal(jax.random.key(0), (5, 6, 6, 3))
    model = Net()
    return model, model.init(jax.random.key(1), x), x


def loss(params, model, x):
    return (model.apply(params, x) ** 2).mean()


def test_a_step_of_flax_in_a_log(net, tmp_path):
    model, params, x = net

    @jax.jit
    def step(params):
        _, captured = model.apply(params, x, capture_intermediates=True, mutable=["intermediates"])
        grads = jax.grad(loss)(params, model, x)
        return record.activations(captured) | record.gradients(grads)

    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        for number in range(2):
            rec.log(number, step({"params": params["params"]}), epoch=0)
    log = covdist.open_log(tmp_path / "run.zarr")
    grads = jax.grad(loss)({"params": params["params"]}, model, x)["params"]
    for layer in ("Conv_0", "Dense_0", "Dense_1"):
        expected = np.concatenate([np.ravel(grads[layer]["kernel"]), grads[layer]["bias"]])
        assert np.allclose(log[layer]["gradient"], expected, atol=1e-6)
        assert log[layer]["gradient"].dims == ("step", "param")
    assert log["Conv_0/activation"].shape == (2 * 5 * 36, 4)
    assert log["Dense_0/activation"].shape == (2 * 10, 4)
    assert np.allclose(log["Dense_1/activation"][:5], model.apply(params, x), atol=1e-6)
    assert log["pooled"].shape == (10, 4)


def test_gradients_of_samples():
    weights = {"fc": {"w": jnp.arange(6.0).reshape(3, 2), "b": jnp.ones(2)}}
    x, y = jax.random.normal(jax.random.key(0), (4, 3)), jnp.ones((4, 2))

    def one(weights, x, y):
        return ((x @ weights["fc"]["w"] + weights["fc"]["b"] - y) ** 2).sum()

    found = record.sample_gradients(jax.vmap(jax.grad(one), in_axes=(None, 0, 0))(weights, x, y))
    error = 2 * (x @ weights["fc"]["w"] + weights["fc"]["b"] - y)
    expected = np.concatenate([np.einsum("ni,no->nio", x, error).reshape(4, -1), error], 1)
    assert np.allclose(found["fc/sample_gradient"], expected, atol=1e-5)
    with pytest.raises(covdist.CovdistError, match="single number"):
        record.sample_gradients({"fc": {"b": jnp.float32(1)}})


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"params": {"a": {"b": {"kernel": 1.0}}, "scale": 2.0}}, {"a/b/gradient", "gradient"}),
        ([{"w": 1.0}, {"w": 2.0}], {"0/gradient", "1/gradient"}),
        (3.0, {"gradient"}),
    ],
)
def test_names_are_places_in_the_tree(tree, names):
    found = record.gradients(jax.tree.map(jnp.asarray, tree))
    assert set(found) == names
    assert all(each.shape[0] == 1 for each in found.values())


def test_nnx():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    grads = nnx.grad(lambda model: (model(jnp.ones((4, 3))) ** 2).sum())(model)
    found = record.gradients({"fc": grads})
    assert {name: each.shape for name, each in found.items()} == {"fc/gradient": (1, 8)}
    assert np.allclose(found["fc/gradient"][0, 6:], grads["bias"][...])


def test_trees_without_arrays_are_refused():
    with pytest.raises(covdist.CovdistError, match="holds no array"):
        record.gradients({})

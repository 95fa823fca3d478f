"""Hooks on models that use their modules, tensors and parameters in ways that are allowed and seldom."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")

from torch.nn.utils import prune  # noqa: E402

import covdist.record.torch as record  # noqa: E402

from .logged import Log  # noqa: E402

nn = torch.nn
BATCH = 6
pytestmark = pytest.mark.usefixtures("seed")


class Of(nn.Module):
    """A module of some layers, and a function of them."""

    def __init__(self, forward, **layers):
        super().__init__()
        self._forward = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *given):
        return self._forward(self, *given)


def array(tensor):
    return tensor.detach().numpy()


def test_calls_of_which_the_first_is_known_from_another_layer(log):
    model = Of(lambda self, x: self.b(2 * self.b(self.a(x))), a=nn.Linear(3, 3), b=nn.Linear(3, 3))
    x = torch.randn(BATCH, 3)
    with record.watch(model, log, what=("input", "activation")) as watch:
        for _ in range(2):
            model(x)
            watch.step()
    first = model.a(x)
    for step in log.arrays:
        assert np.array_equal(step["b/input"], array(torch.cat([first, 2 * model.b(first)])))


def test_gradients_by_outputs_come_in_the_order_of_the_calls(log):
    model, parts = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), torch.randn(3, BATCH, 3)
    with record.watch(model, log, what=("activation", "output_gradient")) as watch:
        outputs = [model(part) for part in parts]
        for factor in (1, 2):
            (factor * sum(output.square().sum() for output in outputs)).backward(retain_graph=True)
        watch.step()
    once = 2 * torch.cat(outputs)
    assert np.array_equal(log.arrays[0]["1/output_gradient"], array(torch.cat([once, 2 * once])))


def test_a_module_of_several_widths_has_an_array_for_each(tmp_path):
    model = Of(
        lambda self, x: self.act(self.b(self.act(self.a(self.act(x))))),
        a=nn.Linear(3, 5), b=nn.Linear(5, 3), act=nn.ReLU(),
    )  # fmt: skip
    xs = torch.randn(2, BATCH, 3)
    with covdist.Recorder(tmp_path / "log") as rec, record.watch(model, rec) as watch:
        for x in xs:
            model(x).sum().backward()
            watch.step()
    found = covdist.open_log(tmp_path / "log")
    expected = []
    for x in xs:
        given = x.relu()
        expected += [given, model(x)]
    assert np.array_equal(found["act/activation"], array(torch.cat(expected)))
    assert np.array_equal(found["act/activation_5"], array(model.a(xs.relu()).relu()).reshape(-1, 5))


def test_dataclasses(log):
    @dataclass
    class Output:
        name: str
        scores: torch.Tensor

    inner = Of(lambda self, x: Output("scores", 2 * x))
    model, x = Of(lambda self, x: self.inner(x).scores, inner=inner), torch.randn(BATCH, 3)
    with record.watch(model, log, what="activation") as watch:
        model(x)
        watch.step()
    assert np.array_equal(log.arrays[0]["inner/activation"], array(2 * x))


def test_what_a_model_was_given_before_is_filled_again_by_numpy(log):
    model, memory = nn.Linear(3, 2), np.zeros((BATCH, 3), np.float32)
    x = torch.from_numpy(memory)
    with record.watch(model, log) as watch:
        for value in (1, 2):
            memory[:] = value
            model(x).sum().backward()
        watch.step()
    assert np.array_equal(log.arrays[0]["input"], np.repeat([[1.0], [2.0]], BATCH, 0) * np.ones(3))


def test_a_layer_that_is_the_model_forgets_what_it_was_given_when_it_fails(log):
    model, x = nn.Linear(3, 2), torch.randn(BATCH, 3)
    with record.watch(model, log) as watch:
        with pytest.raises(RuntimeError, match="shapes"):
            model(torch.randn(BATCH, 4))
        model(x).sum().backward()
        watch.step()
    assert np.array_equal(log.arrays[0]["input"], array(x))


class Interrupted(nn.Module):
    """Has a Ctrl-C between its layers where its input is one row; a list is a tree of nodes of such models."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        if isinstance(x, list):
            return self.a(sum(self(each) for each in x))
        y = self.a(x)
        if len(x) == 1:
            raise KeyboardInterrupt
        return self.b(y)


def test_a_pass_that_is_interrupted_leaves_nothing(log):
    model, x = Interrupted(), torch.randn(BATCH, 3)
    with record.watch(model, log, what=("input", "activation")) as watch:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                model([x, x[:1]])
        model([x, 2 * x])
        watch.step()
        with pytest.raises(KeyboardInterrupt):
            model(x[:1])
        watch.discard()
        model(x)
        watch.step()
    assert [len(step["a/input"]) for step in log.arrays] == [3 * BATCH, BATCH]
    assert [len(step["b/input"]) for step in log.arrays] == [2 * BATCH, BATCH]


def test_a_model_that_returns_nothing_where_an_exception_is_handled(log):
    losses = []
    model = Of(lambda self, x: losses.append(self.fc(x).sum()), fc=nn.Linear(3, 2))
    with record.watch(model, log) as watch:
        try:
            raise MemoryError
        except MemoryError:
            model(torch.randn(BATCH, 3))
        losses[0].backward()
        watch.step()
    assert len(log.arrays[0]["fc/input"]) == BATCH


def test_units_without_a_batch(log):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Flatten(0),
        nn.Linear(36, 5),
        nn.ReLU(),
    )
    with record.watch(model, log, what="activation") as watch:
        model(x := torch.randn(3, 8, 8))
        watch.step()
    channels = model[:4](x)
    found = log.arrays[0]
    assert {number: found[f"{number}/activation"].shape for number in range(7)} == {
        0: (36, 4), 1: (36, 4), 2: (9, 4), 3: (9, 4), 4: (36, 1), 5: (1, 5), 6: (1, 5)
    }  # fmt: skip
    assert np.array_equal(found["3/activation"], array(channels).reshape(4, 9).T)
    assert np.array_equal(found["6/activation"][0], array(model[4:](channels)))


@pytest.mark.parametrize("gradient", [torch.ones(1).expand(512), torch.arange(1536.0).view(512, 3)[:, 1]])
def test_gradients_with_gaps(log, gradient):
    model = nn.Linear(4, 512)
    with record.watch(model, log, what="gradient") as watch:
        model.weight.grad, model.bias.grad = torch.ones(512, 4), gradient
        watch.step()
    assert np.array_equal(log.arrays[0]["gradient"][0], [*[1] * 2048, *gradient.tolist()])


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("kind", ["sparse_coo", "sparse_csr", "nested"])
def test_tensors_without_rows_are_refused_by_name(log, kind):
    make = {
        "sparse_coo": lambda: torch.eye(3).to_sparse(),
        "sparse_csr": lambda: torch.eye(3).to_sparse_csr(),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2, 3)], layout=torch.jagged),
    }[kind]
    model = Of(lambda self, x: self.fc(self.dense(x)), dense=Of(lambda self, x: torch.ones(3, 3)), fc=nn.Linear(3, 2))
    with record.watch(model, log), pytest.raises(DataError, match=f"^dense takes or gives a tensor that is {kind}"):
        model(make())
    with record.watch(model, log, layers="fc") as watch:
        model(make()).sum().backward()
        watch.step()
    assert log.arrays[0]["fc/input"].shape == (3, 3)


def test_rows_of_ones_own_are_on_the_first_axis(log):
    model, x = nn.Linear(3, 2), torch.randn(BATCH, 4, 3)
    for rows in (lambda node, tensor: tensor, lambda node, tensor: tensor[:, 0, 0]):
        with record.watch(model, log, what="input", rows=rows) as watch:
            model(x)
            watch.step()
    assert np.array_equal(log.arrays[0]["input"], array(x.flatten(1)))
    assert np.array_equal(log.arrays[1]["input"], array(x[:, :1, 0]))


def test_a_parameter_that_is_taken_away_is_named(log):
    model = nn.Sequential(nn.Linear(3, 2))
    with record.watch(model, log) as watch:
        prune.l1_unstructured(model[0], "weight", 0.5)
        model(torch.randn(BATCH, 3)).sum().backward()
        with pytest.raises(DataError, match="0 has no parameter weight any more"):
            watch.step()


def test_one_scaler_of_two_models(log):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record.watch(other, Log(), scaler=scaler) as second, record.watch(model, log, scaler=scaler) as watch:
        for _ in range(2):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(BATCH, 3)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            watch.step()
            second.remove()
    assert [step["gradient"][0].tolist() for step in log.arrays] == [[BATCH] * 8] * 2
    assert "step" not in vars(scaler)


def test_a_handle_that_is_gone_takes_its_hooks_along(log):
    model = nn.Linear(3, 2)
    watch = record.watch(model, log)
    assert model._forward_hooks
    del watch
    gc.collect()
    assert not model._forward_hooks
    assert not model._forward_pre_hooks

"""Hooks on torch models record what autograd and a look at each module say."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading

import numpy as np
import pytest

import covdist

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")

import covdist.record.torch as record  # noqa: E402
from covdist.record.lent import copy_all  # noqa: E402
from covdist.record.torch import copies  # noqa: E402

nn = torch.nn
BATCH = 6
pytestmark = pytest.mark.usefixtures("seed")


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.flat, self.fc = nn.Flatten(), nn.Linear(4 * 36, 5)

    def forward(self, x):
        return self.fc(self.flat(self.act(self.norm(self.conv(x)))))


class Block(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        y = self.norm(x)
        return self.fc(x + self.attn(y, y, y)[0])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(8, 10, bias=False)

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def backward(model, *inputs):
    output = model(*inputs)
    output.square().mean().backward()
    return output


def array(tensor):
    return tensor.detach().numpy()


def test_a_conv_net_in_a_log(tmp_path):
    model, path = ConvNet(), tmp_path / "run.zarr"
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    gradients, inputs = [], []
    with covdist.Recorder(path) as rec, record.watch(model, rec) as watch:
        for step in range(3):
            optimizer.zero_grad()
            inputs.append(torch.randn(BATCH, 3, 8, 8))
            backward(model, inputs[-1])
            optimizer.step()
            gradients.append(torch.cat([model.conv.weight.grad.flatten(), model.conv.bias.grad]).numpy().copy())
            watch.step(epoch=step // 2)
    log = covdist.open_log(path)
    assert log["conv/activation"].dims == ("sample", "unit")
    assert log["conv/activation"].shape == (3 * BATCH * 36, 4)
    assert log["conv/gradient"].dims == ("step", "param")
    assert np.array_equal(log["conv/gradient"], gradients)
    assert np.array_equal(log["conv/input"], torch.cat(inputs).movedim(1, -1).reshape(-1, 3))
    assert log["fc/activation"].shape == (3 * BATCH, 5)
    assert log["conv/epoch"].values.tolist() == [0, 0, 1]
    assert float(log["act/input"].min()) < 0 <= float(log["act/activation"].min())
    assert np.array_equal(log["act/input"], log["norm/activation"])
    health = covdist.health(log).compute()
    assert "conv" in health["layer"].values


def test_a_transformer(log):
    model = Transformer()
    tokens = torch.randint(10, (BATCH, 7))
    with record.watch(model, log, ("activation", "input", "output_gradient", "gradient")) as watch:
        output = backward(model, tokens)
        watch.step(7)
    ((step, found, _),) = log.steps
    assert step == 7
    assert np.array_equal(found["head/activation"], array(output).reshape(-1, 10))
    assert np.array_equal(found["embed/input"], tokens.reshape(-1, 1).numpy())
    attention, attn = model.blocks[1], "blocks/1/attn"
    assert np.array_equal(found[f"{attn}/input"], found["blocks/1/norm/activation"])
    own = [attention.attn.in_proj_weight, attention.attn.in_proj_bias]
    assert np.array_equal(found[f"{attn}/gradient"][0], np.concatenate([array(p.grad).ravel() for p in own]))
    assert f"{attn}/out_proj/gradient" in found
    # The gradient by a layer's output, times its input, is that by its weights.
    weights = found["head/output_gradient"].T @ found["head/input"]
    assert np.allclose(weights.ravel(), found["head/gradient"][0], rtol=1e-5, atol=1e-8)


def test_factors_of_kfac_from_a_log(tmp_path):
    model, path = nn.Sequential(nn.Linear(3, 2)), tmp_path / "run.zarr"
    with covdist.Recorder(path) as rec, record.watch(model, rec, ("input", "output_gradient")) as watch:
        for _ in range(5):
            model(torch.randn(BATCH, 3)).square().sum().backward()
            watch.step()
    node = covdist.open_log(path)["0"]
    moments = [covdist.moments(node[each], dim=node[each].dims[0]) for each in ("input", "output_gradient")]
    assert covdist.kfac(*moments)["input_factor"].shape == (4, 4)


def test_copies_that_wait_for_the_recorder_are_not_overwritten(tmp_path, monkeypatch):
    gate = threading.Event()

    def slow(rows):
        assert gate.wait(200)
        copy_all(rows)

    monkeypatch.setattr("covdist.record.writer.copy_all", slow)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 16, 3))
    optimizer, found = torch.optim.SGD(model.parameters(), 0.1), []
    with covdist.Recorder(tmp_path / "log") as rec, record.watch(model, rec) as watch:
        for _ in range(4):
            optimizer.zero_grad()
            x = torch.randn(8, 3, 32, 32)
            outputs = [model[0](x).detach(), model(x).detach()]
            watch.discard()
            backward(model, x)
            watch.step()
            found.append([rows.movedim(1, -1).flatten(0, -2).numpy().copy() for rows in (x, *outputs)])
            optimizer.step()
        gate.set()
    log = covdist.open_log(tmp_path / "log")
    for name, rows in zip(("0/input", "0/activation", "2/activation"), zip(*found, strict=True), strict=True):
        assert np.array_equal(log[name], np.concatenate(rows))
    assert np.array_equal(log["1/activation"], log["0/activation"].clip(0))
    assert np.array_equal(log["2/input"], log["1/activation"])


class Forgetting:
    """A recorder that is done with all when it returns."""

    def log(self, step, arrays):
        pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_used_again(monkeypatch, dtype):
    made, new = [], copies._Memory.__init__

    def counted(memory, *given):
        made.append(memory)
        new(memory, *given)

    monkeypatch.setattr(copies._Memory, "__init__", counted)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7200, 2)).to(dtype)
    with record.watch(model, Forgetting(), layers=("0", "2")) as watch:
        for _ in range(4):
            backward(model, torch.randn(8, 3, 32, 32, dtype=dtype))
            watch.step()
    assert len(made) == 6


class Several(nn.Module):
    """Calls one layer for each of its inputs."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, xs, fail=False):
        found = [self.conv(x) for x in xs]
        return found[0] / (1 // (not fail))


class Keeping:
    """A recorder that reads only in the end."""

    def __init__(self):
        self.kept = []

    def log(self, step, arrays):
        self.kept.append({name: [rows[:40], rows[40:]] if len(rows) > 100 else [rows] for name, rows in arrays.items()})


def test_what_a_recorder_keeps_is_not_overwritten():
    model, rec, expected = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(7200, 2)), Keeping(), []
    with record.watch(model, rec, what=("input", "activation")) as watch:
        for _ in range(4):
            x = torch.randn(8, 3, 32, 32)
            between = model[0](x).detach()
            watch.discard()
            expected.append([x, between, model(x).detach()])
            watch.step()
    for kept, tensors in zip(rec.kept, expected, strict=True):
        found = [np.concatenate(kept[name]) for name in ("0/input", "0/activation", "2/activation")]
        for rows, tensor in zip(found, tensors, strict=True):
            assert np.array_equal(rows, tensor.movedim(1, -1).flatten(0, -2).numpy())


def test_a_pass_that_is_tried_again_with_what_the_failed_one_was_given(log):
    model, x, other = Several(nn.Conv2d(3, 4, 3)), torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    with record.watch(model, log, what=("input",), layers="conv") as watch:
        with pytest.raises(ZeroDivisionError):
            model([x], fail=True)
        model([other, x])
        watch.step()
    assert np.array_equal(log["conv/input"][0], torch.cat([other, x]).movedim(1, -1).flatten(0, -2).numpy())


def test_the_recorders_thread_begins_between_a_pass_and_the_one_backward(tmp_path, monkeypatch):
    events, begin, defer = [], covdist.Recorder.begin, covdist.Recorder.defer
    monkeypatch.setattr(covdist.Recorder, "begin", lambda self, after: events.append("begin") or begin(self, after))
    monkeypatch.setattr(covdist.Recorder, "defer", lambda self, most: events.append(most > 0) or defer(self, most))
    model = nn.Linear(3, 2)
    with covdist.Recorder(tmp_path / "log") as rec:
        with record.watch(model, rec) as watch:
            for _ in range(2):
                output = model(torch.randn(4, 3))
                output.register_hook(lambda gradient: events.append("backward"))
                output.sum().backward()
                watch.step()
        assert events == [True, *["begin", "backward"] * 2, False]


def test_steps_count_on_and_every_kth_is_recorded(log):
    model = nn.Linear(3, 2)
    with record.watch(model, log, start=10, every=2) as watch:
        for _ in range(5):
            backward(model, torch.randn(BATCH, 3))
            watch.step(lr=0.1)
    assert [(step, coordinates) for step, _, coordinates in log.steps] == [(at, {"lr": 0.1}) for at in (10, 12, 14)]
    assert all(each.shape == (BATCH, 2) for each in log["activation"])


@pytest.mark.parametrize("times", [1, 3])
def test_a_module_that_is_called_again_has_the_rows_of_all_calls(log, times):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = self.again = nn.Linear(3, 3)

        def forward(self, x):
            for _ in range(times):
                x = self.again(x)
            return x

    model, x = Shared(), torch.randn(BATCH, 3)
    with record.watch(model, log) as watch:
        for _ in range(2):
            backward(model, x)
            watch.step()
    expected, y = [], x
    for _ in range(times):
        expected.append(y := model.fc(y))
    assert np.array_equal(log["fc/activation"][1], array(torch.cat(expected)))
    assert len(log["fc/gradient"]) == 2
    assert not log["again/activation"]


def test_changes_in_place_come_after_the_copy(log):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act = nn.Linear(3, 3), nn.Hardtanh(inplace=True)

        def forward(self, x):
            y = self.fc(x)
            y += x
            return self.act(y)

    model, x = Residual(), 3 * torch.randn(BATCH, 3)
    with record.watch(model, log, ("input", "activation")) as watch:
        backward(model, x)
        watch.step()
    sums = array(model.fc(x))
    assert np.array_equal(log["fc/activation"][0], sums)
    assert np.array_equal(log["act/input"][0], sums + array(x))
    assert np.array_equal(log["act/activation"][0], np.clip(sums + array(x), -1, 1))


def test_tuples_mappings_and_keywords(log):
    class Named(nn.Module):
        def forward(self, *, x):
            return {"scores": [x * 2], "other": None}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.named = nn.LSTM(3, 4, batch_first=True), Named()

        def forward(self, x):
            return self.named(x=self.lstm(x)[0])["scores"][0]

    model, x = Net(), torch.randn(BATCH, 5, 3)
    with record.watch(model, log) as watch:
        output = backward(model, x)
        watch.step()
    assert np.array_equal(log["lstm/activation"][0], array(output).reshape(-1, 4) / 2)
    assert np.array_equal(log["named/input"][0] * 2, log["named/activation"][0])
    assert log["lstm/gradient"][0].shape == (1, sum(p.numel() for p in model.lstm.parameters()))


def test_where_units_are(log):
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Dropout(0.0), nn.Conv1d(4, 2, 1))
    wide = nn.Sequential(nn.Linear(3, 4), nn.GELU())
    x, y = torch.randn(BATCH, 3, 9), torch.randn(BATCH, 5, 6, 3)
    for net, given in ((model, x), (wide, y), (nn.Conv2d(3, 4, 1), torch.randn(3, 5, 5))):
        with record.watch(net, log, ("activation",)) as watch:
            backward(net, given)
            watch.step()
    channels, last, alone = log.arrays
    assert {each.shape for name, each in channels.items() if name[0] in "012"} == {(BATCH * 7, 4)}
    assert np.array_equal(channels["1/activation"], np.maximum(channels["0/activation"], 0))
    assert {each.shape for each in last.values()} == {(BATCH * 30, 4)}
    assert alone["activation"].shape == (25, 4)


class WithLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.loss = nn.Linear(3, 2), nn.MSELoss()

    def forward(self, x):
        return self.loss(self.fc(x), x[:, :2])


@pytest.mark.parametrize("passes", [1, 2])
def test_a_number_is_one_row(tmp_path, passes):
    model, losses = WithLoss(), []
    with covdist.Recorder(tmp_path / "run.zarr") as rec, record.watch(model, rec, layers="loss") as watch:
        for _ in range(passes):
            losses.append(model(torch.randn(4, 3)))
            losses[-1].backward()
        watch.step()
    found = covdist.open_log(tmp_path / "run.zarr")["loss/activation"]
    assert np.array_equal(found.values, [[each.item()] for each in losses])


def test_rows_of_ones_own(log):
    model, x = nn.Conv2d(3, 4, 1), torch.randn(BATCH, 3, 5, 5)
    with record.watch(model, log, ("input", "activation"), rows=lambda node, tensor: tensor.mean((2, 3))) as watch:
        output = backward(model, x)
        watch.step()
    assert np.array_equal(log["activation"][0], array(output.mean((2, 3))))
    assert np.array_equal(log["input"][0], array(x.mean((2, 3))))


def test_frozen_parameters(log):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    model[1].bias.requires_grad_(False)
    with record.watch(model, log) as watch:
        backward(model, torch.randn(BATCH, 3))
        watch.step()
    assert not log["0/gradient"]
    assert np.array_equal(log["1/gradient"][0][0], [*array(model[1].weight.grad).ravel(), 0, 0])
    assert log["0/activation"]


def test_only_passes_of_training_count(log):
    model, x = nn.Sequential(nn.Linear(3, 2)), torch.randn(BATCH, 3)
    with record.watch(model, log) as watch:
        backward(model, x)
        with torch.no_grad():
            model(x)
        with torch.inference_mode():
            model(x)
        model.eval()
        model(x)
        model.train()
        watch.step()
    assert log["0/activation"][0].shape == (BATCH, 2)


def test_several_backward_passes(log):
    model, parts = nn.Linear(3, 2), torch.randn(2, BATCH, 3)
    with record.watch(model, log) as watch:
        for part in parts:
            backward(model, part)
        watch.step()
    other = copy.deepcopy(model)
    other.zero_grad()
    for part in parts:
        backward(other, part)
    assert np.array_equal(log["gradient"][0][0, :6], array(other.weight.grad).ravel())
    assert np.array_equal(log["input"][0], parts.reshape(-1, 3))


def test_a_pass_that_fails_leaves_nothing(log):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            x = self.fc(x)
            if len(x) == 1:
                raise MemoryError("too large")
            return x

    model, x = Fails(), torch.randn(BATCH, 3)
    with record.watch(model, log) as watch:
        backward(model, x)
        with pytest.raises(MemoryError):
            model(x[:1])
        try:
            raise MemoryError
        except MemoryError:
            backward(model, x[:2])
        watch.step()
        backward(model, x[:3])
        watch.discard()
        backward(model, x[:4])
        watch.step()
    assert [len(each) for each in log["fc/activation"]] == [BATCH + 2, 4]
    assert [len(each) for each in log["fc/input"]] == [BATCH + 2, 4]


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_checkpoints_run_again_is_recorded_once(log, reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Tanh())

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.second, self.first(x), use_reentrant=reentrant)

    import torch.utils.checkpoint

    model, x = Net(), torch.randn(BATCH, 3)
    with record.watch(model, log) as watch:
        backward(model, x)
        watch.step()
    assert np.array_equal(log["second/1/activation"][0], array(model(x)))
    assert len(log["second/0/input"][0]) == BATCH


def test_autocast_is_recorded_as_it_comes(log, tmp_path):
    model, x = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), torch.randn(BATCH, 3)
    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        for target in (log, rec):
            with record.watch(model, target, ("activation", "gradient")) as watch:
                model.zero_grad()
                with torch.autocast("cpu", torch.float16):
                    backward(model, x)
                watch.step()
    assert log["0/activation"][0].dtype == np.float16
    assert log["0/gradient"][0].dtype == np.float32
    assert np.array_equal(covdist.open_log(tmp_path / "run.zarr")["0/activation"], log["0/activation"][0])


def test_bfloat16(tmp_path):
    model, x = nn.Linear(3, 4).to(torch.bfloat16), torch.randn(BATCH, 3, dtype=torch.bfloat16)
    with covdist.Recorder(tmp_path / "run.zarr") as rec, record.watch(model, rec) as watch:
        output = backward(model, x)
        watch.step()
    found = covdist.open_log(tmp_path / "run.zarr")
    assert np.array_equal(found["activation"].astype(np.float32), output.detach().float())
    assert np.array_equal(found["gradient"][0, 12:].astype(np.float32), model.bias.grad.float())


@pytest.mark.parametrize("when", ["after backward", "after unscale_", "after step", "after update"])
@pytest.mark.parametrize("fused", [False, True])
def test_a_scaler_is_taken_out(log, when, fused):
    model, x = nn.Linear(3, 2), torch.randn(BATCH, 3)
    loss = model(x).square().mean()
    expected = [array(each).ravel() for each in torch.autograd.grad(loss, list(model.parameters()))]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    with record.watch(model, log, ("gradient",), scaler=scaler) as watch:
        actions = {
            "after backward": lambda: scaler.scale(model(x).square().mean()).backward(),
            "after unscale_": lambda: None if fused and "unscale_" not in when else scaler.unscale_(optimizer),
            "after step": lambda: scaler.step(optimizer),
            "after update": scaler.update,
        }
        for at, action in actions.items():
            action()
            if at == when:
                watch.step()
    assert np.allclose(log["gradient"][0][0], np.concatenate(expected), rtol=1e-6)
    assert "step" not in vars(scaler)
    assert "unscale_" not in vars(scaler)


def test_gradients_that_overflow_are_left_out(log):
    model, scaler = nn.Linear(3, 2), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    with record.watch(model, log, scaler=scaler) as watch:
        scaler.scale(1e9 * model(torch.ones(BATCH, 3)).sum()).backward()
        watch.step()
    assert log["activation"]
    assert not log["gradient"]


def test_sparse_gradients(log):
    model = nn.Embedding(5, 2, sparse=True)
    with record.watch(model, log) as watch:
        backward(model, torch.tensor([1, 1, 4]))
        watch.step()
    assert np.array_equal(log["gradient"][0][0], array(model.weight.grad.to_dense()).ravel())


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_gradients_however_they_lie(tmp_path, dtype):
    model = nn.Sequential(nn.Conv2d(3, 64, 5), nn.Linear(7, 300), nn.Linear(300, 300)).to(torch.double)
    model[1].half()
    model[2].bias.data = model[2].bias.data.float()
    expected, given = [], (model[0].weight, model[0].bias, *model[1].parameters(), *model[2].parameters())
    with covdist.Recorder(tmp_path / "run.zarr", dtype=dtype) as rec, record.watch(model, rec, ("gradient",)) as watch:
        for layout in (torch.channels_last, torch.contiguous_format):
            for each in given:
                each.grad = torch.randn(each.shape).to(each.dtype)
            model[0].weight.grad = model[0].weight.grad.contiguous(memory_format=layout)
            model[1].weight.grad = model[1].weight.grad.mT.contiguous().mT
            model[1].bias.grad = None
            watch.step()
            expected.append(
                [array(model[0].weight.grad).ravel(), array(model[1].weight.grad).ravel(), array(model[2].bias.grad)]
            )
    log = covdist.open_log(tmp_path / "run.zarr")
    for step, (conv, linear, bias) in enumerate(expected):
        found = [log[f"{layer}/gradient"].values[step] for layer in range(3)]
        assert np.array_equal(found[0][: len(conv)], conv.astype(dtype))
        assert np.array_equal(found[1], [*linear.astype(dtype), *[0] * 300])
        assert np.array_equal(found[2][-300:], bias.astype(dtype))


def test_tied_parameters_are_recorded_with_the_first(log):
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    model[1].weight = model[0].weight
    with record.watch(model, log) as watch:
        backward(model, torch.tensor([1, 2]))
        watch.step()
    assert len(log["0/gradient"]) == 1
    assert not log["1/gradient"]


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("*", {"fc", "blocks/0", "blocks/1", "blocks/2/0"}),
        ("blocks/*", {"blocks/0", "blocks/1", "blocks/2/0"}),
        (["fc", "blocks.2"], {"fc", "blocks/2"}),
    ],
)
def test_layers_by_names_and_patterns(log, layers, found):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)
            self.blocks = nn.Sequential(nn.Tanh(), nn.Linear(3, 3), nn.Sequential(nn.ReLU()))

        def forward(self, x):
            return self.blocks(self.fc(x))

    model = Net()
    with record.watch(model, log, ("activation",), layers) as watch:
        backward(model, torch.randn(BATCH, 3))
        watch.step()
    assert {name.removesuffix("/activation") for name in log.arrays[0]} == found


def test_nothing_is_left_on_the_model(log):
    model = ConvNet()
    watch = record.watch(model, log, ("input", "activation", "output_gradient"))
    twin, stored = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in (twin, stored):
        backward(other, torch.randn(BATCH, 3, 8, 8))
    with pytest.raises(covdist.CovdistError, match="no watched layer has run"):
        watch.step()
    watch.remove()
    watch.remove()
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    pickle.dumps(model)
    with pytest.raises(covdist.CovdistError, match="has been removed"):
        watch.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "fc9"}, "names no layer of Linear"),
        ({"layers": []}, "names no layer"),
        ({"what": ("activations",)}, "'activations' cannot be recorded"),
        ({"what": ()}, "records nothing"),
        ({"every": 0}, "every must be a whole number from 1"),
    ],
)
def test_wrong_options(log, options, message):
    model = nn.Linear(3, 2)
    with pytest.raises(covdist.CovdistError, match=message):
        record.watch(model, log, **options)
    assert not model._forward_hooks


def test_steps_without_gradients_are_refused(log):
    model = nn.Linear(3, 2)
    with record.watch(model, log) as watch:
        backward(model, torch.randn(BATCH, 3))
        model.zero_grad()
        with pytest.raises(covdist.CovdistError, match="before zero_grad"):
            watch.step()
        backward(model, torch.randn(2, 3))
        watch.step()
    assert [len(each) for each in log["activation"]] == [2]


def test_transforms_are_not_recorded(log):
    model = nn.Linear(3, 2)
    with record.watch(model, log) as watch:
        backward(model, x := torch.randn(BATCH, 3))
        found = record.per_sample_gradients(model, nn.functional.mse_loss, x, torch.zeros(BATCH, 2))
        watch.step()
    assert len(log["activation"][0]) == BATCH
    assert found["sample_gradient"].shape == (BATCH, 8)


@pytest.mark.filterwarnings("ignore")  # those of torch on itself while it compiles
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models(log, backend):
    model = ConvNet()
    compiled = torch.compile(model, backend=backend)
    with record.watch(compiled, log, ("input", "activation", "output_gradient", "gradient")) as watch:
        for _ in range(2):
            output = backward(compiled, torch.randn(BATCH, 3, 8, 8))
            watch.step()
    assert np.array_equal(log["fc/activation"][1], array(output))
    assert np.allclose(log["fc/output_gradient"][1], 2 * array(output) / output.numel())
    assert np.array_equal(log["conv/gradient"][1][0, -4:], array(model.conv.bias.grad))
    assert np.array_equal(log["act/activation"][1], log["act/input"][1].clip(0))
    assert len(log["conv/activation"]) == len(log["conv/gradient"]) == 2


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles with g++, which is not here")
@pytest.mark.filterwarnings("ignore")  # those of torch on itself while it compiles
def test_models_compiled_by_inductor(log):
    model = nn.Sequential(nn.Linear(3, 2))
    compiled = torch.compile(model)
    with record.watch(compiled, log) as watch:
        output = backward(compiled, x := torch.randn(BATCH, 3))
        watch.step()
    assert np.array_equal(log["0/input"][0], array(x))
    assert np.array_equal(log["0/activation"][0], array(output))
    assert np.array_equal(log["0/gradient"][0][0, 6:], array(model[0].bias.grad))


def test_hooks_that_a_compiled_model_passes_by_are_noticed(log):
    model = nn.Sequential(nn.Linear(3, 2))
    compiled = torch.compile(model, backend="eager")
    backward(compiled, x := torch.randn(BATCH, 3))
    with record.watch(compiled, log, ("activation",)) as watch:
        backward(compiled, x)
        with pytest.raises(covdist.CovdistError, match=r"before torch\.compile"):
            watch.step()

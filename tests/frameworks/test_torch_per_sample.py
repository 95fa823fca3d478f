"""Gradients of single samples are those that autograd gives, one sample at a time."""

from __future__ import annotations

import numpy as np
import pytest

import covdist

torch = pytest.importorskip("torch", reason="gradients of single samples need torch, in an environment of its own")

import covdist.record.torch as record  # noqa: E402

nn = torch.nn
CROSS_ENTROPY = nn.functional.cross_entropy


def alone(model, loss, x, y):
    """Return a row a sample, of all parameters."""
    rows = []
    for sample, target in zip(x, y, strict=True):
        model.zero_grad()
        loss(model(sample[None]), target[None]).backward()
        rows.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    return torch.stack(rows)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_a_conv_net(chunk_size):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 9, 5)
    ).eval()
    model[4].bias.requires_grad_(False)
    x, y = torch.randn(5, 3, 5, 5), torch.randint(5, (5,))
    found = record.per_sample_gradients(model, CROSS_ENTROPY, x, y, chunk_size=chunk_size)
    assert list(found) == ["0/sample_gradient", "1/sample_gradient", "4/sample_gradient"]
    assert torch.allclose(torch.cat(list(found.values()), 1), alone(model, CROSS_ENTROPY, x, y), atol=1e-6)


def test_a_log_of_them_has_the_noise_of_each_step(tmp_path):
    torch.manual_seed(0)
    model, x, y = nn.Linear(3, 2), torch.randn(2, 40, 3), torch.randint(2, (2, 40))
    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        for step in range(2):
            rec.log(step, record.per_sample_gradients(model, CROSS_ENTROPY, x[step], y[step]))
    log = covdist.open_log(tmp_path / "run.zarr")
    gradient = log["sample_gradient"]
    assert gradient.dims[0] == "sample"
    mean = covdist.moments(gradient, dim="sample", by="sample_step").mean().compute()
    for step in range(2):
        model.zero_grad()
        CROSS_ENTROPY(model(x[step]), y[step]).backward()
        batch = torch.cat([model.weight.grad.flatten(), model.bias.grad])
        assert np.allclose(mean[step], batch, atol=1e-6)


def test_several_arguments():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 1)

        def forward(self, a, b):
            return self.fc(a * b)

    model, a, b, y = Both(), torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 1)
    by_place = record.per_sample_gradients(model, nn.functional.mse_loss, (a, b), y)
    by_name = record.per_sample_gradients(model, nn.functional.mse_loss, {"a": a, "b": b}, y, "fc")
    expected = 2 * (model(a, b) - y) * torch.cat([a * b, torch.ones(4, 1)], 1)
    for found in (by_place, by_name):
        assert torch.allclose(found["fc/sample_gradient"], expected, atol=1e-6)


def test_batch_norms_in_training_and_losses_of_no_one_number_are_refused():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with pytest.raises(covdist.CovdistError, match=r"1 is a BatchNorm1d in training mode.*model.eval\(\)"):
        record.per_sample_gradients(model, CROSS_ENTROPY, torch.randn(4, 3), torch.zeros(4, dtype=int))
    with pytest.raises(covdist.CovdistError, match=r"shape \(1, 2\), expected a scalar"):
        record.per_sample_gradients(model.eval(), lambda output, target: output, torch.randn(4, 3), torch.zeros(4))

"""Hooks round floats as the recorder would, and lose nothing unsaid."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")

import covdist.record.torch as record  # noqa: E402

nn = torch.nn
WIDE = 64  # channels of 16 x 16 positions, of which 4 samples have more bytes than are copied at once


def passed(model, rec, x, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """Record one step, and return the output and the gradient of the weights."""
    with record.watch(model, rec, **options) as watch:
        (found := model(x)).sum().backward()
        watch.step()
    return found.detach(), next(model.parameters()).grad


def rows_of(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().movedim(1, -1).flatten(0, -2).numpy()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_are_rounded_as_torch_rounds_them(tmp_path, dtype, given):
    torch.manual_seed(0)
    model, x = nn.Conv2d(3, WIDE, 1).to(given), torch.randn(4, 3, 16, 16, dtype=given)
    with covdist.Recorder(tmp_path / "run.zarr", dtype=dtype) as rec, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that become 0
        out, gradient = passed(model, rec, x)
    found = covdist.open_log(tmp_path / "run.zarr")
    to = getattr(torch, dtype)
    exact = torch.float32 if given is torch.bfloat16 else given
    assert np.array_equal(found["activation"].values.astype(np.float32), rows_of(out.to(exact).to(to)))
    assert np.array_equal(found["input"].values.astype(np.float32), rows_of(x.to(exact).to(to)))
    weights = found["gradient"].values[0, : gradient.numel()].astype(np.float32)
    assert np.array_equal(weights, gradient.to(exact).to(to).float().flatten().numpy())
    assert found["activation"].dtype.name in (dtype, "float32")


def test_bfloat16_becomes_float32_exactly(tmp_path):
    model, x = nn.Conv2d(3, WIDE, 1).to(torch.bfloat16), torch.randn(4, 3, 16, 16, dtype=torch.bfloat16)
    with covdist.Recorder(tmp_path / "run.zarr") as rec:
        out, _ = passed(model, rec, x)
    found = covdist.open_log(tmp_path / "run.zarr")["activation"]
    assert found.dtype == np.float32
    assert np.array_equal(found.values, rows_of(out))


class Several(nn.Module):
    def __init__(self, times: int):
        super().__init__()
        self.conv, self.times = nn.Conv2d(WIDE, WIDE, 1), times

    def forward(self, x):
        return sum(self.conv(x.clone()) for _ in range(self.times))


@pytest.mark.parametrize("times", [1, 2])
def test_what_a_dtype_cannot_hold_is_refused(tmp_path, times):
    model, options = Several(times), {"what": ("input",), "layers": "conv"}
    x = torch.randn(4, WIDE, 16, 16)
    x[1, 2, 3, 4], x[3, 2, 1, 0] = 65520, -1e6
    message = rf"conv/input has {2 * times} values that float16 cannot hold, of magnitudes up to 1e\+06"
    with covdist.Recorder(tmp_path / "run.zarr", dtype={"*/input": "float16"}) as rec:
        with pytest.raises(DataError, match=message):
            passed(model, rec, x, **options)
        x[1, 2, 3, 4], x[3, 2, 1, 0] = 65519, torch.inf
        passed(model, rec, x, **options)
    found = covdist.open_log(tmp_path / "run.zarr")["conv/input"]
    assert np.array_equal(found.values, np.concatenate([rows_of(x).astype(np.float16)] * times))


def test_values_that_become_0_are_said_once(tmp_path):
    model, x = nn.Conv2d(WIDE, WIDE, 1), torch.ones(4, WIDE, 16, 16)
    x[0, 0, 0, :3] = 1e-9
    with covdist.Recorder(tmp_path / "run.zarr", dtype={"input": "float16"}) as rec:
        with pytest.warns(UserWarning, match=f"input has 3 values of {x.numel()} that are too small for float16"):
            passed(model, rec, x, what=("input",))
        passed(model, rec, x, what=("input",))
    assert (covdist.open_log(tmp_path / "run.zarr")["input"].values == 0).sum() == 6


def test_one_tensor_in_two_dtypes(tmp_path):
    model, x = nn.Sequential(nn.Tanh(), nn.Conv2d(WIDE, 2, 1)), torch.randn(4, WIDE, 16, 16)
    with covdist.Recorder(tmp_path / "run.zarr", dtype={"1/input": "float16"}, units={"0/input": 3}) as rec:
        passed(model, rec, x, what=("input", "activation"))
    found = covdist.open_log(tmp_path / "run.zarr")
    expected = rows_of(x.tanh())
    assert np.array_equal(found["0/activation"].values, expected)
    assert np.array_equal(found["1/input"].values, expected.astype(np.float16))
    assert found["0/input"].shape == (len(expected), 3)

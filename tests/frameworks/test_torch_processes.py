"""Two processes that train one model with DistributedDataParallel record into one log."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import numpy as np
import pytest

import covdist
from tests.child import child

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")

STEPS, BATCH = 4, 6
TRAIN = """
import sys
import torch
from torch import nn
import covdist
import covdist.record.torch as record

path, rank, meeting = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
torch.manual_seed(rank)
with covdist.Recorder(path, rank=record.rank()) as rec, record.watch(model, rec) as watch:
    for step in range(4):
        optimizer.zero_grad()
        model(torch.randn(6, 3)).square().sum().backward()
        watch.step(epoch=step // 2)
        optimizer.step()
torch.distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_each_process_records_its_samples_and_the_gradient_of_all(tmp_path):
    path = str(tmp_path / "run.zarr")
    with ExitStack() as stack:
        commands = [[sys.executable, "-c", TRAIN, path, str(rank), tmp_path / "meeting"] for rank in range(2)]
        processes = [stack.enter_context(child(command)) for command in commands]
        assert [process.wait(250) for process in processes] == [0, 0]
    log = covdist.open_log(path)
    for rank in range(2):
        torch.manual_seed(rank)
        rows = np.concatenate([torch.randn(BATCH, 3).numpy() for _ in range(STEPS)])
        assert np.array_equal(log["0/input"].values[log["0/sample_rank"].values == rank], rows)
    inputs = log["2/input"].values.reshape(2, STEPS, BATCH, 4)
    outputs = log["2/activation"].values.reshape(2, STEPS, BATCH, 2)
    gradients = log["2/gradient"].values.reshape(2, STEPS, -1)
    assert np.array_equal(gradients[0], gradients[1])
    # Of a sum of squares: that by the weights is twice outputs times inputs, the mean over both processes.
    weights = 2 * np.einsum("rsbo,rsbi->soi", outputs, inputs) / 2
    assert np.allclose(gradients[0, :, :8], weights.reshape(STEPS, -1), rtol=1e-4, atol=1e-6)
    assert log["0/step"].values.tolist() == [*range(STEPS)] * 2
    assert log["0/epoch"].values.tolist() == [0, 0, 1, 1] * 2

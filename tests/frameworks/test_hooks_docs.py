"""The examples of docs/using/hooks.md run as they stand, and leave the logs that they say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import covdist

PAGE = Path(__file__).parents[2] / "docs" / "using" / "hooks.md"
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {
    "torch": ["torch"], "JAX": ["jax", "flax"], "Lightning": ["torch", "lightning"],
    "Hugging Face": ["torch", "transformers", "accelerate"],
}  # fmt: skip


def blocks(section):
    text = PAGE.read_text()
    (body,) = (found[2] for found in SECTION.finditer(text) if found[1] == section)
    return BLOCK.findall(body)


@pytest.fixture
def ran(request, tmp_path, monkeypatch):
    for package in NEEDS[request.param]:
        pytest.importorskip(package, reason=f"this example needs {package}, which has an environment of its own")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"covdist": covdist}
    if "torch" in NEEDS[request.param]:
        exec("import torch; from torch import nn", namespace)  # as the page has from its first section on
    for block in blocks(request.param):
        exec(compile(block, PAGE, "exec"), namespace)
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # those of the frameworks on each other
@pytest.mark.parametrize(
    ("ran", "log", "shapes"),
    [
        ("torch", "torch.zarr", {"0/gradient": (20, 40), "1/input": (640, 8), "2/activation": (640, 3)}),
        ("torch", "samples.zarr", {"2/sample_gradient": (32, 27)}),
        ("JAX", "jax.zarr", {"layers_0/gradient": (3, 15), "layers_0/activation": (96, 3)}),
        ("Lightning", "lightning.zarr", {"net/0/gradient": (8, 40), "net/2/activation": (128, 3)}),
        ("Hugging Face", "transformers.zarr", {"transformer/h/1/mlp/c_fc/activation": (256, 64)}),
    ],
    indirect=["ran"],
)
def test_the_examples_run(ran, log, shapes):
    found = covdist.open_log(ran / log)
    assert {name: found[name].shape for name in shapes} == shapes
    assert all(np.isfinite(found[name]).all() for name in shapes)


def test_every_section_is_tried():
    assert [found[1] for found in SECTION.finditer(PAGE.read_text())] == list(NEEDS)

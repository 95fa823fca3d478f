"""Files of torch.save: what covdist reads of them without torch is what torch.load reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import LogError
from covdist.logs.files.torch import variables

torch = pytest.importorskip("torch")
TYPES = ("float32", "bfloat16", "float8_e5m2", "int64", "bool", "complex64", "uint16", "float16")


@st.composite
def tensors(draw):
    base = torch.arange(60, dtype=torch.float32).reshape(5, 4, 3).to(getattr(torch, draw(st.sampled_from(TYPES))))
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.sampled_from(["transpose", "rows", "columns", "expand", "parameter"]))
        if step == "transpose" and base.dim() > 1:
            base = base.transpose(0, base.dim() - 1)
        elif step == "rows" and base.dim() and len(base):
            base = base[draw(st.integers(0, len(base) - 1)) :: draw(st.integers(1, 3))]
        elif step == "columns" and base.dim() > 1 and base.shape[1]:
            base = base[:, draw(st.integers(0, base.shape[1] - 1))]
        elif step == "expand" and base.dim() < 3:
            base = base.expand(2, *base.shape)
        elif step == "parameter" and base.dtype == torch.float32:
            base = torch.nn.Parameter(base)
    return base


@given(st.dictionaries(st.sampled_from(["fc1.weight", "fc2.weight", "loss", "a/b"]), st.one_of(
    tensors(), st.lists(tensors(), max_size=2), st.integers(), st.none(), st.text(),
), min_size=1))  # fmt: skip
def test_what_torch_loads(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("torch") / "x.pt"
    torch.save(value, path)
    expected = {}
    for name, each in torch.load(path).items():
        name = name if "/" in name or isinstance(each, list) else name.replace(".", "/")
        for key, one in enumerate(each) if isinstance(each, list) else [("", each)]:
            if isinstance(one, torch.Tensor):
                expected[f"{name}/{key}".rstrip("/")] = one.detach()
    found = variables(str(path), "x", "")
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        source = found[name].source
        read = source[tuple(slice(0, size) for size in source.shape)]
        plain = one.float() if one.dtype in (torch.bfloat16, torch.float8_e5m2) else one
        np.testing.assert_array_equal(read, plain.numpy())


def test_what_torch_refuses_too(tmp_path):
    for number, value in enumerate([torch.nn.Linear(2, 3), {1.5: torch.ones(2)}, torch.ones(2).to_sparse()]):
        torch.save(value, tmp_path / f"{number}.pt")
        with pytest.raises(LogError, match="which covdist never loads"):
            variables(str(tmp_path / f"{number}.pt"), "x", "")

"""What torch is doing while a module runs, which it says by private functions only."""

from __future__ import annotations

import torch


def in_backward() -> bool:
    """Return whether a backward pass runs the module again, as checkpointing of activations does."""
    return bool(torch._C._current_graph_task_id() != -1)


def in_transform() -> bool:
    """Return whether the module is run by a transform of ``torch.func``, whose tensors hold no plain values."""
    return torch._C._functorch.peek_interpreter_stack() is not None

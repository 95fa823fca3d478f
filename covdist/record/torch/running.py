"""What is going on while a module runs, which torch says by private functions only."""

from __future__ import annotations

import sys
from types import FrameType

import torch


def depth() -> int:
    """Return how many calls of Python are going on in this thread."""
    number = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        number, frame = number + 1, frame.f_back
    return number


def in_backward() -> bool:
    """Return whether a backward pass runs the module again, as checkpointing of activations does."""
    return bool(torch._C._current_graph_task_id() != -1)


def in_transform() -> bool:
    """Return whether the module is run by a transform of ``torch.func``, whose tensors hold no plain values."""
    return torch._C._functorch.peek_interpreter_stack() is not None

"""Where the units of a module are in its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_HOME = "torch.nn.modules."
_FIRST = {"conv", "batchnorm", "instancenorm", "pooling", "pixelshuffle", "upsampling"}  # files of modules (N, C, ...)
_LAST = {"linear", "sparse", "rnn", "transformer"}  # (..., units)
_NAMES = {"GroupNorm": True, "LayerNorm": False, "RMSNorm": False, "MultiheadAttention": False}


def channels_first(module: torch.nn.Module) -> bool | None:
    """Return whether a module's units are on the second axis of its tensors; None where its class does not tell."""
    for base in type(module).__mro__:
        home, _, file = base.__module__.rpartition(".")
        if f"{home}." == _HOME and base.__name__ in _NAMES:
            return _NAMES[base.__name__]
        if f"{home}." == _HOME and file in _FIRST | _LAST:
            return file in _FIRST
    return None


def units_last(module: torch.nn.Module, tensor: torch.Tensor, first: bool) -> torch.Tensor:
    """Return a view with the units on the last axis: channels, features, or one where there are only whole numbers."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.ndim < 2:
        return tensor.unsqueeze(-1)
    if not first:
        return tensor
    spatial = getattr(module, "kernel_size", None) if hasattr(module, "weight") else None
    batched = not isinstance(spatial, tuple) or tensor.ndim != len(spatial) + 1
    return tensor.movedim(1 if batched else 0, -1)

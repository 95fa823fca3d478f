"""Where the units of a module are in its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SECOND = -1  # in the place of a number of axes after the units: all but the first two
_HOME = "torch.nn.modules."
_AFTER = {  # by file of modules; None: the class is named after it, as Conv2d
    "conv": None, "pooling": None, "instancenorm": None, "pixelshuffle": 2, "batchnorm": SECOND, "upsampling": SECOND,
    "linear": 0, "sparse": 0, "rnn": 0, "transformer": 0,
}  # fmt: skip
_NAMES = {"GroupNorm": SECOND, "LayerNorm": 0, "RMSNorm": 0, "MultiheadAttention": 0}


def axes_after_units(module: torch.nn.Module) -> int | None:
    """Return how many axes of a module's tensors come after its units; None where its class does not tell."""
    for base in type(module).__mro__:
        home, _, file = base.__module__.rpartition(".")
        if f"{home}." == _HOME and base.__name__ in _NAMES:
            return _NAMES[base.__name__]
        if f"{home}." == _HOME and file in _AFTER:
            after = _AFTER[file]
            return _said(base.__name__) if after is None else after
    return None


def _said(name: str) -> int:
    return int(name[-2]) if name[-2:] in ("1d", "2d", "3d") else SECOND


def units_axis(tensor: torch.Tensor, after: int) -> int:
    """Return the axis of the units, from the last, -1, on; 0 where there are only whole numbers, or a single one."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return 0
    return min(0, 1 - tensor.ndim) if after == SECOND or after >= tensor.ndim else -1 - after


def units_last(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """Return a view with the units on the last axis: channels, features, or one."""
    if not axis:
        return tensor.unsqueeze(-1)
    return tensor if axis == -1 else tensor.movedim(axis, -1)

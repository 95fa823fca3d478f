"""From a module's input or output to rows of units."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

    from covdist.record.torch.copies import Copy

_HOME = "torch.nn.modules."
_FIRST = {"conv", "batchnorm", "instancenorm", "pooling", "pixelshuffle", "upsampling"}  # files of modules (N, C, ...)
_LAST = {"linear", "sparse", "rnn", "transformer"}  # (..., units)
_NAMES = {"GroupNorm": True, "LayerNorm": False, "RMSNorm": False, "MultiheadAttention": False}
_WHOLE = 4  # axes from which on a tensor of another module is taken for (N, C, ...)


def first_tensor(value: Any) -> torch.Tensor | None:
    """Return the first tensor in what a module takes or returns: tuples, lists, mappings, in any depth."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    parts: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | tuple | list):
        return next((found for each in parts if (found := first_tensor(each)) is not None), None)
    return None


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


class Seen:
    """Tensors that have passed in this step: where their units are, and the copy that there is of them."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[weakref.ref[torch.Tensor], bool]] = {}
        self._copies: dict[int, tuple[int, np.dtype | None, Copy]] = {}  # with the version, and the dtype it was to get

    def first(self, tensor: torch.Tensor, told: bool | None, given: Any) -> bool:
        """Return whether the units are on the second axis: by the module, what it was given, or the number of axes."""
        if told is None:
            told = self._known(tensor)
        if told is None and (before := first_tensor(given)) is not None and before.ndim == tensor.ndim:
            told = self._known(before)
        if told is None:
            told = tensor.ndim >= _WHOLE
        if self._known(tensor) != told:
            self._first[id(tensor)] = weakref.ref(tensor), told
            self._copies.pop(id(tensor), None)
        return told

    def copy_of(self, tensor: torch.Tensor, dtype: np.dtype | None) -> Copy | None:
        """Return the copy of a tensor that nothing has changed since, if it was to get the same dtype."""
        at, to, copy = self._copies.get(id(tensor), (None, None, None))
        return copy if at == version(tensor) and to == dtype else None

    def add(self, tensor: torch.Tensor, copy: Copy, dtype: np.dtype | None) -> None:
        """Take the copy of a tensor whose units have been asked for."""
        self._copies[id(tensor)] = version(tensor), dtype, copy

    def clear(self) -> None:
        self._first.clear()
        self._copies.clear()

    def _known(self, tensor: torch.Tensor) -> bool | None:
        known = self._first.get(id(tensor))
        return known[1] if known and known[0]() is tensor else None


def version(tensor: torch.Tensor) -> int:
    """Return how often a tensor has been changed in place."""
    return -1 if tensor.is_inference() else tensor._version

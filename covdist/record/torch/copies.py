"""``Copies``: what an array of the log has in one step, in memory of the CPU that the next step uses again."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class Copies:
    """Tensors, copied one after the other; each may be changed in place as soon as it has been added."""

    def __init__(self) -> None:
        self._memory: list[torch.Tensor | None] = []
        self._parts: list[torch.Tensor] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy a tensor, without its graph; one on a device is there only when that has been waited for."""
        memory = self._next(tensor.shape, tensor.dtype, tensor.device)
        memory.copy_(tensor.detach(), non_blocking=True)
        return memory

    def add_joined(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """Copy flat tensors as one row."""
        import torch

        size = sum(part.numel() for part in parts)
        dtype = reduce(torch.promote_types, (part.dtype for part in parts))
        memory = self._next(torch.Size((1, size)), dtype, parts[0].device)
        for view, part in zip(memory[0].split([part.numel() for part in parts]), parts, strict=True):
            view.copy_(part, non_blocking=True)
        return memory

    def refer(self, copy: torch.Tensor) -> None:
        """Take what another array has copied in this step already."""
        self._parts.append(copy)

    def cut(self, number: int) -> None:
        """Forget all after the first ``number`` tensors."""
        del self._parts[number:]

    def _next(self, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return memory for the next tensor: that of the step before, if it fits."""
        import torch

        number = len(self._parts)
        self._memory += [None] * (number + 1 - len(self._memory))
        memory = self._memory[number]
        if memory is None or memory.shape != shape or memory.dtype != dtype:
            memory = self._memory[number] = torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")
        self._parts.append(memory)
        return memory

    def rows(self) -> Any:
        """Return all as one array with the units on its last axis, which holds until more is added."""
        import torch

        flat = [part.flatten(0, -2) for part in self._parts]
        return as_logged(flat[0] if len(flat) == 1 else torch.cat(flat))


def as_logged(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return a tensor of the CPU as an array that shares its memory, or itself where NumPy lacks its dtype."""
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return tensor

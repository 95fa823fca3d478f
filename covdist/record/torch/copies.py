"""``Copies``: what an array of the log has in one step, in memory of the CPU that later steps use again."""

from __future__ import annotations

import weakref
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from covdist.record.lent import LEAST, Given, Lent

if TYPE_CHECKING:
    import torch


class Copy:
    """A tensor in memory of the CPU, which is used again when nothing holds the array that shares it."""

    def __init__(self, tensor: torch.Tensor, array: np.ndarray | None):
        self.tensor, self._array = tensor, array

    def rows(self) -> Given | torch.Tensor:
        """Return it with the units on its last axis; as itself where NumPy lacks its dtype."""
        if self._array is not None and self._array.nbytes >= LEAST and self._array.ndim > 1:
            return Lent(self._array)
        return as_logged(self.tensor.flatten(0, -2))


class Copies:
    """Tensors, copied one after the other; each may be changed in place as soon as it has been added."""

    def __init__(self) -> None:
        self._memory: list[list[_Memory]] = []  # for the first tensor, the second, ...
        self._parts: list[Copy] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, tensor: torch.Tensor) -> Copy:
        """Copy a tensor as it lies, without its graph; one on a device is there only when that has been waited for."""
        tensor = tensor.detach()
        copy = self._next(tensor, tensor.device)
        copy.tensor.copy_(tensor, non_blocking=True)
        return copy

    def add_joined(self, parts: list[torch.Tensor]) -> Copy:
        """Copy flat tensors as one row."""
        import torch

        sizes = [part.numel() for part in parts]
        dtype = reduce(torch.promote_types, (part.dtype for part in parts))
        copy = self._next(torch.empty((1, sum(sizes)), dtype=dtype, device="meta"), parts[0].device)
        if {part.device for part in parts} == {copy.tensor.device}:
            torch.cat(parts, out=copy.tensor[0])  # one copy after the other takes 1.2 to 1.5 times as long
        else:
            for view, part in zip(copy.tensor[0].split(sizes), parts, strict=True):
                view.copy_(part, non_blocking=True)
        return copy

    def refer(self, copy: Copy) -> None:
        """Take what another array has copied in this step already."""
        self._parts.append(copy)

    def cut(self, number: int) -> None:
        """Forget all after the first ``number`` tensors."""
        del self._parts[number:]

    def _next(self, like: torch.Tensor, device: torch.device) -> Copy:
        """Return memory for the next tensor: that of an earlier step, if it fits and is free."""
        number = len(self._parts)
        self._memory += [[] for _ in range(number + 1 - len(self._memory))]
        self._memory[number] = kept = [memory for memory in self._memory[number] if memory.fits(like)]
        memory = next((memory for memory in kept if memory.is_free()), None)
        if memory is None:
            kept.append(memory := _Memory(like, device))
        self._parts.append(copy := memory.take())
        return copy

    def rows(self) -> Any:
        """Return all as one array with the units on its last axis, which holds until more is added."""
        import torch

        if len(self._parts) == 1:
            return self._parts[0].rows()
        return as_logged(torch.cat([part.tensor.flatten(0, -2) for part in self._parts]))


class _Memory:
    """Memory of one tensor, as which it lies: to bring its units together takes six times as long as to copy it."""

    def __init__(self, like: torch.Tensor, device: torch.device):
        import torch

        self._form = _form(like)
        self._tensor = torch.empty_like(like, device="cpu", pin_memory=device.type == "cuda")
        self._taken: weakref.ref[np.ndarray] | None = None

    def fits(self, tensor: torch.Tensor) -> bool:
        return self._form == _form(tensor)

    def is_free(self) -> bool:
        """Return whether neither a step nor the recorder holds it; of a dtype that NumPy lacks, no recorder does."""
        return self._taken is None or self._taken() is None

    def take(self) -> Copy:
        if not isinstance(array := as_logged(self._tensor), np.ndarray):
            return Copy(self._tensor, None)
        self._taken = weakref.ref(array)
        return Copy(self._tensor, array)


def _form(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tensor.shape, tensor.stride()


def as_logged(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return a tensor of the CPU as an array that shares its memory, or itself where NumPy lacks its dtype."""
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return tensor

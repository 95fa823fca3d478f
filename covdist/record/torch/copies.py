"""``Copies``: what an array of the log has in one step, in memory of the CPU that later steps use again."""

from __future__ import annotations

import weakref
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from covdist.kernel import copies as kernel
from covdist.kernel.library import compiled
from covdist.record.lent import LEAST, Given, Lent

if TYPE_CHECKING:
    import torch

_Form: TypeAlias = "tuple[torch.dtype, tuple[int, ...], tuple[int, ...]]"  # with the shape and the strides


class Copy:
    """A tensor in memory of the CPU, which is used again when nothing holds the array that shares it."""

    def __init__(self, tensor: torch.Tensor, array: np.ndarray | None, address: int | None):
        self.tensor, self._array, self._address = tensor, array, address

    def rows(self) -> Given | torch.Tensor:
        """Return it with the units on its last axis; as itself where NumPy lacks its dtype."""
        if self._array is not None and self._array.nbytes >= LEAST and self._array.ndim > 1:
            return Lent(self._array)
        return as_logged(self.tensor.flatten(0, -2))

    def fill(self, tensor: torch.Tensor) -> None:
        """Copy a tensor of the form for which the memory was made."""
        if self._address is not None and is_plain(tensor):
            kernel.run([kernel.as_it_lies(self._address, tensor.data_ptr(), tensor.nbytes)])
        else:
            self.tensor.copy_(tensor, non_blocking=True)

    def join(self, parts: list[torch.Tensor]) -> list[kernel.Transfer]:
        """Copy flat tensors, one after the other, or return what the kernel has to copy while they are held."""
        import torch

        if self._address is not None and all(each.dtype == self.tensor.dtype and is_plain(each) for each in parts):
            ends = accumulate((each.nbytes for each in parts), initial=self._address)
            return [kernel.as_it_lies(at, each.data_ptr(), each.nbytes) for at, each in zip(ends, parts, strict=False)]
        if {part.device for part in parts} == {self.tensor.device}:
            torch.cat(parts, out=self.tensor[0])  # one copy after the other takes 1.2 to 1.5 times as long
        else:
            for view, part in zip(self.tensor[0].split([each.numel() for each in parts]), parts, strict=True):
                view.copy_(part, non_blocking=True)
        return []


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether the bytes of a tensor are its values, in memory of the CPU."""
    import torch

    return type(tensor) is torch.Tensor and tensor.is_cpu and not (tensor.is_conj() or tensor.is_neg())


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
        copy = self._next(_form(tensor), tensor.device)
        copy.fill(tensor)
        return copy

    def add_row(self, parts: list[torch.Tensor]) -> Copy:
        """Return memory for flat tensors as one row, which ``join`` fills."""
        import torch

        size = sum([part.numel() for part in parts])
        dtype = reduce(torch.promote_types, {part.dtype for part in parts})
        return self._next((dtype, (1, size), (size, 1)), parts[0].device)

    def refer(self, copy: Copy) -> None:
        """Take what another array has copied in this step already."""
        self._parts.append(copy)

    def cut(self, number: int) -> None:
        """Forget all after the first ``number`` tensors."""
        del self._parts[number:]

    def _next(self, form: _Form, device: torch.device) -> Copy:
        """Return memory for the next tensor: that of an earlier step, if it fits and is free."""
        number = len(self._parts)
        if number == len(self._memory):
            self._memory.append([])
        for memory in self._memory[number]:
            if memory.form == form and memory.is_free():
                break
        else:
            memory = _Memory(form, device)
            self._memory[number] = [*(each for each in self._memory[number] if each.form == form), memory]
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

    def __init__(self, form: _Form, device: torch.device):
        import torch

        self.form, (dtype, shape, strides) = form, form
        like = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
        self._tensor = torch.empty_like(like, device="cpu", pin_memory=device.type == "cuda")
        self._taken: weakref.ref[np.ndarray] | None = None
        # What has gaps lies elsewhere in memory without them, and less is read again at once.
        dense = compiled() and self._tensor.nbytes >= LEAST and self._tensor.stride() == strides
        self._address = self._tensor.data_ptr() if dense else None

    def is_free(self) -> bool:
        """Return whether neither a step nor the recorder holds it; of a dtype that NumPy lacks, no recorder does."""
        return self._taken is None or self._taken() is None

    def take(self) -> Copy:
        if not isinstance(array := as_logged(self._tensor), np.ndarray):
            return Copy(self._tensor, None, self._address)
        self._taken = weakref.ref(array)
        return Copy(self._tensor, array, self._address)


def _form(tensor: torch.Tensor) -> _Form:
    return tensor.dtype, tensor.shape, tensor.stride()


def as_logged(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return a tensor of the CPU as an array that shares its memory, or itself where NumPy lacks its dtype."""
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return tensor

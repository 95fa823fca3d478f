"""``Copies``: what an array of the log has in one step, in memory of the CPU that later steps use again."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from functools import cache, reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from covdist.errors import DataError
from covdist.kernel import copies as kernel
from covdist.kernel.library import compiled
from covdist.record.lent import LEAST, Given, Lent

if TYPE_CHECKING:
    import torch

# The dtype that it gets in memory and its own, its shape and its strides.
_Form: TypeAlias = "tuple[torch.dtype, torch.dtype, tuple[int, ...], tuple[int, ...]]"
DtypeOf: TypeAlias = "Callable[[str], np.dtype | None]"  # what floats of a name are rounded to, where the hook may


class Copy:
    """A tensor in memory of the CPU, which is used again when nothing holds the array that shares it."""

    def __init__(self, tensor: torch.Tensor, array: np.ndarray | None, address: int | None, rounded: bool):
        self.tensor, self._array, self._address = tensor, array, address
        self.lost = kernel.RoundingLoss() if rounded else None

    def rows(self) -> Given | torch.Tensor:
        """Return it with the units on its last axis; as itself where NumPy lacks its dtype."""
        array = self._array
        if array is None:
            return _flat(self.tensor)
        if array.ndim > 1 and (self.lost is not None or array.nbytes >= LEAST):
            return Lent(array, self.lost)
        return array if array.ndim == 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])

    def fill(self, tensor: torch.Tensor) -> None:
        """Copy a tensor of the form for which the memory was made."""
        if self._address is None:
            self.tensor.copy_(tensor, non_blocking=True)
        elif self.lost is not None:
            self._round(self._address, tensor, self.lost)
        elif is_plain(tensor):
            kernel.run([kernel.as_it_lies(self._address, tensor.data_ptr(), tensor.nbytes)])
        else:
            self.tensor.copy_(tensor, non_blocking=True)

    def join(self, parts: list[torch.Tensor]) -> list[kernel.Transfer]:
        """Copy flat tensors, one after the other, or return what the kernel has to copy while they are held."""
        import torch

        if self._address is not None:
            item = self.tensor.itemsize
            places = list(accumulate((item * each.numel() for each in parts[:-1]), initial=self._address))
            if self.lost is not None:
                for at, each in zip(places, parts, strict=True):
                    self._round(at, each, self.lost)
                return []
            if all(each.dtype == self.tensor.dtype and is_plain(each) for each in parts):
                return [
                    kernel.as_it_lies(at, each.data_ptr(), each.nbytes) for at, each in zip(places, parts, strict=True)
                ]
        if {part.device for part in parts} == {self.tensor.device}:
            torch.cat(parts, out=self.tensor[0])  # one copy after the other takes 1.2 to 1.5 times as long
        else:
            for view, part in zip(self.tensor[0].split([each.numel() for each in parts]), parts, strict=True):
                view.copy_(part, non_blocking=True)
        return []

    def _round(self, to: int, tensor: torch.Tensor, lost: kernel.RoundingLoss) -> None:
        kernel.rounded(to, _name(self.tensor.dtype), tensor.data_ptr(), _name(tensor.dtype), tensor.numel(), lost)


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether the bytes of a tensor are its values, in memory of the CPU."""
    import torch

    return type(tensor) is torch.Tensor and tensor.is_cpu and not (tensor.is_conj() or tensor.is_neg())


class Copies:
    """Tensors, copied one after the other; each may be changed in place as soon as it has been added.

    Those that the kernel rounds get ``dtype``, where it is told, on the way: in half the time, and half the memory.
    """

    def __init__(self, dtype: np.dtype | None = None) -> None:
        self.dtype = dtype
        self._rounded = _rounded(None if dtype is None else dtype.name)
        self._memory: list[list[_Memory]] = []  # for the first tensor, the second, ...
        self._parts: list[Copy] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, tensor: torch.Tensor) -> Copy:
        """Copy a tensor as it lies, without its graph; one on a device is there only when that has been waited for."""
        tensor = tensor.detach()
        dtype = tensor.dtype
        copy = self._next((self._in_memory(dtype, [tensor]), dtype, tensor.shape, tensor.stride()), tensor.device)
        copy.fill(tensor)
        return copy

    def add_row(self, parts: list[torch.Tensor]) -> Copy:
        """Return memory for flat tensors as one row, which ``join`` fills."""
        import torch

        size = sum([part.numel() for part in parts])
        dtypes = {part.dtype for part in parts}
        dtype = in_memory = reduce(torch.promote_types, dtypes)
        if len(dtypes) == 1:
            in_memory = self._in_memory(dtype, parts)
        return self._next((in_memory, dtype, (1, size), (size, 1)), parts[0].device)

    def refer(self, copy: Copy) -> None:
        """Take what another array has copied in this step already."""
        self._parts.append(copy)

    def cut(self, number: int) -> None:
        """Forget all after the first ``number`` tensors."""
        del self._parts[number:]

    def _in_memory(self, dtype: torch.dtype, tensors: list[torch.Tensor]) -> torch.dtype:
        found = self._rounded.get(dtype)
        return dtype if found is None or not all(map(is_plain, tensors)) else found

    def _next(self, form: _Form, device: torch.device) -> Copy:
        """Return memory for the next tensor: that of an earlier step, if it fits and is free."""
        number = len(self._parts)
        if number == len(self._memory):
            self._memory.append([])
        for memory in self._memory[number]:
            if memory.form == form and memory.is_free():
                break
        else:
            memory = _Memory(form, device, self.dtype)
            self._memory[number] = [*(each for each in self._memory[number] if each.form == form), memory]
        self._parts.append(copy := memory.take())
        return copy

    def rows(self) -> Any:
        """Return all as one array with the units on its last axis, which holds until more is added."""
        import torch

        if len(self._parts) == 1:
            return self._parts[0].rows()
        joined = torch.cat([_flat(part.tensor) for part in self._parts])
        lost = [part.lost for part in self._parts if part.lost is not None]
        return Lent(as_numpy(joined, self.dtype), kernel.in_all(lost)) if lost else as_logged(joined)


class _Memory:
    """Memory of one tensor, as which it lies: to bring its units together takes six times as long as to copy it."""

    def __init__(self, form: _Form, device: torch.device, dtype: np.dtype | None):
        import torch

        if device.type == "meta":
            raise DataError("a layer's tensor is on the device meta, without values: watch the model that trains.")
        self.form, (rounded, given, shape, strides) = form, form
        like = torch.empty_strided(shape, strides, dtype=rounded, device="meta")
        dense = compiled() and like.nbytes >= LEAST and torch.empty_like(like).stride() == strides
        self._rounds = dense and rounded != given and len(shape) > 1
        # What has gaps lies elsewhere in memory without them, and less is read again at once.
        like = like if self._rounds else like.to(given)
        self._tensor = torch.empty_like(like, device="cpu", pin_memory=device.type == "cuda")
        self._array = as_numpy(self._tensor, dtype) if self._rounds else as_logged(self._tensor)
        self._taken: weakref.ref[np.ndarray] | None = None
        self._address = self._tensor.data_ptr() if dense else None

    def is_free(self) -> bool:
        """Return whether neither a step nor the recorder holds it; of a dtype that NumPy lacks, no recorder does."""
        return self._taken is None or self._taken() is None

    def take(self) -> Copy:
        if not isinstance(self._array, np.ndarray):
            return Copy(self._tensor, None, self._address, False)
        array = self._array.view()  # in a tenth of the time in which another is made of the tensor
        self._taken = weakref.ref(array)
        return Copy(self._tensor, array, self._address, self._rounds)


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten(0, -2) if tensor.ndim > 1 else tensor.unsqueeze(0)


@cache
def _rounded(to: str | None) -> dict[torch.dtype, torch.dtype]:
    """Return what the kernel makes of the dtypes of tensors; of those recorded as they are, what NumPy lacks."""
    import torch

    if to is None:
        return {torch.bfloat16: torch.float32}
    if to not in kernel.FLOATS:
        return {}
    return {getattr(torch, name): getattr(torch, to) for name in kernel.FLOATS if name != to}


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def as_numpy(tensor: torch.Tensor, dtype: np.dtype | None) -> np.ndarray:
    """Return a tensor as an array of one of the dtypes that the kernel rounds to, which shares its memory."""
    import torch

    if tensor.dtype == torch.float32 or dtype is None:
        return np.asarray(tensor.numpy())
    return np.asarray(tensor.view(torch.int16).numpy().view(dtype))


def as_logged(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return a tensor of the CPU as an array that shares its memory, or itself where NumPy lacks its dtype."""
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return tensor

"""``Copies``: what an array of the log has in one step, in memory of the CPU that later steps use again.

Torch is imported here, not in each function that runs for each tensor: who needs this has it.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache, reduce
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import torch

from covdist.errors import DataError
from covdist.kernel import copies as kernel
from covdist.kernel.library import compiled, place
from covdist.record.lent import LEAST, Given, Lent
from covdist.record.torch.arena import Arena

_FIRST = 0, 0
_ALONE = 2  # references to what nothing else holds: the one kept here, and the one that is counted
_Form: TypeAlias = tuple[Any, ...]  # what tensors have alike that fit into the same memory
_Turn: TypeAlias = tuple[int, int]  # what the parts of an array are sorted by
AsRows: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]  # a view with the units last, which have an axis now


class Copy:
    """A tensor in memory of the CPU, which is used again when nothing but that memory holds the copy or its rows."""

    __slots__ = ("_are_rows", "held", "lost", "tensor")

    def __init__(self, tensor: torch.Tensor, array: np.ndarray | torch.Tensor, rounded: bool):
        self.tensor = tensor
        array = array.detach() if isinstance(array, torch.Tensor) else array  # an object that nothing else holds
        self.lost = kernel.RoundingLoss() if rounded else None
        rows = _rows(array, self.lost)
        self._are_rows = isinstance(rows, Lent) or _start(rows) == _start(array)
        self.held = rows if self._are_rows else array

    def rows(self) -> Given | torch.Tensor:
        """Return it with the units on the last axis."""
        return self.held if self._are_rows else _rows(self.held, self.lost)


def _rows(array: Any, lost: kernel.RoundingLoss | None) -> Given | torch.Tensor:
    if isinstance(array, torch.Tensor):  # of a dtype that NumPy lacks
        return _flat(array)
    if array.ndim > 1 and (lost is not None or array.nbytes >= LEAST):
        return Lent(array, lost)
    return array if array.ndim == 2 else array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _start(array: np.ndarray | torch.Tensor) -> int:
    return array.data_ptr() if isinstance(array, torch.Tensor) else place(array)


def is_plain(tensor: Any) -> bool:
    """Return whether the bytes of a tensor are its values, in memory of the CPU."""
    return type(tensor) is torch.Tensor and tensor.is_cpu and not (tensor.is_conj() or tensor.is_neg())


class Copies:
    """Tensors, copied one after the other; each may be changed in place as soon as it has been added.

    Those that the kernel rounds get ``dtype``, where it is told, on the way: in half the time, and half the memory.
    """

    def __init__(self, arena: Arena, dtype: np.dtype | None = None, as_rows: AsRows | None = None) -> None:
        self.arena, self.dtype = arena, dtype
        self.as_rows, self.rounded = as_rows or _as_it_is, _rounded(None if dtype is None else dtype.name)
        self._memory: list[list[_Memory]] = []  # for the first tensor, the second, ...
        self._parts: list[tuple[_Turn, Copy]] = []

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, tensor: torch.Tensor, axis: int = -1, turn: _Turn = _FIRST) -> Copy:
        """Copy a tensor as it lies, without its graph; one on a device is there only when that has been waited for."""
        form = is_plain(tensor), tensor.dtype, tensor.shape, tensor.stride(), axis
        memory = self._free(form) or self._new(form, tensor)
        if transfers := memory.fill([tensor]):
            kernel.run(transfers)
        self._parts.append((turn, memory.copy))
        return memory.copy

    def add_row(self, parts: Sequence[torch.Tensor], plain: bool) -> tuple[Copy, array[int]]:
        """Copy flat tensors as one row, or return what the kernel has to copy while they are held.

        ``plain`` tells that the bytes of all of them are their values, one after the other.
        """
        form = plain, [each.dtype for each in parts], [each.numel() for each in parts]
        memory = self._free(form) or self._new_row(form, parts)
        self._parts.append((_FIRST, memory.copy))
        return memory.copy, memory.fill(parts)

    def refer(self, copy: Copy) -> None:
        """Take what another array has copied in this step already."""
        self._parts.append((_FIRST, copy))

    def holds(self, copy: Copy) -> bool:
        """Return whether a copy is a part of this array already."""
        return any(part is copy for _, part in self._parts)

    def cut(self, number: int) -> None:
        """Forget all after the first ``number`` tensors."""
        del self._parts[number:]

    def arrays(self, name: str) -> dict[str, Any]:
        """Return all by name, with the units on the last axis; they hold until more is added.

        What has other units than the first, as of a module that is used in several places, has an array of its own.
        """
        if len(self._parts) == 1:
            return {name: self._parts[0][1].rows()}
        by_units: dict[int, list[Copy]] = {}
        for _, part in sorted(self._parts, key=itemgetter(0)):
            by_units.setdefault(part.tensor.shape[-1], []).append(part)
        return {
            f"{name}_{units}" if number else name: self._joined(parts)
            for number, (units, parts) in enumerate(by_units.items())
        }

    def _joined(self, parts: list[Copy]) -> Any:
        if len(parts) == 1:
            return parts[0].rows()
        joined = torch.cat([_flat(part.tensor) for part in parts])
        lost = [part.lost for part in parts if part.lost is not None]
        return Lent(as_numpy(joined, self.dtype), kernel.in_all(lost)) if lost else as_logged(joined)

    def _free(self, form: _Form) -> _Memory | None:
        """Return memory of an earlier step for the next tensor, if some fits and is free."""
        number = len(self._parts)
        if number < len(self._memory):
            for memory in self._memory[number]:
                if memory.form == form and memory.is_free():
                    return memory
        return None

    def _new(self, form: _Form, tensor: torch.Tensor) -> _Memory:
        plain, dtype, shape, strides, axis = form
        like = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
        return self._kept(_Memory(self, form, like, plain, tensor.device, axis, None))

    def _new_row(self, form: _Form, parts: Sequence[torch.Tensor]) -> _Memory:
        plain, dtypes, sizes = form
        like = torch.empty((1, sum(sizes)), dtype=reduce(torch.promote_types, dtypes), device="meta")
        return self._kept(_Memory(self, form, like, plain and len(set(dtypes)) == 1, parts[0].device, -1, sizes))

    def _kept(self, memory: _Memory) -> _Memory:
        """Return memory that is new, and forget that of other forms."""
        number = len(self._parts)
        while number >= len(self._memory):  # by more than one, where other arrays have copied the parts before
            self._memory.append([])
        self._memory[number] = [*(each for each in self._memory[number] if each.form == memory.form), memory]
        return memory


class _Memory:
    """Memory of a tensor as it lies, since to bring its units together takes six times as long as to copy it.

    Or of a row, one part after the other.
    """

    def __init__(
        self, of: Copies, form: _Form, like: torch.Tensor, plain: bool, device: torch.device, axis: int,
        sizes: list[int] | None,
    ):  # fmt: skip
        if device.type == "meta":
            raise DataError("a layer's tensor is on the device meta, without values: watch the model that trains.")
        self.form = form
        # What has gaps lies elsewhere in memory without them, and less is read again at once.
        dense = plain and compiled() and torch.empty_like(like).stride() == like.stride()
        rounded = like.to(of.rounded.get(like.dtype, like.dtype))
        lent = of.as_rows(like, axis).ndim > 1 and rounded.nbytes >= LEAST
        self._rounds = dense and lent and rounded.dtype != like.dtype
        like = rounded if self._rounds else like
        if dense and like.nbytes >= LEAST:
            whole = of.arena.like(like)
        else:
            whole = torch.empty_like(like, device="cpu", pin_memory=device.type == "cuda")
        tensor = of.as_rows(whole, axis)
        array = as_numpy(tensor, of.dtype) if self._rounds else as_logged(tensor)
        self.copy = Copy(tensor, array, self._rounds)
        self._parts = [whole] if sizes is None else whole[0].split(sizes)
        by_kernel = self._parts if dense and not self._rounds else []
        self._transfers = kernel.numbers([kernel.as_it_lies(each.data_ptr(), 0, each.nbytes) for each in by_kernel])
        self._origins = kernel.origins(len(by_kernel))

    def is_free(self) -> bool:
        """Return whether neither a step nor the recorder holds the copy, or some of its rows."""
        # A weak reference to something made anew for each step says the same, in three times as long.
        return sys.getrefcount(self.copy) == _ALONE and sys.getrefcount(self.copy.held) == _ALONE

    def fill(self, tensors: Sequence[torch.Tensor]) -> array[int]:
        """Copy tensors, or return what the kernel has to copy while they are held."""
        lost = self.copy.lost
        if self._transfers:
            for at, each in zip(self._origins, tensors, strict=True):
                self._transfers[at] = each.data_ptr()
        elif lost is None:
            for part, each in zip(self._parts, tensors, strict=True):
                part.copy_(each.detach().reshape(part.shape), non_blocking=True)
        else:
            lost.clear()
            for part, each in zip(self._parts, tensors, strict=True):
                to, given = (_name(one.dtype) for one in (part, each))
                kernel.rounded(part.data_ptr(), to, each.data_ptr(), given, each.numel(), lost)
        return self._transfers


def _as_it_is(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return tensor


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten(0, -2) if tensor.ndim > 1 else tensor.unsqueeze(0)


@cache
def _rounded(to: str | None) -> dict[torch.dtype, torch.dtype]:
    """Return what the kernel makes of the dtypes of tensors; of those recorded as they are, what NumPy lacks."""
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
    if tensor.dtype == torch.float32 or dtype is None:
        return np.asarray(tensor.numpy())
    return np.asarray(tensor.view(torch.int16).numpy().view(dtype))


def as_logged(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    """Return a tensor of the CPU as an array that shares its memory, or itself where NumPy lacks its dtype."""
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return tensor

"""``Seen``: the tensors that have passed in a step: where their units are, and the copies that there are of them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np

    from covdist.record.torch.copies import Copy

_WHOLE = 4  # axes from which on a tensor of a module that does not tell is taken for (N, C, ...)


def first_tensor(value: Any) -> torch.Tensor | None:
    """Return the first tensor in what a module takes or returns: tuples, lists, mappings, dataclasses, in any depth."""
    if isinstance(value, torch.Tensor):
        return value
    return next((found for each in _parts(value) if (found := first_tensor(each)) is not None), None)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, tuple | list):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name, None) for each in fields(value)]
    return ()


class Passed:
    """A tensor that has passed: where its units are, and the copy that there is of it."""

    __slots__ = ("copy", "dtype", "first", "tensor", "version")

    def __init__(self, tensor: torch.Tensor, first: bool):
        self.tensor, self.first = weakref.ref(tensor), first  # whether its units are on the second axis
        self.copy: Copy | None = None
        self.version = 0  # of the tensor when it was copied
        self.dtype: np.dtype | None = None  # what the copy was to get

    def is_copied(self, tensor: torch.Tensor, dtype: np.dtype | None) -> bool:
        """Return whether nothing has changed the tensor since it was copied, to get the same dtype."""
        return self.version == version(tensor) and self.dtype == dtype

    def take(self, tensor: torch.Tensor, copy: Copy, dtype: np.dtype | None) -> None:
        self.copy, self.version, self.dtype = copy, version(tensor), dtype


class Seen:
    """The tensors that have passed in this step."""

    def __init__(self) -> None:
        self._passed: dict[int, Passed] = {}

    def of(self, tensor: torch.Tensor, told: bool | None, given: Any) -> Passed:
        """Return what is known of a tensor; by the module, what that was given, or the number of axes if it is new."""
        passed = self._known(tensor)
        first = self._first(passed, tensor, given) if told is None else told
        if passed is None or passed.first != first:
            passed = self._passed[id(tensor)] = Passed(tensor, first)
        return passed

    def clear(self) -> None:
        self._passed.clear()

    def _first(self, passed: Passed | None, tensor: torch.Tensor, given: Any) -> bool:
        if passed is None and (before := first_tensor(given)) is not None and before.ndim == tensor.ndim:
            passed = self._known(before)
        return tensor.ndim >= _WHOLE if passed is None else passed.first

    def _known(self, tensor: torch.Tensor) -> Passed | None:
        passed = self._passed.get(id(tensor))
        return passed if passed is not None and passed.tensor() is tensor else None


def version(tensor: torch.Tensor) -> int:
    """Return how often a tensor has been changed in place."""
    return -1 if tensor.is_inference() else tensor._version

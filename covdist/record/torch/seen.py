"""``Seen``: the tensors that have passed in a step: where their units are, and the copies that there are of them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch

from covdist.record.torch.rows import SECOND, units_axis

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

    __slots__ = ("axis", "copy", "dtype", "tensor", "version")

    def __init__(self, tensor: torch.Tensor, axis: int):
        self.tensor, self.axis = weakref.ref(tensor), axis  # of its units, as ``units_axis`` counts it
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

    def of(self, tensor: torch.Tensor, after: int | None, given: Any) -> Passed:
        """Return what is known of a tensor; by the module, what that was given, or the number of axes if it is new."""
        passed = self._known(tensor)
        axis = self._axis(passed, tensor, given) if after is None else units_axis(tensor, after)
        if passed is None or passed.axis != axis:
            passed = self._passed[id(tensor)] = Passed(tensor, axis)
        return passed

    def clear(self) -> None:
        self._passed.clear()

    def _axis(self, passed: Passed | None, tensor: torch.Tensor, given: Any) -> int:
        if passed is not None:
            return passed.axis
        before = first_tensor(given)
        known = None if before is None or before.ndim != tensor.ndim else self._known(before)
        if known is not None and known.axis:
            return units_axis(tensor, -1 - known.axis)
        return units_axis(tensor, SECOND if tensor.ndim >= _WHOLE or tensor.ndim < 2 else 0)

    def _known(self, tensor: torch.Tensor) -> Passed | None:
        passed = self._passed.get(id(tensor))
        return passed if passed is not None and passed.tensor() is tensor else None


def version(tensor: torch.Tensor) -> int:
    """Return how often a tensor has been changed in place."""
    return -1 if tensor.is_inference() else tensor._version

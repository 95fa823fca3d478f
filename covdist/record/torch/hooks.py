"""Hooks on modules, and what they collect in a step; torch.compile leaves them as they are.

They run for each layer in each step, when the processor's caches are full of the model's own work: each function that
they call then takes some times as long as in a loop of its own. So torch is imported here, not by each of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from threading import get_ident
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch

from covdist.errors import DataError
from covdist.record.torch.arena import Arena
from covdist.record.torch.asked import WHAT, Rows, chosen_rows
from covdist.record.torch.copies import Copies
from covdist.record.torch.layers import Watched
from covdist.record.torch.rows import axes_after_units, units_last
from covdist.record.torch.running import depth, in_backward, in_transform
from covdist.record.torch.seen import Seen, first_tensor

_Call = TypeVar("_Call", bound=Callable[..., None])


def eager(call: _Call) -> _Call:
    """Have a hook run as it is where the model is compiled."""
    return cast(_Call, torch.compiler.disable(call))


class Collected:
    """What the layers of a model have taken and given since the last step, and the hooks that copy it."""

    def __init__(
        self, model: torch.nn.Module, layers: Iterable[Watched], what: tuple[str, ...], rows: Rows | None,
        dtype_of: Callable[[str], np.dtype | None], arena: Arena,
    ):  # fmt: skip
        self._model, self.rows = model, rows
        self.due = True  # whether this step is recorded
        self.copies: dict[str, Copies] = {}
        self.seen = Seen()
        self.devices: set[torch.device] = set()
        self._outside: set[str] = set()  # arrays that a forward pass, not one within backward, has filled in this step
        self._passes: list[_Pass] = []  # of the model, those that go on
        self.after_pass: Callable[[], None] | None = None  # called when the backward pass, which is not Python, is near
        # Before those of the layers, of which the model may be one.
        self._handles: list[Any] = [model.register_forward_pre_hook(BeginHook(self))]
        for layer in layers:
            for variable in (each for each in WHAT if each in _HOOKS and each in what):
                name = layer.name(variable)
                self.copies[name] = Copies(arena, dtype_of(name), None if rows else units_last)
                self._handles.append(_HOOKS[variable](self, name, layer).on(layer.module))
        self._handles.append(model.register_forward_hook(EndHook(self), always_call=True))

    def arrays(self) -> dict[str, Any]:
        """Return the rows of each array that there are any of, which hold until more is collected."""
        return {name: rows for of, copies in self.copies.items() for name, rows in copies.arrays(of).items()}

    def clear(self) -> None:
        """Forget what was collected."""
        for copies in self.copies.values():
            copies.cut(0)
        for each in self._passes:
            each.before.clear()
        self.seen.clear()
        self._outside.clear()
        self.devices.clear()

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def counts(self, name: str) -> bool:
        """Return whether a pass is recorded: one of training, and no second time where backward runs it again."""
        if not (self.due and self._model.training and torch.is_grad_enabled()) or in_transform():
            return False
        if not in_backward():
            self._outside.add(name)
            return True
        return name not in self._outside

    def begin_pass(self) -> None:
        here, thread = depth(), get_ident()
        while self._passes and self._passes[-1].is_over(here, thread):  # ended by what torch does not tell, as Ctrl-C
            self._forget(self._passes.pop())
        before = {name: len(copies) for name, copies in self.copies.items()}
        self._passes.append(_Pass(before, sys.exc_info()[1], here, thread))

    def end_pass(self, empty: bool) -> None:
        """Forget a pass that has failed: one that returns nothing while an exception goes on that came within it."""
        ended = self._passes.pop()
        if self.after_pass is not None:
            self.after_pass()
        if empty and sys.exc_info()[1] is not ended.outside:
            self._forget(ended)

    def _forget(self, failed: _Pass) -> None:
        for name, number in failed.before.items():
            self.copies[name].cut(number)


class _Pass(NamedTuple):
    before: dict[str, int]  # how many tensors there were of each array
    outside: BaseException | None  # which its caller is handling
    depth: int  # of the stack where it began
    thread: int

    def is_over(self, depth: int, thread: int) -> bool:
        """Return whether it must have ended where another begins: a pass within it begins deeper in the stack."""
        return self.thread == thread and self.depth >= depth


class NoHook:
    """What copies and pickles of a watched model have in place of a hook, as they are watched by nobody."""

    def __call__(self, *_: object) -> None:
        pass


class Hook:
    """A hook that collects."""

    def __init__(self, to: Collected):
        self._to = to

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return NoHook, ()


class BeginHook(Hook):
    """Before a pass of the model."""

    @eager
    def __call__(self, module: torch.nn.Module, given: Any) -> None:
        self._to.begin_pass()


class EndHook(Hook):
    """After a pass of the model, or its exception."""

    @eager
    def __call__(self, module: torch.nn.Module, given: Any, found: Any) -> None:
        self._to.end_pass(found is None)


class LayerHook(Hook):
    """A hook on a layer, for one of its arrays."""

    def __init__(self, to: Collected, name: str, layer: Watched):
        super().__init__(to)
        self._name, self._node, self._after = name, layer.node, axes_after_units(layer.module)
        self._copies = to.copies[name]

    def _take(self, given: Any, value: Any) -> None:
        """Copy the first tensor of a value."""
        tensor, to = value if type(value) is torch.Tensor else first_tensor(value), self._to
        if tensor is None or not to.counts(self._name):
            return
        if not tensor.is_cpu:
            to.devices.add(tensor.device)
        passed, copies = to.seen.of(tensor, self._after, given), self._copies
        if to.rows is not None:
            copies.add(chosen_rows(to.rows, self._node, tensor.detach()))
        elif passed.copy is not None and passed.is_copied(tensor, copies.dtype) and not copies.holds(passed.copy):
            # What a module is given again may have been filled again by NumPy, which tells torch nothing.
            copies.refer(passed.copy)
        else:
            check_rows(self._node, tensor)
            passed.take(tensor, copies.add(tensor, passed.axis), copies.dtype)


class InputHook(LayerHook):
    """Takes what a module is given."""

    def on(self, module: torch.nn.Module) -> Any:
        return module.register_forward_pre_hook(self, with_kwargs=True)

    @eager
    def __call__(self, module: torch.nn.Module, given: Any, named: Any) -> None:
        self._take(None, (given, named))


class ActivationHook(LayerHook):
    """Takes what a module returns."""

    def on(self, module: torch.nn.Module) -> Any:
        return module.register_forward_hook(self)

    @eager
    def __call__(self, module: torch.nn.Module, given: Any, found: Any) -> None:
        self._take(given, found)


class OutputGradientHook(LayerHook):
    """Takes the gradient by what a module returns, when there is one: in the order of the calls, as all else."""

    def __init__(self, to: Collected, name: str, layer: Watched):
        super().__init__(to, name, layer)
        self._calls = count()

    def on(self, module: torch.nn.Module) -> Any:
        return module.register_forward_hook(self)

    @eager
    def __call__(self, module: torch.nn.Module, given: Any, found: Any) -> None:
        tensor, to = first_tensor(found), self._to
        if tensor is None or not tensor.requires_grad or not to.counts(self._name):
            return
        to.devices.add(tensor.device)
        axis = to.seen.of(tensor, self._after, given).axis
        tensor.register_hook(partial(self._add, axis, next(self._calls), count()))

    def _add(self, axis: int, call: int, passes: Iterator[int], gradient: torch.Tensor) -> None:
        turn, rows = (next(passes), call), self._to.rows
        if rows is None:
            check_rows(self._node, gradient)
            self._copies.add(gradient, axis, turn)
        else:
            self._copies.add(chosen_rows(rows, self._node, gradient), turn=turn)


def check_rows(node: str, tensor: torch.Tensor) -> None:
    """Raise DataError where a tensor has no strides, so that nothing tells which rows it has."""
    if tensor.layout is not torch.strided or tensor.is_nested:
        kind = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise DataError(
            f"{node or 'the model'} takes or gives a tensor that is {kind}, and has no rows as it lies: choose other "
            "layers, or make rows of it by rows=."
        )


_HOOKS: dict[str, type[InputHook | ActivationHook | OutputGradientHook]] = {
    "input": InputHook, "activation": ActivationHook, "output_gradient": OutputGradientHook,
}  # fmt: skip

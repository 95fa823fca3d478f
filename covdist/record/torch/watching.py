"""``watch``: hooks that record the layers of a torch model while it trains."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

from covdist.errors import DataError
from covdist.record.recorder import Recorder
from covdist.record.torch.asked import WHAT, HookOptions, Recording, Rows, asked, check_model, chosen_rows
from covdist.record.torch.installed import check_torch
from covdist.record.torch.layers import Watched, layers_of, unwrapped
from covdist.record.torch.rows import Seen, channels_first, first_tensor, units_last
from covdist.record.torch.running import in_backward, in_transform
from covdist.record.values import as_step

if TYPE_CHECKING:
    import torch


def watch(
    model: torch.nn.Module, rec: Recording, what: Sequence[str] = ("input", "activation", "gradient"),
    layers: str | Sequence[str] = "*", *, every: int = 1, start: int = 0, scaler: Any = None, rows: Rows | None = None,
) -> Watch:  # fmt: skip
    """Record what the layers of a model take, give and learn from, until the handle is removed.

    Passes count while the model is in training mode and gradients are on. What they take and give is copied at once;
    ``watch.step()``, called once a step, between ``backward()`` and ``zero_grad()``, hands it to the recorder.

    Parameters
    ----------
    model : torch.nn.Module
        The model, or what ``torch.compile`` or DistributedDataParallel made of it. Watch it before it is compiled.
    rec : Recorder
        Takes ``{"block3/attn/activation": ...}``: a layer's node is the module's name with "/" for its dots.
    what : sequence of {"input", "activation", "gradient", "output_gradient"}
        ``input`` and ``activation`` (sample, unit), the first tensor that the module takes and returns; ``gradient``
        (step, param), ``.grad`` of the module's own parameters, flat and one after the other, weights before biases;
        ``output_gradient`` (sample, unit), of the loss by the module's output, as :func:`covdist.kfac` wants it.
    layers : str or sequence of str
        Names or patterns of nodes, such as ``"block3/*"``. Patterns find modules that hold parameters themselves or no
        other module; another, such as a whole block, is named in full.
    every : int
        Record each so many calls of ``watch.step``; nothing is copied in the others.
    start : int
        The number of the first step, where ``watch.step`` is not told any.
    scaler : torch.amp.GradScaler, optional
        Gradients are recorded without its factor, and those that overflowed, whose step it skips, are left out.
    rows : callable, optional
        Called with a node and a tensor, returns the tensor to record, its rows on the first axis. By default the units
        are the channels, on the second axis, of convolutions, pooling, batch and group norms, and otherwise the last
        axis; a module that may be either, such as ReLU, goes by the one before it, or takes a tensor of 4 axes and more
        for one of channels. Every position is a row: (N, C, H, W) becomes (N·H·W, C), and (N, T, D) (N·T, D). Whole
        numbers, such as tokens, are one unit.

    Returns
    -------
    Watch
        The handle, also a context manager that removes the hooks in the end.

    Raises
    ------
    DataError
        A pattern finds no layer, ``what`` names something else, or torch is missing.

    Notes
    -----
    A module that is called several times in a step, or used in several places, has the rows of all calls, and so has a
    step of several backward passes. Parameters that layers share are recorded with the first. A parameter without a
    gradient has zeros where the layer has any gradient, else the layer has none in this step. The rows of a pass that
    ends in an exception are forgotten, and ``watch.discard()`` forgets those of a step that is left out.
    """
    check_torch()
    check_model(model)
    options = {"what": what, "layers": layers, "every": every, "start": start, "scaler": scaler, "rows": rows}
    return Watch(unwrapped(model), rec, asked(rec, options))


class Watch:
    """Hooks on the layers of a model, and what they have collected since the last step."""

    def __init__(self, model: torch.nn.Module, rec: Recording, options: HookOptions):
        from covdist.record.torch.copies import Copies
        from covdist.record.torch.gradients import Gradients

        self._model, self._rec, self._rows, what = model, rec, options.rows, options.what
        self._every, self._calls, self._next = options.every, 0, options.start
        chosen = layers_of(model, options.layers)
        dtype_of = rec.dtype_of if isinstance(rec, Recorder) else _as_it_is
        self._gradients = Gradients(chosen, options.scaler, dtype_of) if "gradient" in what else None
        self._copies = {
            (name := layer.name(each)): Copies(
                dtype_of(name), None if self._rows else partial(units_last, layer.module)
            )
            for layer in chosen
            for each in WHAT
            if each in what and each != "gradient"
        }
        self._seen = Seen()
        self._outside: set[str] = set()  # arrays that a forward pass, not one within backward, has filled in this step
        self._passes: list[dict[str, int]] = []  # what there was before each pass of the model that goes on
        self._devices: set[torch.device] = set()
        self._handles = [handle for layer in chosen for handle in self._hooked(layer, what)]
        self._handles.append(model.register_forward_pre_hook(_hook(self._begin_pass)))
        self._handles.append(model.register_forward_hook(_hook(self._end_pass), always_call=True))
        self._removed = False

    def step(self, number: int | None = None, /, **coordinates: float | str) -> None:
        """Record what was collected since the last call, as one step.

        Parameters
        ----------
        number : int, optional
            The step; by default one more than the last.
        **coordinates : number or str
            As for ``Recorder.log``, such as ``epoch=3``.

        Raises
        ------
        DataError
            The hooks are removed, no watched layer has run, or its parameters have no gradients, or the recorder
            refuses the arrays.
        """
        if self._removed:
            raise DataError("this watch has been removed: call watch(model, rec) again, or step within its with block.")
        number = self._next if number is None else as_step(number)
        try:
            if self._due:
                self._rec.log(number, self._collected(), **coordinates)
        finally:
            self.discard()
            self._next, self._calls = number + 1, self._calls + 1

    def discard(self) -> None:
        """Forget what was collected since the last step, as of a batch that is left out."""
        for copies in self._copies.values():
            copies.cut(0)
        if self._gradients is not None:
            self._gradients.clear()
        self._seen.clear()
        self._outside.clear()
        self._devices.clear()

    def remove(self) -> None:
        """Take all hooks from the model, which can be pickled and copied as before; the recorder stays open."""
        for handle in self._handles:
            handle.remove()
        if self._gradients is not None and not self._removed:
            self._gradients.remove()
        self._removed = True
        self.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    @property
    def _due(self) -> bool:
        return self._calls % self._every == 0

    def _hooked(self, layer: Watched, what: tuple[str, ...]) -> list[Any]:
        handles, module = [], layer.module
        told = channels_first(module)
        if "input" in what:
            before = _hook(partial(self._take_given, layer, told, layer.name("input")))
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        if "activation" in what:
            after = _hook(partial(self._take, layer, told, layer.name("activation")))
            handles.append(module.register_forward_hook(after))
        if "output_gradient" in what:
            graph = _hook(partial(self._take_later, layer, told, layer.name("output_gradient")))
            handles.append(module.register_forward_hook(graph))
        return handles

    def _take_given(self, layer: Watched, told: bool | None, name: str, module: Any, given: Any, named: Any) -> None:
        self._take(layer, told, name, module, None, (given, named))

    def _take(self, layer: Watched, told: bool | None, name: str, module: Any, given: Any, value: Any) -> None:
        if (tensor := first_tensor(value)) is None or not self._counts(name):
            return
        if not tensor.is_cpu:
            self._devices.add(tensor.device)
        copies, first = self._copies[name], self._seen.first(tensor, told, given)
        if self._rows is not None:
            copies.add(chosen_rows(self._rows, layer.node, tensor.detach()))
        elif (copy := self._seen.copy_of(tensor, copies.dtype)) is not None:
            copies.refer(copy)
        else:
            self._seen.add(tensor, copies.add(tensor, first), copies.dtype)

    def _take_later(self, layer: Watched, told: bool | None, name: str, module: Any, given: Any, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is None or not tensor.requires_grad or not self._counts(name):
            return
        first = self._seen.first(tensor, told, given)
        devices, copies, rows = self._devices, self._copies[name], self._rows
        devices.add(tensor.device)

        def take(gradient: torch.Tensor) -> None:
            copies.add(chosen_rows(rows, layer.node, gradient) if rows else gradient, first)

        tensor.register_hook(take)

    def _counts(self, name: str) -> bool:
        """Return whether a pass is recorded: one of training, and no second time where backward runs it again."""
        import torch

        if not (self._due and self._model.training and torch.is_grad_enabled()) or in_transform():
            return False
        if not in_backward():
            self._outside.add(name)
            return True
        return name not in self._outside

    def _begin_pass(self, *_: object) -> None:
        self._passes.append({name: len(copies) for name, copies in self._copies.items()})

    def _end_pass(self, module: torch.nn.Module, given: Any, found: Any) -> None:
        before = self._passes.pop()
        if found is None and sys.exc_info()[0] is not None:
            for name, number in before.items():
                self._copies[name].cut(number)

    def _collected(self) -> dict[str, Any]:
        gradients = {} if self._gradients is None else self._gradients.read()
        _wait_for(self._devices | (set() if self._gradients is None else self._gradients.devices))
        if self._gradients is not None and self._gradients.overflowed(gradients):
            gradients = {}
        arrays = {name: copies.rows() for name, copies in self._copies.items() if len(copies)}
        if self._copies and not arrays:
            raise DataError(
                "no watched layer has run in training mode since the last step: call model.train(), watch a model "
                "before torch.compile, and call watch.step() once after each step."
            )
        return arrays | {name: row.rows() for name, row in gradients.items()}


@cache
def _hook_class() -> type:
    """Return the class of hooks, which torch.compile leaves as they are; made late, since torch may be missing."""
    import torch

    class Hook:
        """A hook that copies and pickles of the model do not have, as they are watched by nobody."""

        def __init__(self, call: Callable[..., None]):
            self._call = call

        @torch.compiler.disable  # type: ignore[untyped-decorator, unused-ignore]
        def __call__(self, *arguments: Any) -> None:
            self._call(*arguments)

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return _NoHook, ()

    return Hook


def _hook(call: Callable[..., None]) -> Any:
    return _hook_class()(call)


class _NoHook:
    """What a copy of a watched model has in place of a hook."""

    def __call__(self, *_: object) -> None:
        pass


def _as_it_is(name: str) -> None:
    """What other recorders round floats to."""


def _wait_for(devices: set[torch.device]) -> None:
    import torch

    for device in devices:
        if device.type not in ("cpu", "meta"):
            torch.accelerator.synchronize(device)

"""``watch``: hooks that record the layers of a torch model while it trains."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from covdist.errors import DataError
from covdist.record.recorder import Recorder
from covdist.record.torch.asked import HookOptions, Recording, Rows, asked, check_model
from covdist.record.torch.installed import check_torch
from covdist.record.torch.layers import layers_of, unwrapped
from covdist.record.values import as_step

if TYPE_CHECKING:
    import torch

_PATIENCE = 0.25  # seconds, for models that are not called as a whole
# Seconds from the forward pass on, in which Python goes on to the backward pass: it waited 0.15 ms of a step for the
# recorder's thread that began at once.
_TO_BACKWARD = 0.001
_recording: weakref.WeakSet[Watch] = weakref.WeakSet()  # those that have recorded a step, and not been removed
_lock = threading.Lock()  # of these


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
    A module that is called several times in a step, or used in several places, has the rows of all calls, in their
    order, and so has a step of several backward passes; where other calls have other units than the first, these have
    an array of their own, such as ``activation_256``. Parameters that layers share are recorded with the first. A
    parameter without a gradient has zeros where the layer has any gradient, else the layer has none in this step. The
    rows of a pass that ends in an exception are forgotten, and ``watch.discard()`` forgets those of a step that is left
    out. Watches with one recorder have arrays of different names; the second of two models whose layers have equal
    names is refused in its first step.
    """
    check_torch()
    check_model(model)
    options = {"what": what, "layers": layers, "every": every, "start": start, "scaler": scaler, "rows": rows}
    return Watch(unwrapped(model), rec, asked(rec, options))


class Watch:
    """Hooks on the layers of a model, and what they have collected since the last step."""

    _removed = True  # until there are hooks

    def __init__(self, model: torch.nn.Module, rec: Recording, options: HookOptions):
        from covdist.record.torch.arena import Arena
        from covdist.record.torch.gradients import Gradients
        from covdist.record.torch.hooks import Collected

        self._rec, self._every, self._calls, self._next = rec, options.every, 0, options.start
        self._recorder = rec if isinstance(rec, Recorder) else None
        chosen, arena = layers_of(model, options.layers), Arena()
        dtype_of = _as_it_is if self._recorder is None else self._recorder.dtype_of
        self._gradients = Gradients(chosen, options.scaler, dtype_of, arena) if "gradient" in options.what else None
        self._collected = Collected(model, chosen, options.what, options.rows, dtype_of, arena)
        if self._recorder is not None:
            self._recorder.defer(_PATIENCE)
            self._collected.after_pass = partial(self._recorder.begin, _TO_BACKWARD)
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
            The hooks are removed, no watched layer has run, or its parameters have no gradients, another watch records
            arrays of the same names, or the recorder refuses the arrays.
        """
        if self._removed:
            raise DataError("this watch has been removed: call watch(model, rec) again, or step within its with block.")
        number = self._next if number is None else as_step(number)
        try:
            if self not in _recording:
                self._join()
            if self._collected.due:
                self._rec.log(number, self._arrays(), **coordinates)
        finally:
            self.discard()
            self._next, self._calls = number + 1, self._calls + 1
            self._collected.due = self._calls % self._every == 0

    def discard(self) -> None:
        """Forget what was collected since the last step, as of a batch that is left out."""
        self._collected.clear()
        if self._gradients is not None:
            self._gradients.clear()

    def remove(self) -> None:
        """Take all hooks from the model, which can be pickled and copied as before; the recorder stays open."""
        self._collected.remove()
        if self._recorder is not None:
            self._recorder.defer(0)
        if self._gradients is not None and not self._removed:
            self._gradients.remove()
        self._removed = True
        self.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __del__(self) -> None:
        if not self._removed:  # what they copy would pile up
            self.remove()

    def _join(self) -> None:
        """Begin to record beside other watches; DataError where one has arrays of the same names.

        Not in ``watch``: where a cell of a notebook runs again, the watch that it replaces is there until that returns.
        """
        with _lock:
            if self._shared():
                gc.collect()  # nobody may hold the other any more
            if name := self._shared():
                raise DataError(
                    f"{name} is recorded by another watch with this recorder already, and rows of two models would be "
                    "mixed: give each a Recorder of its own, watch both as one, "
                    'watch(nn.ModuleDict({"g": g, "d": d}), rec), or remove the other watch first.'
                )
            _recording.add(self)

    def _shared(self) -> str | None:
        """Return a name that another watch records with the same recorder."""
        others = [each for each in _recording if each._rec is self._rec and not each._removed]
        taken = {name for each in others for name in each._names}
        return next((name for name in self._names if name in taken), None)

    @property
    def _names(self) -> list[str]:
        """Names of the arrays that may come."""
        return [*self._collected.copies, *([] if self._gradients is None else self._gradients.names)]

    def _arrays(self) -> dict[str, Any]:
        gradients = {} if self._gradients is None else self._gradients.read()
        _wait_for(self._collected.devices | (set() if self._gradients is None else self._gradients.devices))
        if self._gradients is not None and self._gradients.overflowed(gradients):
            gradients = {}
        arrays = self._collected.arrays()
        if self._collected.copies and not arrays:
            raise DataError(
                "no watched layer has run in training mode since the last step: call model.train(), watch a model "
                "before torch.compile, and call watch.step() once after each step."
            )
        return arrays | {name: row.rows() for name, row in gradients.items()}


def _as_it_is(name: str) -> None:
    """What other recorders round floats to."""


def _wait_for(devices: set[torch.device]) -> None:
    import torch

    for device in devices:
        if device.type not in ("cpu", "meta"):
            torch.accelerator.synchronize(device)

"""``Gradients``: those of each layer's own parameters, as one row."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from covdist.errors import DataError
from covdist.kernel import copies as kernel
from covdist.record.torch.arena import Arena
from covdist.record.torch.copies import Copies, Copy, is_plain
from covdist.record.torch.layers import Watched
from covdist.record.torch.scale import Scale


class Gradients:
    """Reads ``.grad``: parameter after parameter in the module's order, weights before biases, each flat."""

    def __init__(
        self, layers: list[Watched], scaler: Any, dtype_of: Callable[[str], np.dtype | None], arena: Arena
    ):  # fmt: skip
        self.devices: set[torch.device] = set()  # other than the CPU, to be waited for before rows are looked at
        named = [(layer.name("gradient"), layer) for layer in layers if layer.parameters]
        # Rows of which it is asked whether they are finite are not rounded before.
        self._layers = [
            (name, layer, Copies(arena, dtype_of(name) if scaler is None else None)) for name, layer in named
        ]
        self._scale = None if scaler is None else Scale(scaler, (one for _, layer in named for one in _of(layer)))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self._layers]

    def read(self) -> dict[str, Copy]:
        """Return a row a layer that has any gradient, (1, parameters); a parameter without one has zeros there.

        DataError where none has any, though some are trained.
        """
        rows, held, waiting = {}, [], array("q")
        for name, layer, copies in self._layers:
            parts = [each.grad for each in _of(layer)]
            plain = self._scale is None and all(map(_is_flat, parts))
            if not plain:
                parts = self._flattened(_of(layer))
                plain = all(map(is_plain, parts))
            if parts:
                rows[name], transfers = copies.add_row(parts, plain)
                waiting += transfers
                held.append(parts)
        if waiting:
            kernel.run(waiting)
        if not rows and any(each.requires_grad for _, layer, _ in self._layers for each in _of(layer)):
            raise DataError(
                "no watched parameter has a gradient: call watch.step() after backward() and before zero_grad(), and "
                "watch.discard() where a step is left out."
            )
        return rows

    def overflowed(self, rows: dict[str, Copy]) -> bool:
        """Return whether the scaler skips this step, because some gradient is infinite or NaN."""
        return self._scale is not None and not all(bool(row.tensor.isfinite().all()) for row in rows.values())

    def clear(self) -> None:
        """Begin a step."""
        self.devices.clear()
        for _, _, copies in self._layers:
            copies.cut(0)
        if self._scale is not None:
            self._scale.clear()

    def remove(self) -> None:
        if self._scale is not None:
            self._scale.remove()

    def _flattened(self, parameters: list[torch.nn.Parameter]) -> list[torch.Tensor]:
        """Return the gradients without their factor, zeros for missing ones; nothing where there are none."""
        flat = [self._one(each) for each in parameters]
        if all(each is None for each in flat):
            return []
        self.devices |= {each.device for each in parameters}
        return [
            torch.zeros(each.numel(), dtype=each.dtype, device=each.device) if one is None else one
            for each, one in zip(parameters, flat, strict=True)
        ]

    def _one(self, parameter: torch.nn.Parameter) -> torch.Tensor | None:
        gradient = parameter.grad
        if gradient is None:
            return None
        flat = (gradient.to_dense() if gradient.is_sparse else gradient).detach().reshape(-1).contiguous()
        factor = 1.0 if self._scale is None else self._scale.of(parameter)
        return flat if factor == 1.0 else flat / factor


def _is_flat(gradient: Any) -> bool:
    """Return whether the bytes of a gradient are its values, one after the other, as they are of most."""
    return (
        type(gradient) is torch.Tensor and gradient.is_cpu and gradient.layout is torch.strided
        and gradient.is_contiguous() and not (gradient.is_conj() or gradient.is_neg())
    )  # fmt: skip


def _of(layer: Watched) -> list[torch.nn.Parameter]:
    own = layer.module._parameters  # whose look-up takes a tenth of that of an attribute
    found = []
    for name in layer.parameters:
        if (parameter := own.get(name)) is None:
            raise DataError(
                f"{layer.node or 'the model'} has no parameter {name} any more, as after pruning: remove the hooks, "
                "and watch the model again."
            )
        found.append(parameter)
    return found

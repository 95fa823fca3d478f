"""``Gradients``: those of each layer's own parameters, as one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from covdist.errors import DataError
from covdist.kernel import copies as kernel
from covdist.record.torch.copies import Copies, Copy, DtypeOf
from covdist.record.torch.layers import Watched
from covdist.record.torch.scale import Scale

if TYPE_CHECKING:
    import torch


class Gradients:
    """Reads ``.grad``: parameter after parameter in the module's order, weights before biases, each flat."""

    def __init__(self, layers: list[Watched], scaler: Any, dtype_of: DtypeOf):
        self._layers = [layer for layer in layers if layer.parameters]
        self._names = {layer.node: layer.name("gradient") for layer in self._layers}
        # Rows of which it is asked whether they are finite are not rounded before.
        self._copies = {
            layer.node: Copies(dtype_of(layer.name("gradient")) if scaler is None else None) for layer in self._layers
        }
        self._scale = None if scaler is None else Scale(scaler, (one for layer in self._layers for one in _of(layer)))

    @property
    def devices(self) -> set[torch.device]:
        """Where the gradients come from, each to be waited for before rows are looked at."""
        return {each.device for layer in self._layers for each in _of(layer)}

    def read(self) -> dict[str, Copy]:
        """Return a row a layer that has any gradient, (1, parameters); a parameter without one has zeros there.

        DataError where none has any, though some are trained.
        """
        import torch

        rows, held, waiting = {}, [], []
        for layer in self._layers:
            parameters = _of(layer)
            flat = [self._one(each) for each in parameters]
            if any(each is not None for each in flat):
                flat = [
                    torch.zeros(each.numel(), dtype=each.dtype, device=each.device) if one is None else one
                    for each, one in zip(parameters, flat, strict=True)
                ]
                rows[self._names[layer.node]] = row = self._copies[layer.node].add_row(flat)
                held.append(flat)
                waiting += row.join(flat)
        if waiting:
            kernel.run(waiting)
        del held
        if not rows and any(each.requires_grad for layer in self._layers for each in _of(layer)):
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
        for copies in self._copies.values():
            copies.cut(0)
        if self._scale is not None:
            self._scale.clear()

    def remove(self) -> None:
        if self._scale is not None:
            self._scale.remove()

    def _one(self, parameter: torch.nn.Parameter) -> torch.Tensor | None:
        gradient = parameter.grad
        if gradient is None:
            return None
        flat = (gradient.to_dense() if gradient.is_sparse else gradient).detach().reshape(-1)
        factor = 1.0 if self._scale is None else self._scale.of(parameter)
        return flat if factor == 1.0 else flat / factor


def _of(layer: Watched) -> list[torch.nn.Parameter]:
    own = layer.module._parameters  # whose look-up takes a tenth of that of an attribute
    return [own[name] if name in own else getattr(layer.module, name) for name in layer.parameters]


def logged(rows: dict[str, Copy]) -> dict[str, Any]:
    """Return the rows as a recorder takes them, once all devices have been waited for."""
    return {name: row.rows() for name, row in rows.items()}

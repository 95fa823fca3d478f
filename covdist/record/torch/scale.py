"""``Scale``: what a GradScaler has multiplied the gradients by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_METHODS = ("unscale_", "step")


class Scale:
    """Knows of each parameter whether its gradient is still scaled: from the backward pass until it is unscaled.

    ``scaler.unscale_`` and ``scaler.step`` do that, in place; both are replaced, on this scaler, by ones that tell.
    """

    def __init__(self, scaler: Any, parameters: Iterable[torch.nn.Parameter]):
        self._scaler = scaler
        self._scaled: set[int] = set()
        self._factor: float | None = None  # of this step
        self._hooks = [each.register_post_accumulate_grad_hook(self._note) for each in parameters if each.requires_grad]
        for name in _METHODS:
            _telling(scaler, name).scales.append(self)

    def of(self, parameter: torch.nn.Parameter) -> float:
        """Return the factor in the gradient of a parameter."""
        return (self._factor or 1.0) if id(parameter) in self._scaled else 1.0

    def clear(self) -> None:
        """Begin a step."""
        self._factor = None

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        for name in _METHODS:
            _telling(self._scaler, name).scales.remove(self)
            if not _telling(self._scaler, name).scales:
                delattr(self._scaler, name)

    def unscaled(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that the gradients of an optimizer's parameters have no factor any more."""
        self._scaled -= {id(each) for group in optimizer.param_groups for each in group["params"]}

    def _note(self, parameter: torch.nn.Parameter) -> None:
        if self._factor is None:  # a GPU is waited for once a step
            self._factor = float(self._scaler.get_scale())
        self._scaled.add(id(parameter))


class _Telling:
    """A method of a scaler that tells all who have asked for it when it has unscaled gradients."""

    def __init__(self, method: Callable[..., Any]):
        self._method = method
        self.scales: list[Scale] = []

    def __call__(self, optimizer: torch.optim.Optimizer, *arguments: Any, **options: Any) -> Any:
        result = self._method(optimizer, *arguments, **options)
        for scale in self.scales:
            scale.unscaled(optimizer)
        return result


def _telling(scaler: Any, name: str) -> _Telling:
    method = getattr(scaler, name)
    if not isinstance(method, _Telling):
        method = _Telling(method)
        setattr(scaler, name, method)
    return method

"""``Scale``: what a GradScaler has multiplied the gradients by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Scale:
    """Knows of each parameter whether its gradient is still scaled: from the backward pass until it is unscaled.

    ``scaler.unscale_`` and ``scaler.step`` do that, in place; both are replaced, on this scaler, by ones that tell.
    """

    def __init__(self, scaler: Any, parameters: Iterable[torch.nn.Parameter]):
        self._scaler = scaler
        self._scaled: set[int] = set()
        self._factor: float | None = None  # of this step
        self._hooks = [each.register_post_accumulate_grad_hook(self._note) for each in parameters if each.requires_grad]
        for name in ("unscale_", "step"):
            setattr(scaler, name, self._telling(getattr(scaler, name)))

    def of(self, parameter: torch.nn.Parameter) -> float:
        """Return the factor in the gradient of a parameter."""
        return (self._factor or 1.0) if id(parameter) in self._scaled else 1.0

    def clear(self) -> None:
        """Begin a step."""
        self._factor = None

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        for name in ("unscale_", "step"):
            vars(self._scaler).pop(name, None)

    def _note(self, parameter: torch.nn.Parameter) -> None:
        if self._factor is None:  # a GPU is waited for once a step
            self._factor = float(self._scaler.get_scale())
        self._scaled.add(id(parameter))

    def _telling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(optimizer: torch.optim.Optimizer, *arguments: Any, **options: Any) -> Any:
            result = method(optimizer, *arguments, **options)
            self._scaled -= {id(each) for group in optimizer.param_groups for each in group["params"]}
            return result

        return call

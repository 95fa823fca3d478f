"""Which modules of a model are layers of the log, and what these are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from covdist.errors import DataError

if TYPE_CHECKING:
    import torch

_SHOWN = 5  # names in an error


class Watched(NamedTuple):
    """A module, its node in the log, and those of its parameters that no earlier layer has."""

    node: str
    module: torch.nn.Module
    parameters: tuple[str, ...]

    def name(self, variable: str) -> str:
        """Return the path of a variable in the log."""
        return f"{self.node}/{variable}" if self.node else variable


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model inside what ``torch.compile`` and DistributedDataParallel make of it."""
    import torch

    while True:
        if isinstance(model, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


def layers_of(model: torch.nn.Module, layers: Sequence[str]) -> list[Watched]:
    """Return the layers that patterns choose, each once, in the order of the model; DataError where one finds none."""
    patterns = [each.replace(".", "/") for each in layers]
    every = list(_layers(model))
    found = [layer for layer in every if any(_chosen(layer, pattern) for pattern in patterns)]
    for pattern in patterns or ["no pattern"]:
        if not any(_chosen(layer, pattern) for layer in found):
            names = ", ".join([layer.node for layer in every if layer.node][:_SHOWN])
            raise DataError(
                f"layers={layers!r} names no layer of {type(model).__name__} by {pattern}: give names or patterns of "
                f"the modules that it has, such as {names}."
            )
    return found


def _layers(model: torch.nn.Module) -> Iterator[Watched]:
    own: set[int] = set()
    for name, module in model.named_modules():
        parameters = [(each, id(one)) for each, one in module.named_parameters(recurse=False) if id(one) not in own]
        own.update(number for _, number in parameters)
        yield Watched(name.replace(".", "/"), module, tuple(each for each, _ in parameters))


def _chosen(layer: Watched, pattern: str) -> bool:
    if layer.node == pattern:
        return True
    holds = layer.parameters or next(layer.module.children(), None) is None
    return bool(holds) and fnmatchcase(layer.node, pattern)

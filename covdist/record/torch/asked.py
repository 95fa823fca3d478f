"""What hooks are asked for, checked at the call: long before the pass in which a wrong one would be noticed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from covdist.errors import DataError
from covdist.given import names, told, whole
from covdist.record.values import as_step

if TYPE_CHECKING:
    import torch

WHAT = ("activation", "input", "output_gradient", "gradient")  # the first of a layer has the dims sample and unit
Rows: TypeAlias = "Callable[[str, torch.Tensor], torch.Tensor]"
_SCALER = ("get_scale", "unscale_", "step")


class Recording(Protocol):
    """The part of a recorder that hooks need."""

    def log(self, step: int, arrays: dict[str, Any], **coordinates: Any) -> None: ...


class HookOptions(NamedTuple):
    """The options of ``watch``."""

    what: tuple[str, ...] = ("input", "activation", "gradient")
    layers: tuple[str, ...] = ("*",)
    every: int = 1
    start: int = 0
    scaler: Any = None
    rows: Rows | None = None


def asked(rec: Any, options: Mapping[str, Any]) -> HookOptions:
    """Return the options that ``watch`` takes, given by name; DataError where one is wrong, or ``rec`` no recorder."""
    _check_recorder(rec)
    if unknown := [name for name in options if name not in HookOptions._fields]:
        raise DataError(f"{', '.join(unknown)} is no option here: choose of {', '.join(HookOptions._fields)}.")
    given = HookOptions(**options)
    if not (given.rows is None or callable(given.rows)):
        raise DataError(f"rows is a {type(given.rows).__name__}, expected a function: leave it out, or pass one.")
    if given.scaler is not None:
        _check_scaler(given.scaler)
    return given._replace(
        what=_what(given.what), layers=names("layers", given.layers), every=whole("every", given.every),
        start=as_step(given.start, "start"),
    )  # fmt: skip


def _check_recorder(rec: Any) -> None:
    try:
        inspect.signature(rec.log).bind(0, {})
    except (AttributeError, TypeError, ValueError):  # without log, with one that takes something else, or one in C
        raise DataError(f"rec is a {type(rec).__name__}, expected a recorder: pass covdist.Recorder(path).") from None


def _check_scaler(scaler: Any) -> None:
    if isinstance(scaler, type) or not all(callable(getattr(scaler, each, None)) for each in _SCALER):
        raise DataError(
            f"scaler is a {type(scaler).__name__}, expected a torch.amp.GradScaler: leave it out, or pass the one "
            "that scales the loss."
        )


def _what(given: str | Sequence[str]) -> tuple[str, ...]:
    what = names("what", given)
    if unknown := [each for each in what if each not in WHAT]:
        raise DataError(f"what={unknown[0]!r} cannot be recorded: choose of {', '.join(WHAT)}.")
    if not what:
        raise DataError(f"what=() records nothing: name some of {', '.join(WHAT)}.")
    return what


def check_model(model: Any) -> None:
    """Raise DataError where something is no model."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise DataError(f"model is a {type(model).__name__}, expected a torch.nn.Module: pass the model that trains.")


def chosen_rows(rows: Rows, node: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return what ``rows`` makes of a tensor; DataError where that has no rows."""
    import torch

    found = rows(node, tensor)
    if not isinstance(found, torch.Tensor) or not found.ndim:
        said = "a tensor of a single number" if isinstance(found, torch.Tensor) else told(found)
        raise DataError(f"rows returns {said} for {node or 'the model'}, expected a tensor of rows, one axis or more.")
    return found.unsqueeze(-1) if found.ndim == 1 else found.flatten(1)

"""``per_sample_gradients``: the gradient of each sample's own loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from covdist.errors import DataError
from covdist.given import names, told, whole
from covdist.record.torch.asked import check_model
from covdist.record.torch.installed import check_torch
from covdist.record.torch.layers import layers_of, unwrapped
from covdist.record.torch.rows import axes_after_units

if TYPE_CHECKING:
    import torch


def per_sample_gradients(
    model: torch.nn.Module, loss: Callable[[Any, Any], torch.Tensor], batch: Any, targets: Any, layers: Any = "*",
    *, chunk_size: int | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Gradients of each sample's own loss by the parameters of each layer, to log beside those of the batch.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode where it holds batch norms, whose batch statistics tie samples together.
    loss : callable
        Of the model's output for one sample, with a first axis of 1, and its target likewise; returns a scalar, as
        ``torch.nn.functional.cross_entropy`` does.
    batch : Tensor, or tuple or mapping of them
        Samples on the first axis: the model's argument, or its arguments.
    targets : Tensor, or tuple or mapping of them
        Samples on the first axis.
    layers : str or sequence of str
        As for :func:`watch`.
    chunk_size : int, optional
        Samples that are computed together, fewer where memory is short; all by default.

    Returns
    -------
    dict of str to Tensor
        ``"fc1/sample_gradient"`` (sample, param) of each layer with trained parameters, weights before biases, each
        flat. A recorder appends them sample by sample, with the step of each in ``sample_step``.

    Raises
    ------
    DataError
        The model holds a batch norm in training mode, the loss is not a scalar, or something else is not what it should
        be.
    """
    check_torch()
    import torch

    check_model(model)
    if not callable(loss):
        raise DataError(f"loss is a {type(loss).__name__}, expected a function of output and target: pass one.")
    model, patterns = unwrapped(model), names("layers", layers)
    chunk_size = None if chunk_size is None else whole("chunk_size", chunk_size)
    _check_samples(batch, targets)
    for name, module in model.named_modules():
        if module.training and axes_after_units(module) and getattr(module, "running_mean", None) is not None:
            raise DataError(
                f"{name} is a {type(module).__name__} in training mode, by which each sample's loss depends on all "
                "others: call model.eval() first."
            )
    trained = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    others = {name: each.detach() for name, each in model.named_parameters() if not each.requires_grad}
    others |= {name: each.detach() for name, each in model.named_buffers()}

    def one(parameters: dict[str, torch.Tensor], sample: Any, target: Any) -> torch.Tensor:
        given, named = _arguments(_each(lambda tensor: tensor.unsqueeze(0), sample))
        found = torch.func.functional_call(model, {**parameters, **others}, given, named)
        value = loss(found, _each(lambda tensor: tensor.unsqueeze(0), target))
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            raise DataError(f"the loss is {told(value)}, expected a tensor of one real number: return one.")
        if value.numel() != 1:
            raise DataError(f"the loss has the shape {tuple(value.shape)}, expected a scalar: take its mean or sum.")
        return value.reshape(())

    vmapped = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0), randomness="different", chunk_size=chunk_size)
    gradients = vmapped(trained, batch, targets)
    rows = {}
    for layer in layers_of(model, patterns):
        prefix = f"{layer.node.replace('/', '.')}." if layer.node else ""
        flat = [gradients[prefix + each].flatten(1) for each in layer.parameters if prefix + each in gradients]
        if flat:
            rows[layer.name("sample_gradient")] = torch.cat(flat, 1)
    return rows


def _check_samples(batch: Any, targets: Any) -> None:
    """Raise DataError where batch and targets are not tensors of as many samples."""
    import torch

    counts: list[int] = []
    for what, given in (("batch", batch), ("targets", targets)):
        for leaf in torch.utils._pytree.tree_leaves(given) or [given]:
            if not isinstance(leaf, torch.Tensor) or not leaf.ndim or not len(leaf):
                raise DataError(f"{what} must be tensors with the samples on their first axis, found {told(leaf)}.")
            counts.append(len(leaf))
            if counts[-1] != counts[0]:
                raise DataError(f"{what} must have {counts[0]} samples, as the batch has, found {counts[-1]}.")


def _arguments(sample: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(sample, Mapping):
        return (), dict(sample)
    return tuple(sample) if isinstance(sample, tuple | list) else (sample,), {}


def _each(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    import torch

    return torch.utils._pytree.tree_map(function, value)

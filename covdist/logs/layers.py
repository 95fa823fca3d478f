"""Layers in the names that tensors have in the files of PyTorch and its kin."""

from __future__ import annotations

from collections.abc import Iterable


def layered(names: Iterable[str]) -> dict[str, str]:
    """Return the paths of tensors by their names: the dots of a name without slashes are steps, as modules have them.

    All names stay as they are where one would be both a tensor and a layer, or a step would have no name.

    Examples
    --------
    >>> layered(["blocks.0.fc1.activation", "fc1/a.b", "loss"])
    {'blocks.0.fc1.activation': 'blocks/0/fc1/activation', 'fc1/a.b': 'fc1/a.b', 'loss': 'loss'}
    >>> layered(["fc1", "fc1.weight"])
    {'fc1': 'fc1', 'fc1.weight': 'fc1.weight'}
    """
    paths = {name: name if "/" in name else name.replace(".", "/") for name in names}
    found = set(paths.values())
    layers = {path[:end] for path in found for end, character in enumerate(path) if character == "/"}
    plain = len(found) == len(paths) and found.isdisjoint(layers)
    return paths if plain and all(all(path.split("/")) for path in found) else {name: name for name in paths}

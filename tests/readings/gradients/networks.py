"""Logs of small networks, in memory."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import xarray as xr


class Kept:
    """A recorder that keeps what it is given, for a log in memory."""

    def __init__(self):
        self._arrays, self._steps, self._epochs = defaultdict(list), defaultdict(list), defaultdict(list)

    def log(self, step, arrays, *, epoch):
        for name, array in arrays.items():
            self._arrays[name].append(np.array(array))
            self._epochs[name] += [epoch] * (1 if name.endswith("gradient") else len(array))

    def tree(self, chunk=None):
        nodes = defaultdict(dict)
        for name, arrays in self._arrays.items():
            layer, variable = name.split("/")
            if variable == "gradient":
                dims, values, epochs = ("step", "param"), np.stack(arrays), {"epoch": ("step", self._epochs[name])}
            else:
                dims, values = ("sample", "unit"), np.concatenate(arrays)
                epochs = {"sample_epoch": ("sample", self._epochs[name])}
            if variable != "input":
                nodes[layer][variable] = xr.DataArray(values, dims=dims, coords=epochs)
        tree = xr.DataTree.from_dict({f"/{layer}": xr.Dataset(arrays) for layer, arrays in nodes.items()})
        return tree if chunk is None else tree.chunk(chunk)


def log(gradients=None, activations=None, **layers):
    """Return a log of arrays by layer."""
    nodes = defaultdict(dict)
    for layer, values in (gradients or {}).items():
        nodes[layer]["gradient"] = (("step", "param"), values)
    for layer, values in (activations or {}).items():
        nodes[layer]["activation"] = (("sample", "unit"), values)
    return xr.DataTree.from_dict({f"/{layer}": xr.Dataset(arrays) for layer, arrays in nodes.items()})

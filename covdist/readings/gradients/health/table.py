"""The numbers of all layers, and groups, as one labelled table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed

from covdist.readings.gradients.health.questions import ACTIVATIONS, GRADIENTS
from covdist.readings.gradients.health.verdicts import FLAGS, Thresholds, advice, judged, per_layer
from covdist.results.deferred import apply
from covdist.results.labels import Groups

_ABOUT = {
    "rms": ("root mean square of the gradient", "units of the gradient"),
    "mean": ("mean of the gradient", "units of the gradient"),
    "std": ("standard deviation of the gradient", "units of the gradient"),
    "snr": ("norm of the mean gradient over that of its noise", "1"),
    "zero_fraction": ("share of zeros in the gradient", "1"),
    "relative": ("gradient relative to that of the last layer", "1"),
    "parameters": ("parameters", "1"),
    "units": ("units", "1"),
    "dead_share": ("share of units that never change", "1"),
    "saturated_share": ("share of units at the bounds of their range", "1"),
    "redundant_share": ("share of units that repeat an earlier one", "1"),
    "gradient_nonfinite": ("NaN and infinities in the gradient", "1"),
    "activation_nonfinite": ("NaN and infinities in the activation", "1"),
    **{name: (f"whether the layer is flagged as {name.replace('_', ' ')}", "1") for name in FLAGS},
    "verdict": ("what the layer suffers from", "1"),
    "per_layer": ("factor from a layer's gradient to that of the layer before it", "1"),
    "per_layer_error": ("standard error of the logarithm of per_layer", "1"),
    "advice": ("what to change", "1"),
}
_COUNTS = ("parameters", "units", "gradient_nonfinite", "activation_nonfinite")
_OF_NETWORK = ("per_layer", "per_layer_error", "advice")


class SharedGroups(NamedTuple):
    """The groups of all arrays, and which of these each array's are, by path."""

    groups: Groups | None
    places: dict[str, np.ndarray]

    @property
    def number(self) -> int:
        return 1 if self.groups is None else self.groups.size


def shared_groups(found: Mapping[str, Groups | None]) -> SharedGroups:
    """Return the groups of all: activations may be of fewer epochs than gradients."""
    known = [groups for groups in found.values() if groups is not None]
    if not known:
        return SharedGroups(None, dict.fromkeys(found, np.zeros(1, int)))
    values = known[0].values
    if not all(groups.same(known[0]) for groups in known):
        values = np.unique(np.concatenate([groups.values for groups in known]))
    places = {path: np.searchsorted(values, groups.values) for path, groups in found.items() if groups is not None}
    return SharedGroups(Groups(known[0].dim, values, known[0].indexed), places)


class HealthTable:
    """Makes all numbers, (layers, groups), of the answers by path."""

    def __init__(self, layers: Sequence[str], shared: SharedGroups, thresholds: Thresholds):
        self.layers, self.shared, self.thresholds = layers, shared, thresholds

    def __call__(self, *answers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {path: values for each in answers for path, values in each.items()}
        shape = len(self.layers), self.shared.number
        table = {n: np.full(shape, 0.0 if n in _COUNTS else np.nan) for n in (*GRADIENTS, *ACTIVATIONS)}
        for row, layer in enumerate(self.layers):
            for kind, names in enumerate((GRADIENTS, ACTIVATIONS)):
                if (path := f"{layer}/{kind}") in found:
                    for name, values in zip(names, found[path].T, strict=True):
                        table[name][row, self.shared.places[path]] = values
        groups = [
            self._of_group({name: values[:, group] for name, values in table.items()}) for group in range(shape[1])
        ]
        joined = {name: np.array([group[name] for group in groups]).T for name in _ABOUT}
        return {name: self._dtyped(name, values) for name, values in joined.items()}

    def _of_group(self, measured: dict[str, np.ndarray]) -> dict[str, Any]:
        numbers = measured | judged(measured, self.thresholds)
        factor, error = per_layer(measured["rms"])
        return numbers | {"per_layer": factor, "per_layer_error": error, "advice": advice(self.layers, numbers)}

    def _dtyped(self, name: str, values: np.ndarray) -> np.ndarray:
        values = values if self.shared.groups is not None else values[..., 0]
        return values.astype(self.dtype(name))

    def dtype(self, name: str) -> np.dtype:
        kinds: dict[str, Any] = {**dict.fromkeys(_COUNTS, np.int64), **dict.fromkeys(FLAGS, bool)}
        return np.dtype({**kinds, "verdict": "U11", "advice": object}.get(name, np.float64))

    def shape(self, name: str) -> tuple[int, ...]:
        groups = () if self.shared.groups is None else (self.shared.number,)
        return groups if name in _OF_NETWORK else (len(self.layers), *groups)


def labelled_table(table: HealthTable, answers: Sequence[Any]) -> xr.Dataset:
    """Make the table of dicts of answers by path, or of promises of them."""
    values = apply(table, *answers)
    groups = table.shared.groups
    dims = ("layer",) if groups is None else ("layer", groups.dim)
    arrays = {}
    for name, (long_name, units) in _ABOUT.items():
        about = {"long_name": long_name, "units": units}
        arrays[name] = (dims[1:] if name in _OF_NETWORK else dims, _array(values, table, name), about)
    found = xr.Dataset(arrays, {"layer": np.array(table.layers)}, vars(table.thresholds))
    return found if groups is None else found.assign_coords(groups.coords())


def _array(values: Any, table: HealthTable, name: str) -> Any:
    if not isinstance(values, Delayed):
        return values[name]
    one = delayed(dict.__getitem__, pure=True)(values, name)
    return da.from_delayed(one, table.shape(name), table.dtype(name))

"""Factors of layers' weights and biases that bring the variance of their outputs to a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.folding.inputs import check_number
from covdist.readings.gradients.gradient_stats import pooled
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_ABOUT = {
    "weight_scale": "factor of the layer's weights, the layers before it scaled by theirs",
    "bias_scale": "factor of the layer's biases",
    "std": "standard deviation of all outputs of the layer, before",
}


@own_names
def initial_scale(
    states: Moments | Mapping[str, Moments], *, target: float = 1.0, order: Sequence[str] | None = None
) -> xr.Dataset:
    """Factors of each layer's weights and biases that bring the variance of its outputs to a target.

    Parameters
    ----------
    states : Moments, or mapping {layer: Moments}
        Of each layer's outputs, before or after the activation function, all from one network; of any kind. What
        :func:`covdist.load` returns of a run is such a mapping.
    target : float
        The variance of all outputs of a layer together, over samples and units; 1 by default.
    order : sequence of str
        The layers in the order in which the signal passes them, each fed by the one before; needed for more than one.
        A layer that is left out keeps its weights; its biases take the ``bias_scale`` of the one before.

    Returns
    -------
    Dataset
        float64 along ``layer``, which a single state has not, and along groups where there are any: ``weight_scale``,
        ``bias_scale`` and ``std``, the deviation that was found. Lazy where a state is.

    Raises
    ------
    DataError
        If layers are missing or have no variance, or the target is not positive.

    Notes
    -----
    With v a layer's variance, ``bias_scale`` is √(target / v), and ``weight_scale`` that over the same of the layer
    before: √(v before / v), for the first layer √(target / v). With both applied to all layers at once, each layer's
    outputs are exactly ``bias_scale`` times what they were wherever the activation functions are positively
    homogeneous, as ReLU, its leaky kinds and the identity are: what layer-sequential scaling (LSUV; Mishkin and Matas
    2016, All you need is a good init) arrives at after a pass for each layer. With others, such as tanh, scale one
    layer by the factor of its single state, record again, and go on with the next, as LSUV does.

    Of gradients by the layers' inputs, the last layer first, ``weight_scale`` brings the gradients' variance to the
    target in the same way, as long as the loss's gradient by the network's outputs stays the same; biases have no part
    in that.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.array([[1.0], [-1.0]])
    >>> states = {"fc1": covdist.moments(2 * x), "fc2": covdist.moments(6 * x)}
    >>> found = covdist.initial_scale(states, order=["fc1", "fc2"])
    >>> found["weight_scale"].values.round(3)  # each layer's outputs over those of the layer before
    array([0.5  , 0.333])
    >>> float(states["fc2"].initial_scale()["weight_scale"].round(3))
    0.167
    """
    check_number("target", target, lambda given: 0 < given < np.inf, "a variance greater than 0, such as 1")
    if isinstance(states, Mapping):
        layers = _in_order(states, order)
    else:
        check_moments(states, "initial_scale")
        layers = {"": states}
    std = pooled(layers)["layer_std"].transpose(..., "layer")
    grouped = next(iter(layers.values())).layout.groups is not None
    weight, bias = xr.apply_ufunc(
        _scales, std, input_core_dims=[["layer"]], output_core_dims=[["layer"]] * 2, keep_attrs=False,
        kwargs={"target": target, "layers": list(layers), "grouped": grouped}, dask="parallelized",
        output_dtypes=[np.float64] * 2, dask_gufunc_kwargs={"allow_rechunk": True},
    )  # fmt: skip
    arrays = dict(zip(_ABOUT, (weight, bias, std), strict=True))
    units = {"std": "the outputs' units"}
    for name, array in arrays.items():
        array.attrs |= {"long_name": _ABOUT[name], "units": units.get(name, "1")}
    found = xr.Dataset(arrays, attrs={"target": target})
    return found if isinstance(states, Mapping) else found.isel(layer=0, drop=True)


read = initial_scale


def _in_order(states: Mapping[str, Moments], order: Sequence[str] | None) -> dict[str, Moments]:
    names = list(states)
    if order is None and len(names) == 1:
        order = names
    if order is None or not names:
        raise DataError(
            f"initial_scale needs the order in which the signal passes the layers, found {len(names)} states without "
            f"one: pass order=[{', '.join(shown(repr(each)) for each in names[:3])}, ...]"
        )
    if isinstance(order, str) or not order or len(set(order)) < len(order) or not set(order) <= set(names):
        raise DataError(
            f"order={shown(repr(order), 200)} is not an order of layers: name each of them once, there are "
            f"{', '.join(shown(repr(each)) for each in names)}"
        )
    for name in order:
        check_moments(states[name], "initial_scale")
    return {name: states[name] for name in order}


def _scales(std: np.ndarray, target: float, layers: list[str], grouped: bool) -> tuple[np.ndarray, np.ndarray]:
    still = ~(std > 0) | np.isinf(std)
    if still.any() and not grouped:
        name = layers[int(np.argmax(still))]
        what = f"layer {shown(repr(name))}" if name else "layer"
        raise DataError(
            f"the standard deviation of the {what} is {std[still][0]:g}, which no factor brings to a target: leave the "
            "layer out, or give it other weights"
        )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bias = np.where(still, np.nan, np.sqrt(float(target)) / std)
        ratio = np.where(still[..., 1:] | still[..., :-1], np.nan, std[..., :-1] / std[..., 1:])
    return np.concatenate([bias[..., :1], ratio], axis=-1), bias

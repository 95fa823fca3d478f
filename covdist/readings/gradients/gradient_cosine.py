"""Cosines of gradients: of single steps with the mean, and between the means of groups or layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr

from covdist.errors import DataError, shown
from covdist.readings.gradients.squares import Squares, array_of, columns_of, squares_of, to_one_scale
from covdist.results.deferred import apply
from covdist.results.labels import Axis, Groups, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments
from covdist.state.base import State
from covdist.state.grouped import Grouped

_ABOUT = {
    "cosine": "cosine of a step's gradient with the mean gradient, root mean square",
    "cosine_debiased": "cosine of a step's gradient with the true gradient, root mean square",
    "between": "cosine of two mean gradients",
}


@own_names
def gradient_cosine(m: Moments | Mapping[str, Moments]) -> xr.Dataset:
    """Cosine of the steps' gradients with their mean, and of the mean gradients of groups or layers with each other.

    Parameters
    ----------
    m : Moments, or mapping of str to Moments
        Of gradients, with a row for each step or sample; of any state: ``state="variances"`` is enough. Of several
        layers, by name: of as many parameters each, without groups.

    Returns
    -------
    Dataset
        float64, without units, lazy where ``m`` is; along the groups or ``layer`` where there are any. ``cosine`` from
        0 to 1: 1 where all steps point the same way and are as long. ``cosine_debiased``: the same with the true
        gradient, whose mean of few steps is too long by its noise; 0 where the rows do not tell the gradient from 0,
        NaN for fewer than two rows. Of groups or layers also ``between`` from -1 to 1, dims such as
        ``("epoch", "epoch_2")`` or ``("layer", "layer_2")``. NaN where a mean gradient is 0, and in groups without
        rows.

    Raises
    ------
    DataError
        If there are no rows, layers are not of one width, or have groups.

    Notes
    -----
    ``cosine`` is ‖g‖ / (mean ‖gₜ‖²)^½ of the gradients gₜ and their mean g: the mean of gₜ · g over the product of ‖g‖
    and the root mean square of ‖gₜ‖. The debiased one has the unbiased ‖G‖² = ‖g‖² - Σ s² / n in place of
    ‖g‖², as :func:`covdist.noise_scale` has it; its square is the mean of gₛ · gₜ over all pairs of two different
    steps, over the mean of ‖gₜ‖². With reliabilities n is the effective number, (Σw)²/Σw².

    Examples
    --------
    >>> import numpy as np, covdist
    >>> g = np.array([[3.0, 4.0], [3.0, -4.0], [0.0, 2.0], [0.0, 2.0]])
    >>> covdist.moments(g[:2], state="variances").gradient_cosine()["cosine"].item()
    0.6
    >>> epochs = covdist.moments(g, by=np.array([0, 0, 1, 1]), state="variances")
    >>> epochs.gradient_cosine()["between"].values
    array([[1., 0.],
           [0., 1.]])
    """
    if isinstance(m, Moments):
        return _read([m], m.layout.groups, None if m.layout.groups is None else _axis(m.layout.groups))
    if not (isinstance(m, Mapping) and m):
        check_moments(m, "gradient_cosine")
    for name, layer in m.items():
        check_moments(layer, f"gradient_cosine of layer {name!r}")
    _check_alike(m)
    return _read([*m.values()], None, Axis("layer", len(m), {"layer": np.array([*m])}))


read = gradient_cosine


def _check_alike(layers: Mapping[str, Moments]) -> None:
    """Raise DataError where the layers' mean gradients cannot be set against each other."""
    for name, m in layers.items():
        if m.layout.groups is not None:
            raise DataError(
                f"gradient_cosine of layers reads one gradient of each, the layer {name!r} has {m.layout.grouped()}: "
                "read one group of each, or the groups of one layer"
            )
    sizes = {name: m.layout.widths[0] for name, m in layers.items()}
    if len(set(sizes.values())) > 1:
        found = shown(", ".join(f"{name} {size}" for name, size in sizes.items()))
        raise DataError(
            f"gradient_cosine of layers needs as many parameters in each, found {found}: read those of one width "
            "together"
        )
    if len({m.deferred.widths for m in layers.values()}) > 1:
        raise DataError("the layers are chunked differently along their parameters: compute() them first")


def _axis(groups: Groups) -> Axis:
    columns = {level: groups.values[level] for level in groups.levels} or {groups.dim: groups.values}
    return Axis(groups.dim, groups.size, columns, groups.levels)


def _read(layers: Sequence[Moments], groups: Groups | None, axis: Axis | None) -> xr.Dataset:
    lengths = apply(_with_mean, squares_of(layers, 0))
    axes = [] if axis is None or groups is not None else [axis]
    shape = () if axis is None else (axis.size,)
    arrays = {
        name: labelled(array_of(lengths, number, shape), axes, groups, name, _attrs(name))
        for number, name in enumerate(("cosine", "cosine_debiased"))
    }
    if axis is not None:
        strips = zip(*(m.deferred.parts for m in layers), strict=True)
        between = apply(_between, *(apply(partial(_products, size=axis.size), *strip) for strip in strips))
        axes = [*axes, axis.second(axis)]
        arrays["between"] = labelled(array_of(between, 0, shape * 2), axes, groups, "between", _attrs("between"))
    return xr.Dataset(arrays)


def _attrs(name: str) -> dict[str, str]:
    return {"long_name": _ABOUT[name], "units": "1"}


def _with_mean(squares: Squares) -> np.ndarray:
    """Return both cosines, (2, groups)."""
    lengths = np.array([squares.signal, np.maximum(squares.unbiased(), 0)])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sqrt(lengths / (squares.signal + squares.noise))
    return np.where(squares.some, found, np.nan)  # squares may underflow


# ---- between means


def _products(*states: State | Grouped, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a power of two for each mean gradient, and the products of all pairs times theirs."""
    means = np.array([columns.mean() for columns in columns_of(states, size)])
    exponents = np.frexp(np.abs(means).max(axis=1, initial=0))[1].astype(int)
    scaled = np.ldexp(means, -exponents[:, None])
    with np.errstate(invalid="ignore"):  # of NaN and infinity that were let through
        return exponents, scaled @ scaled.T


def _between(*parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    _, shifts = to_one_scale([exponents for exponents, _ in parts])
    total = sum(np.ldexp(products, shift[:, None] + shift) for (_, products), shift in zip(parts, shifts, strict=True))
    squares = np.diagonal(total)
    roots = np.sqrt(np.where(squares > 0, squares, np.nan))
    with np.errstate(invalid="ignore"):  # of infinity that was let through
        return np.clip(total / roots[:, None] / roots, -1, 1)[None]

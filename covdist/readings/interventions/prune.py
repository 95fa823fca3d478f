"""Units of a layer that the next one misses least, and the weights that make up for them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from covdist.errors import DataError
from covdist.folding.inputs import check_number
from covdist.given import told
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.removal import Removal
from covdist.numerics.matrices.shrinkage import check_finite
from covdist.readings.interventions.kfac import described
from covdist.readings.rows.whiten import check_ungrouped
from covdist.results.applied import RowArray
from covdist.results.labels import ArrayLike, Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading

_ABOUT = {
    "pruned": ("whether a unit is pruned", "1"),
    "order": ("units pruned, by their places, in the order of their removal", "1"),
    "loss": ("mean square of what the next layer's sums lose, after each removal", "square of the sums' units"),
    "loss_share": ("the loss, as a share of what the sums lose without all units", "1"),
    "weights": ("corrected weights, 0 of units that are pruned", "the weights' units"),
    "bias_change": ("what to add to the next layer's biases", "the sums' units"),
}


@reading
def prune(
    m: Moments,
    weights: ArrayLike,
    *,
    share: float | None = None,
    units: npt.ArrayLike | None = None,
    damping: float = 0.0,
    append_one: bool = True,
) -> xr.Dataset:
    """Units of a layer that can be left out at the least cost, and the next layer's weights, corrected for it.

    Parameters
    ----------
    m : Moments
        Of the units' outputs, which the next layer takes for inputs, with a matrix, without groups.
    weights : DataArray or array_like, real
        The next layer's weights (outputs, units), as ``torch.nn.Linear`` has them; of a DataArray the units' dim is
        found by its name.
    share : float, optional
        Prune so much of all units, between 0 and 1, one after the other, each time the one whose loss is least.
    units : array_like, optional
        Prune these, in this order: labels where the units have a coordinate, else places; or a mask of all units.
        Either ``share`` or ``units`` is needed.
    damping : float
        What is added to each unit's variance, as a share of it: 0 by default, which gives least squares. With few rows
        for the units, 0.01 keeps the correction from fitting noise; the loss then counts what the weights change, too.
    append_one : bool
        Whether the next layer has a bias, which is corrected as well: the inputs' covariance decides. Without one it is
        their second moment about zero.

    Returns
    -------
    Dataset
        ``pruned``, bool, of each unit; ``order``, int64, and ``loss`` and ``loss_share``, float64, along ``removal``:
        how the loss grows with each unit, its share NaN where the sums are 0 to rounding; ``weights`` as given,
        corrected, and ``bias_change``, of the outputs. Lazy where ``m`` is.

    Raises
    ------
    DataError
        If the weights do not fit the units, or what to prune is not clear.

    Notes
    -----
    Least over W' and b' of E‖W x - W' x - b'‖², W' being 0 where units are pruned. Removing one unit j costs
    ‖W_j‖² / [H⁻¹]_jj and takes W_j [H⁻¹]_j / [H⁻¹]_jj from the weights, with H the inputs' covariance: the optimal
    brain surgeon (Hassibi and Stork 1993), for whole columns as in Optimal Brain Compression (Frantar, Singh and
    Alistarh 2022) and ZipLM (Kurtic, Frantar and Alistarh 2023). The order is greedy; its weights and losses are those
    of one direct solve. Units that others determine to rounding, and constant ones, go first: they cost nothing.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> x[:, 2] = x[:, 0] - x[:, 1] + 5  # a unit that the others determine
    >>> found = covdist.moments(x).prune(np.array([[1.0, 1.0, 1.0]]), units=[2])
    >>> found["weights"].values.round(6), found["bias_change"].values.round(6), float(found["loss"][-1].round(6))
    (array([[2., 0., 0.]]), array([5.]), 0.0)
    """
    check_ungrouped(m, "prune")
    check_number("damping", damping, lambda given: 0 <= given < np.inf, "0, or a number greater, such as 0.01")
    axis = m.layout.axes[0]
    columns, rows = _columns(axis, share, units), _rows(weights, axis)
    own = np.asarray(rows.array.data).reshape(-1, axis.size)
    if not np.isfinite(own).all():
        raise DataError("weights hold NaN or infinity: pass those of a layer that trains, or leave such outputs out")
    second, state = axis.second(axis), m.asking("estimate" if append_one else "about_zero")
    unit, removal, output = [axis.dim], ["removal"], ["_output"]
    *found, changed, bias = xr.apply_ufunc(
        partial(_pruned, columns=columns, damping=damping),
        state.read(_part, [axis], append_one, "deviations"),
        state.read(_part, [axis, second], append_one, "correlation"),
        m.mean(), xr.DataArray(own, dims=[*output, *unit]),
        input_core_dims=[unit, [*unit, second.dim], unit, [*output, *unit]],
        output_core_dims=[unit, removal, removal, removal, [*output, *unit], output],
        dask="parallelized", output_dtypes=[bool, np.int64, *[np.float64] * 4], keep_attrs=False,
        dask_gufunc_kwargs={"output_sizes": {"removal": columns if isinstance(columns, int) else len(columns)}},
    )  # fmt: skip
    found.append(rows.like(changed.data.reshape(rows.array.shape), "weights"))
    if append_one:
        found.append(rows.labelled(bias.data.reshape(rows.array.shape[: len(rows.samples)]), [], {}, "bias_change"))
    return described(dict(zip(_ABOUT, found, strict=False)), _ABOUT, damping=damping)


read = prune


def _rows(weights: Any, axis: Axis) -> RowArray:
    """Return the weights with the units last."""
    if not isinstance(weights, xr.DataArray):
        weights = np.asarray(weights)
        if weights.ndim != 2:
            raise DataError(f"weights have the shape {weights.shape}: pass those of the next layer, (outputs, units)")
        weights = xr.DataArray(weights, dims=[Axis("output", len(weights)).second(axis).dim, axis.dim])
    return RowArray.of(weights, None, axis, "weights")


def _columns(axis: Axis, share: Any, units: npt.ArrayLike | None) -> np.ndarray | int:
    """Return how many units to prune, or which."""
    if (share is None) == (units is None):
        raise DataError("prune needs either share= or units=: pass share=0.3, or the units to prune")
    found: np.ndarray | int
    if units is not None:
        found = _places(axis, _listed(units))
        count = len(found)
    else:
        check_number("share", share, lambda given: 0 < given < 1, "a number between 0 and 1, such as 0.3")
        found = count = int(share * axis.size + 1e-9)
    if not 0 < count < axis.size:
        raise DataError(f"prune would leave {axis.size - count} of {axis}: prune at least one unit, and leave one")
    return found


def _listed(units: Any) -> np.ndarray:
    try:
        return np.asarray(units)
    except (TypeError, ValueError):  # of lists of several lengths, of a Dataset
        raise DataError(f"units={told(units)} are no units: pass a list of labels or places, or a mask") from None


def _places(axis: Axis, units: np.ndarray) -> np.ndarray:
    if units.dtype == bool:
        if units.shape != (axis.size,):
            raise DataError(f"units is a mask of the shape {units.shape}, expected one of {axis}: pass a flag for each")
        return np.flatnonzero(units)
    labels = axis.coords.get(axis.dim or "", np.arange(axis.size))
    found = [np.flatnonzero(labels == each) for each in units.ravel()]
    for each, places in zip(units.ravel().tolist(), found, strict=True):
        if len(places) != 1:
            raise DataError(
                f"units names {told(each)}, of which {axis} has {len(places)}: pass labels of its units, "
                "or their places where they have none"
            )
    if len(units.ravel()) != len(np.unique(units)):
        raise DataError("units names a unit twice: pass each of them once")
    return np.concatenate([*found, np.empty(0, np.int64)])


def _part(state: Any, append_one: bool, part: str) -> np.ndarray:
    inputs = state.estimate(0, None) if append_one else state.about_zero(False)
    return np.asarray(getattr(inputs, part))


def _pruned(
    deviations: np.ndarray,
    correlation: np.ndarray,
    mean: np.ndarray,
    weights: np.ndarray,
    columns: np.ndarray | int,
    damping: float,
) -> tuple[np.ndarray, ...]:
    check_finite(float(deviations.max()))
    found = Removal.of(Covariance(deviations, correlation, len(deviations)), weights.T, columns, damping)
    pruned = np.zeros(len(deviations), bool)
    pruned[found.order] = True
    with np.errstate(over="ignore", invalid="ignore"):  # of weights and means that are huge
        bias = mean @ (weights.T - found.weights)
    return pruned, found.order, found.loss, found.share, found.weights.T, bias

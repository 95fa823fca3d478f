"""How many samples a batch needs until its gradient is as much signal as noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed

from covdist.errors import DataError
from covdist.results.deferred import apply, members
from covdist.results.labels import labelled
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import State
from covdist.state.grouped import Grouped

_NAMES = {
    "noise_scale": ("simple gradient noise scale, the critical batch size", "samples"),
    "trace": ("summed variances of the gradient of one sample", "squared units of the gradient"),
    "squared_norm": ("squared norm of the true gradient", "squared units of the gradient"),
}


@reading
def noise_scale(m: Moments, *, batch_size: int = 1) -> xr.Dataset:
    """Simple gradient noise scale of a layer: the batch size at which noise and signal of its gradient are equal.

    Parameters
    ----------
    m : Moments
        Of gradients of single samples, or of batches drawn independently, at one point or over a stretch of training in
        which the gradient hardly changes; of any state: ``state="variances"`` is enough. A number for each group.
    batch_size : int
        Samples whose mean gradient a row is; 1 by default.

    Returns
    -------
    Dataset
        float64, lazy where ``m`` is. ``noise_scale``, in samples, is also the critical batch size: below it a batch of
        twice the size makes nearly twice the progress a step, far above it hardly more; infinite where the rows do not
        tell the gradient from 0. ``trace`` and ``squared_norm`` are what it is the ratio of, unbiased both: for several
        layers together, divide the sum of the former by that of the latter. NaN in groups of fewer than two rows.

    Raises
    ------
    DataError
        If ``batch_size`` is no number of samples, or there are fewer than two rows.

    Notes
    -----
    tr Σ / ‖G‖², the simple noise scale of McCandlish, Kaplan and Amodei (2018), An empirical model of large-batch
    training. From n rows of B samples with the mean g and the unbiased variances s², tr Σ = B Σ s² and
    ‖G‖² = ‖g‖² - Σ s² / n, as the mean of n rows has a share of noise in its norm. With
    reliabilities n is the effective number, (Σw)²/Σw².

    Examples
    --------
    >>> import numpy as np, covdist
    >>> g = 1 + 3 * np.random.default_rng(0).normal(size=(4000, 50))  # of single samples: 9 · 50 / 50
    >>> round(covdist.moments(g, state="variances").noise_scale()["noise_scale"].item(), 1)
    9.0
    >>> batches = g.reshape(500, 8, 50).mean(axis=1)
    >>> round(covdist.moments(batches, state="variances").noise_scale(batch_size=8)["noise_scale"].item(), 1)
    9.1
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise DataError(f"batch_size={batch_size!r} is no number of samples: pass a whole number, 1 or more")
    groups = m.layout.groups
    size = 1 if groups is None else groups.size
    parts = [apply(partial(_sums, size=size), part) for part in m.deferred.parts]
    values = apply(partial(_estimates, batch_size=int(batch_size), whole=groups is None), *parts)
    shape = () if groups is None else (size,)
    arrays = {}
    for number, (name, (long_name, units)) in enumerate(_NAMES.items()):
        one = apply(partial(_one, number=number), values)
        data = da.from_delayed(one, shape, np.float64) if isinstance(one, Delayed) else one
        arrays[name] = labelled(data, [], groups, name, {"long_name": long_name, "units": units})
    return xr.Dataset(arrays, attrs={"batch_size": int(batch_size)})


read = noise_scale


def _sums(state: State | Grouped, size: int) -> np.ndarray:
    """Return for each group a power of two, and in its square the signal, the noise, and the noise in the signal."""
    if not isinstance(state, Grouped):
        return np.array([_of(state.side(0))])
    return np.array([_of_group(member.side(0)) for member in members(state, size)])


def _of_group(columns: Any) -> list[float]:
    try:
        return _of(columns)
    except DataError:
        return [0, np.nan, np.nan, np.nan]


def _of(columns: Any) -> list[float]:
    deviation, mean, counted = columns.deviation(1), columns.mean(), columns.columns
    effective = counted.weight**2 / counted.weight2 * (columns.rows() / counted.rows)
    exponent = int(np.frexp(np.maximum(np.abs(mean), deviation).max(initial=0))[1])
    noise = np.ldexp(deviation, -exponent) ** 2
    signal = np.ldexp(mean, -exponent) ** 2
    return [exponent, *(float(each.sum()) for each in (signal, noise, noise / effective))]


def _estimates(*parts: np.ndarray, batch_size: int, whole: bool) -> np.ndarray:
    """Return the three numbers, (3,) or (3, groups), of those of strips of columns."""
    exponents = np.array([part[:, 0] for part in parts]).astype(int)
    top = exponents.max(axis=0)
    signal, noise, excess = sum(
        np.ldexp(part[:, 1:].T, 2 * (exponent - top)) for part, exponent in zip(parts, exponents, strict=True)
    )
    norm, trace = signal - excess, batch_size * noise
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(norm > 0, trace / norm, np.where(trace > 0, np.inf, np.nan))
    found = np.array([scale, np.ldexp(trace, 2 * top), np.ldexp(norm, 2 * top)])
    return found[:, 0] if whole else found


def _one(values: Sequence[np.ndarray], number: int) -> np.ndarray:
    return np.asarray(values[number])

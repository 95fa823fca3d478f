"""How many samples a batch needs until its gradient is as much signal as noise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.readings.gradients.squares import Squares, array_of, difference, squares_of, to_one_scale
from covdist.results.deferred import apply
from covdist.results.labels import Groups, labelled
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_NAMES = {
    "noise_scale": ("simple gradient noise scale, the critical batch size", "samples"),
    "trace": ("summed variances of the gradient of one sample", "squared units of the gradient"),
    "squared_norm": ("squared norm of the true gradient", "squared units of the gradient"),
}


@own_names
def noise_scale(m: Moments | Mapping[int, Moments], *, batch_size: int = 1) -> xr.Dataset:
    """Simple gradient noise scale of a layer: the batch size at which noise and signal of its gradient are equal.

    Parameters
    ----------
    m : Moments, or mapping of int to Moments
        Of gradients of single samples, or of batches drawn independently, at one point or over a stretch of training in
        which the gradient hardly changes; of any state: ``state="variances"`` is enough. A number for each group. Or
        such of two batch sizes, by these: the gradients may then change from row to row.
    batch_size : int
        Samples whose mean gradient a row is; 1 by default. Of a mapping the keys are.

    Returns
    -------
    Dataset
        float64, lazy where ``m`` is. ``noise_scale``, in samples, is also the critical batch size: below it a batch of
        twice the size makes nearly twice the progress a step, far above it hardly more; infinite where the rows do not
        tell the gradient from 0. ``trace`` and ``squared_norm`` are what it is the ratio of, unbiased both: for several
        layers together, divide the sum of the former by that of the latter. NaN in groups of fewer than two rows, of
        two batch sizes in those without rows; there ``trace`` is below 0, and ``noise_scale`` 0, where the larger
        batches have the longer gradients.

    Raises
    ------
    DataError
        If ``batch_size`` is not a number of samples, there are fewer than two rows, or there are not two batch sizes of
        the same parameters and groups.

    Notes
    -----
    tr Σ / ‖G‖², the simple noise scale of McCandlish, Kaplan and Amodei (2018), An empirical model of large-batch
    training. From n rows of B samples with the mean g and the unbiased variances s², tr Σ = B Σ s² and
    ‖G‖² = ‖g‖² - Σ s² / n, as the mean of n rows has a share of noise in its norm. With
    reliabilities n is the effective number, (Σw)²/Σw². From two batch sizes B < C with the mean squared norms |B|² and
    |C|² of their gradients, as in appendix A.1 there, ‖G‖² = (C |C|² - B |B|²) / (C - B) and
    tr Σ = (|B|² - |C|²) / (1/B - 1/C).

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
    if isinstance(m, Mapping):
        return _of_two(m)
    check_moments(m, "noise_scale")
    size = _samples(batch_size, "batch_size=")
    return _labelled(apply(partial(_of_one, batch_size=size), squares_of([m], 1)), m.layout.groups, size)


read = noise_scale


def _samples(given: Any, what: str = "") -> int:
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 1:
        raise DataError(f"{what}{given!r} is not a number of samples: pass a whole number, 1 or more")
    return int(given)


def _of_two(batches: Mapping[Any, Moments]) -> xr.Dataset:
    if len(batches) != 2:
        raise DataError(
            f"noise_scale takes moments of gradients of two batch sizes, found {len(batches)}: pass a mapping such as "
            "{32: m_small, 1024: m_large}"
        )
    (small, first), (large, second) = sorted((_samples(size), m) for size, m in batches.items())
    for size, m in batches.items():
        check_moments(m, f"noise_scale of batches of {size}")
    groups, others = first.layout.groups, second.layout.groups
    if first.layout.widths[0] != second.layout.widths[0] or not _same(groups, others):
        raise DataError(
            f"batches of {small} are a {first.layout.describe()} with {first.layout.grouped()}, those of {large} a "
            f"{second.layout.describe()} with {second.layout.grouped()}: fold gradients of the same layer and groups"
        )
    both = squares_of([first], 0), squares_of([second], 0)
    return _labelled(apply(partial(_from_two, small=small, large=large), *both), groups, [small, large])


def _same(groups: Groups | None, others: Groups | None) -> bool:
    return groups is others or (groups is not None and others is not None and groups.same(others))


def _labelled(values: Any, groups: Groups | None, batch_size: int | list[int]) -> xr.Dataset:
    shape = () if groups is None else (groups.size,)
    arrays = {
        name: labelled(array_of(values, number, shape), [], groups, name, {"long_name": long_name, "units": units})
        for number, (name, (long_name, units)) in enumerate(_NAMES.items())
    }
    return xr.Dataset(arrays, attrs={"batch_size": batch_size})


def _of_one(squares: Squares, batch_size: int) -> np.ndarray:
    trace = batch_size * (squares.noise + squares.excess)
    return _estimates(trace, squares.unbiased(), squares.exponent)


def _from_two(first: Squares, second: Squares, small: int, large: int) -> np.ndarray:
    exponent, shifts = to_one_scale([first.exponent, second.exponent])
    pairs = zip((first, second), shifts, strict=True)
    short, long = (np.ldexp(each.signal + each.noise, 2 * shift) for each, shift in pairs)
    norm = difference(large * long, small * short) / (large - small)
    return _estimates(difference(short, long) / (1 / small - 1 / large), norm, exponent)


def _estimates(trace: np.ndarray, norm: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return the three numbers, (3, groups), of two times ``4**-exponent``."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.where(norm > 0, np.maximum(trace, 0) / norm, np.where(trace > 0, np.inf, np.nan))
        return np.array([scale, np.ldexp(trace, 2 * exponent), np.ldexp(norm, 2 * exponent)])

"""Hilbert-Schmidt independence criterion of two layers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.dependence.features import bandwidths, featured
from covdist.folding.fold import fold_request
from covdist.folding.request import make_request
from covdist.folding.strategy import for_workers
from covdist.numerics.dependence.kernels import independence
from covdist.results.labels import ArrayLike, Dims, Rows
from covdist.results.names import own_names

_NAMES = {
    "hsic": "Hilbert-Schmidt independence criterion",
    "normalised": "Hilbert-Schmidt independence criterion over those of x and y with themselves",
    "p_value": "probability of so much or more without dependence",
}


@own_names
def hsic(
    x: ArrayLike,
    y: ArrayLike,
    *,
    dim: Dims = None,
    by: Rows = None,
    missing: str = "raise",
    inf: str = "raise",
    features: int = 256,
    bandwidth: float | tuple[float, float] | None = None,
    seed: int = 0,
    memory: int | str | None = None,
) -> xr.Dataset:
    """Hilbert-Schmidt independence criterion of all columns of x with all of y, whatever the form of their dependence.

    Parameters
    ----------
    x, y, dim, by, inf, memory
        As for :func:`covdist.moments`; numbers for each group where there are groups.
    missing : str
        "raise", "drop" or "propagate".
    features : int
        Random Fourier features of each side, even. The error of the kernels falls as features^(-1/2), and rows take
        features² steps.
    bandwidth : float, or two, optional
        σ of the kernels exp(-‖a - b‖² / (2σ²)) of x and of y, in their units. By default the median distance of
        different rows in a sample of 1,000, drawn evenly by ``seed``, for which the rows are read once more.
    seed : int
        Of the features and of the sample.

    Returns
    -------
    Dataset
        float64 "hsic" (the biased estimate, as the V-statistic), "normalised" within [0, 1], "p_value", and the
        "bandwidth" of each ``side``; lazy where ``x`` is. The same for any chunks. A side of equal rows has "hsic" 0,
        and NaN for the rest.

    Raises
    ------
    DataError
        If dims, rows or dtypes do not fit, or an option is no such number.

    Notes
    -----
    ‖C‖² of the cross-covariance C of the features of x with those of y, Gretton et al. (2005), in the features of
    Rahimi and Recht (2007): their covariance is folded in one pass. "normalised" is over ‖C_xx‖ ‖C_yy‖, which is
    the alignment of the centred kernels. The p-value holds for rows that do not depend on each other: n times ‖C‖² is
    then a sum of χ² with the products of the eigenvalues of C_xx and C_yy as weights, whose tail is that
    of Lugannani and Rice (1980). Steps of a training do: thin them first.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.linspace(-1, 1, 500)
    >>> found = covdist.hsic(x, x**2)
    >>> bool(found["p_value"] < 1e-6), bool(abs(covdist.corr(x, x**2)) < 1e-9)
    (True, True)
    """
    features = _even(features)
    request = make_request(x, y, dim=dim, by=by, missing=missing, inf=inf, memory=memory)
    widths = bandwidths(request, seed) if bandwidth is None else _given(bandwidth)
    moments = fold_request(for_workers(featured(request, widths, features, seed, "hsic")))
    found = {
        name: moments.deferred.read(independence, (), name, name=name, attrs={"long_name": words, "units": "1"})
        for name, words in _NAMES.items()
    }
    about = {"long_name": "bandwidth of the kernel", "units": "the side's units"}
    found["bandwidth"] = xr.DataArray(widths, dims="side", coords={"side": ["x", "y"]}, attrs=about)
    return xr.Dataset(found, attrs={"features": features, "seed": seed})


def _even(features: Any) -> int:
    try:
        count = operator.index(features)
    except TypeError:
        count = 0
    if count < 2 or count % 2:
        raise DataError(f"features={features!r} is no even number of them: pass such as 256, half cosines, half sines")
    return count


def _given(bandwidth: Any) -> np.ndarray:
    try:
        widths = np.broadcast_to(np.asarray(bandwidth, np.float64), 2).copy()
    except (TypeError, ValueError):
        widths = np.zeros(2)
    if not (np.isfinite(widths) & (widths > 0)).all():
        raise DataError(
            f"bandwidth={bandwidth!r} is no distance: pass a number greater than 0, or one for x and one for y"
        )
    return widths

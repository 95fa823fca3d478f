"""Hilbert-Schmidt independence criterion of two layers."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.dependence.features import bandwidths, featured, first_rows, sample
from covdist.folding.dependence.ranks import check_plain
from covdist.folding.fold import fold_request
from covdist.folding.inputs import check_seed
from covdist.folding.request import make_request
from covdist.folding.strategy import for_workers
from covdist.numerics.dependence.kernels import independence
from covdist.results.deferred import Deferred
from covdist.results.labels import Array, ArrayLike, Dims, Rows
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.base import ask
from covdist.state.dependence.fourier import Fourier, even, given_bandwidths

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

    Features are those of differences from the middle of some rows, exact ones of integers: rows may lie far from 0.

    Features that are saved, added up and read later: ``covdist.moments(x, y, dim=..., state={"name": "fourier",
    "bandwidth": (2.0, 1.0)})``, whose bandwidths must be known, and ``m.hsic()``.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.linspace(-1, 1, 500)
    >>> found = covdist.hsic(x, x**2)
    >>> bool(found["p_value"] < 1e-6), bool(abs(covdist.corr(x, x**2)) < 1e-9)
    (True, True)
    """
    if y is None:
        raise DataError("hsic sets the rows of x against those of y, found no y: pass y")
    features = even(features)
    check_seed(seed)
    request = make_request(x, y, dim=dim, by=by, missing=missing, inf=inf, memory=memory)
    check_plain(request, "hsic")
    sides = sample(request, seed) if bandwidth is None else first_rows(request)
    widths = bandwidths(sides) if bandwidth is None else np.array(given_bandwidths(bandwidth))
    moments = fold_request(for_workers(featured(request, sides, widths, features, seed)))
    return _labelled(moments.deferred, independence, widths, features, seed)


def read(m: Moments) -> xr.Dataset:
    """Read it off moments that keep the features."""
    state, kind = m.asking("independence"), cast(Fourier, m.layout.state)
    return _labelled(state, ask, np.array(kind.bandwidth), kind.features, kind.seed, "independence")


def _labelled(state: Deferred, function: Any, widths: Array, features: int, seed: int, *answer: str) -> xr.Dataset:
    found = {
        name: state.read(function, (), *answer, name, name=name, attrs={"long_name": words, "units": "1"})
        for name, words in _NAMES.items()
    }
    about = {"long_name": "bandwidth of the kernel", "units": "the side's units"}
    found["bandwidth"] = xr.DataArray(widths, dims="side", coords={"side": ["x", "y"]}, attrs=about)
    return xr.Dataset(found, attrs={"features": features, "seed": seed})

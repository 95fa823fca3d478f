"""Power law in the tail of the covariance's eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.eigenvalues import PowerLaw
from covdist.results.labels import PRODUCTS, Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading

_ABOUT = {
    "alpha": ("exponent of the power law", "1"),
    "alpha_error": ("standard error of the exponent", "1"),
    "lower": ("smallest eigenvalue of the tail", PRODUCTS),
    "upper": ("largest eigenvalue", PRODUCTS),
    "tail": ("eigenvalues in the tail", "1"),
    "distance": ("Kolmogorov-Smirnov distance of the fit", "1"),
}


@reading
def power_law(m: Moments) -> xr.Dataset:
    """Exponent α of a power law λ^-α in the density of the covariance's largest eigenvalues, with its range.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a fit for each group where there are groups.

    Returns
    -------
    Dataset
        float64, lazy where ``m`` is: ``alpha``; ``alpha_error``, its standard error (α - 1)/√n; ``lower`` and
        ``upper``, the range of the fit; ``tail``, the n eigenvalues in it; ``distance`` between the tail and its fit,
        by Kolmogorov and Smirnov. NaN where the matrix has NaN, and for a group of too few eigenvalues.

    Raises
    ------
    DataError
        If ``m`` holds no matrix, or one with fewer than three eigenvalues that are not zero.

    Notes
    -----
    α = 1 + n / Σ ln(λ/lower), with the lower end for which the distance is least: Clauset, Shalizi and Newman (2009),
    Power-law distributions in empirical data; for spectra of networks Martin and Mahoney (2021).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(4000, 100)) * np.arange(1, 101.0) ** -1
    >>> found = covdist.moments(x).power_law()  # λ falls as rank^-2, so its density as λ^-1.5
    >>> round(float(found["alpha"]), 1), int(found["tail"]) > 50
    (1.5, True)
    """
    found = m.asking("eigenvalues").read(_power_law, [Axis("field", len(_ABOUT))], name="power_law")
    arrays = {name: found.isel(field=place) for place, name in enumerate(PowerLaw._fields)}
    for name, (long_name, units) in _ABOUT.items():
        arrays[name].attrs |= {"long_name": long_name, "units": units}
    return xr.Dataset(arrays, attrs={"ddof": 0, "kernel": with_kernel()})


read = power_law


def _power_law(state: Any) -> np.ndarray:
    return np.array(state.eigenvalues().power_law())

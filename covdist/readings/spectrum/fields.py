"""A computed spectrum, or the promise of one, as labelled arrays."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.numerics.blas import with_kernel
from covdist.numerics.eigen import Spectrum
from covdist.results.deferred import Deferred
from covdist.results.labels import COLUMNS, PRODUCTS, SQUARES, Axis

_ABOUT = {
    "eigenvalue": ("eigenvalue of the covariance", PRODUCTS),
    "std": ("standard deviation along the eigenvector", COLUMNS),
    "error": ("what the eigenvalue may be off by", PRODUCTS),
    "explained": ("share of the total variance", "1"),
    "total_variance": ("total variance", SQUARES),
    "effective_rank": ("effective rank", "1"),
    "participation_ratio": ("participation ratio", "1"),
    "stable_rank": ("stable rank", "1"),
    "condition": ("condition number", "1"),
    "marchenko_pastur_edge": ("Marchenko-Pastur edge", PRODUCTS),
    "eigenvector": ("eigenvector of the covariance", "1"),
}


def fields(spectra: Deferred, columns: Axis, k: int, vectors: bool) -> xr.Dataset:
    """Return all numbers of spectra of ``columns``, those of groups stacked, and what computed them."""
    each = (component(k),)
    found = {
        "eigenvalue": spectra.read(variance, each, "values"),
        "std": spectra.read(Spectrum.root, each),
        "error": spectra.read(variance, each, "error"),
        "explained": spectra.read(explained, each),
        "total_variance": spectra.read(variance, (), "total"),
        "effective_rank": spectra.read(getattr, (), "effective_rank"),
        "participation_ratio": spectra.read(getattr, (), "participation"),
        "stable_rank": spectra.read(stable_rank, ()),
        "condition": spectra.read(getattr, (), "condition"),
        "marchenko_pastur_edge": spectra.read(edge, (), columns.size),
    }
    if vectors:
        found["eigenvector"] = spectra.read(_vectors, (*each, columns))
    for name, array in found.items():
        array.attrs.update(zip(("long_name", "units"), _ABOUT[name], strict=True))
    return xr.Dataset(found, attrs={"ddof": 0, "kernel": with_kernel()})


def number(found: xr.Dataset, name: str) -> xr.DataArray:
    """Return one number of a spectrum, and what computed it."""
    return found[name].assign_attrs(kernel=found.attrs["kernel"])


def component(k: int) -> Axis:
    return Axis("component", k, {"component": np.arange(k)})


def variance(spectrum: Spectrum, name: str) -> np.ndarray:
    return spectrum.variance(getattr(spectrum, name))


def explained(spectrum: Spectrum) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return spectrum.values / spectrum.total


def stable_rank(spectrum: Spectrum) -> np.ndarray:
    """Sum of the eigenvalues over the largest (Rudelson and Vershynin 2007)."""
    with np.errstate(invalid="ignore"):
        return np.divide(spectrum.total, spectrum.values[0])


def edge(spectrum: Spectrum, columns: int) -> np.ndarray:
    """Upper edge of the spectrum of noise (Marchenko and Pastur 1967)."""
    if spectrum.rows == 0:
        return np.asarray(np.nan)
    return spectrum.variance(spectrum.total / columns * (1 + np.sqrt(columns / spectrum.rows)) ** 2)


def _vectors(spectrum: Spectrum) -> np.ndarray:
    return spectrum.vectors.T

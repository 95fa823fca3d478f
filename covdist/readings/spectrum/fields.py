"""A computed spectrum, or the promise of one, as labelled arrays."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import numpy as np
import xarray as xr

from covdist.numerics.eigen import Spectrum
from covdist.results.deferred import Deferred
from covdist.results.labels import Axis


def fields(spectra: Deferred, columns: Axis, k: int, vectors: bool) -> xr.Dataset:
    """Return all numbers of spectra of ``columns``, those of groups stacked."""
    found = {name: spectra.read(field, (component(k),)) for name, field in _PER_COMPONENT.items()}
    found |= {name: spectra.read(field, ()) for name, field in _WHOLE.items()}
    found["marchenko_pastur_edge"] = spectra.read(edge, (), columns.size)
    if vectors:
        found["eigenvector"] = spectra.read(_vectors, (component(k), columns))
    return xr.Dataset(found, attrs={"ddof": 0})


def component(k: int) -> Axis:
    return Axis("component", k, {"component": np.arange(k)})


def eigenvalue(spectrum: Spectrum) -> np.ndarray:
    return spectrum.variance(spectrum.values)


def error(spectrum: Spectrum) -> np.ndarray:
    return spectrum.variance(spectrum.error)


def explained(spectrum: Spectrum) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return spectrum.values / spectrum.total


def total_variance(spectrum: Spectrum) -> np.ndarray:
    return spectrum.variance(spectrum.total)


def edge(spectrum: Spectrum, columns: int) -> np.ndarray:
    """Upper edge of the spectrum of noise (Marchenko and Pastur 1967)."""
    if spectrum.rows == 0:
        return np.asarray(np.nan)
    return spectrum.variance(spectrum.total / columns * (1 + np.sqrt(columns / spectrum.rows)) ** 2)


def _vectors(spectrum: Spectrum) -> np.ndarray:
    return spectrum.vectors.T


_PER_COMPONENT: dict[str, Callable[[Spectrum], np.ndarray]] = {
    "eigenvalue": eigenvalue,
    "std": Spectrum.root,
    "error": error,
    "explained": explained,
}
_WHOLE: dict[str, Callable[[Spectrum], np.ndarray | float]] = {
    "total_variance": total_variance,
    "effective_rank": attrgetter("effective_rank"),
    "participation_ratio": attrgetter("participation"),
    "condition": attrgetter("condition"),
}

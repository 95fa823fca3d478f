"""Centred kernel alignment of two layers, with linear kernels."""

from __future__ import annotations

from typing import Any

import xarray as xr

from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.two_sides import CKA, Method
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import ask


@reading
def cka(m_xy: Moments, *, debiased: bool = False) -> xr.DataArray:
    """Linear centred kernel alignment (CKA) of two layers: 1 where one is the other turned and scaled, 0 if unrelated.

    Parameters
    ----------
    m_xy : Moments
        ``covdist.moments(x, y, dim=...)`` of the layers' activations for the same samples.
    debiased : bool
        Also with few samples for the columns near 0 for unrelated layers, where the plain figure is near 1. Needs
        ``covdist.moments(x, y, dim=..., state="both norms")`` and at least 4 samples.

    Returns
    -------
    DataArray
        float64, a number, or one a group; lazy where ``m_xy`` is. From 0 to 1; debiased it may be negative. NaN where a
        layer is constant, and debiased where its rows all lie as far from each other, as one-hot ones do.

    Raises
    ------
    DataError
        If ``m_xy`` is of one side, or lacks what ``debiased`` needs.

    Notes
    -----
    ‖Cxy‖² / (‖Cxx‖ ‖Cyy‖) in Frobenius norms, Kornblith et al. (2019), Similarity of Neural Network Representations
    Revisited. Debiased, HSIC(x, y) / √(HSIC(x, x) HSIC(y, y)) of the unbiased estimates by Song et al. (2012), equation
    5, as in Nguyen et al. (2021) and Murphy et al. (2024).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> turned = 2 * x @ np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    >>> round(covdist.cka(covdist.moments(x, turned)).item(), 12)
    1.0
    """
    attrs = {"long_name": "linear centred kernel alignment", "debiased": debiased}
    if debiased:
        return m_xy.read("debiased_alignment", (), name="cka", attrs={**attrs, "units": "1"})
    return read_figure(m_xy, CKA, "cka", **attrs)


read = cka


def read_figure(m_xy: Moments, method: Method, name: str, **attrs: Any) -> xr.DataArray:
    """Label the figure of two layers; one a group."""
    about = {**attrs, "units": "1", "kernel": with_kernel()}
    return m_xy.asking("two_sides").read(_figure, (), method, name=name, attrs=about)


def _figure(state: Any, method: Method) -> float:
    return float(ask(state, "two_sides").figure(method))

"""Covariance shrunk towards a target, by an intensity that the state itself tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from covdist.given import one_of
from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.shrinkage import ANSWERS, METHODS
from covdist.results.deferred import Deferred
from covdist.results.labels import PRODUCTS, Attrs, Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def shrink(m: Moments, method: str = "oas", *, ddof: float = 0) -> xr.DataArray:
    """Covariance matrix shrunk towards the mean variance times the identity: (1 - s) S + s · tr(S)/p · I.

    With few rows for its columns a covariance spreads its eigenvalues too far, or has none that can be inverted; a
    shrunk one lies closer to the truth on average, and always has an inverse.

    Parameters
    ----------
    m : Moments
        Of x, with a matrix; a matrix for each group where there are groups.
    method : str
        What the intensity s is: "oas", the oracle approximating one for Gaussian rows; "rblw", the Rao-Blackwellised
        Ledoit-Wolf one for Gaussian rows; "ols", the optimal linear one without a distribution, for many columns;
        "ledoit-wolf", also without one, which needs ``covdist.moments(x, dim=..., state="norms")``. With
        "constant-correlation" the target is another: the variances of S, and the mean of all correlations for each; it
        needs ``state="comoments"``.
    ddof : float
        The divisor of S is N - ddof; 0 by default. The intensity does not depend on it.

    Returns
    -------
    DataArray
        float64, dims as for :func:`covdist.cov`, lazy where ``m`` is. ``attrs["shrinkage"]`` is the intensity, from 0
        to 1, or one for each group; of a lazy result it is the coordinate ``shrinkage`` instead.

    Raises
    ------
    DataError
        If ``m`` holds no matrix, or one with NaN, or the method is unknown.

    Notes
    -----
    With p columns, N rows and q = tr(S²)/tr(S)²: "oas" (q + 1) / ((N + 1)(q - 1/p)), Chen, Wiesel, Eldar and Hero
    (2010), Shrinkage algorithms for MMSE covariance estimation, equation 23 less its terms of 2/p, as scikit-learn's
    ``OAS``; "rblw" ((N - 2)/N · q + 1) / ((N + 2)(q - 1/p)), their equation 17; "ols" 1 / (N (q - 1/p)), Bodnar, Gupta
    and Parolya (2014), as LEACE's ``optimal_linear_shrinkage`` (Belrose et al. 2023). "ledoit-wolf"
    (k - q) / (N (q - 1/p)) with k the mean of ‖x - mean‖⁴/tr(S)², Ledoit and Wolf (2004), as scikit-learn's
    ``LedoitWolf``. All are cut off at 1, which LEACE's is not. With weights N is the effective number of rows,
    (Σw)²/Σw². "constant-correlation" is that of Ledoit and Wolf (2004), Honey, I shrunk the sample covariance matrix.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(10, 20)) * np.arange(20)
    >>> shrunk = covdist.moments(x).shrink("oas")
    >>> round(shrunk.attrs["shrinkage"], 3), bool(np.linalg.eigvalsh(shrunk)[0] > 0.1)
    (0.669, True)
    """
    about: dict[str, Any] = {"ddof": ddof, "method": method, "units": PRODUCTS}
    attrs = {**about, "long_name": "shrunk covariance"}
    found = read_estimate(m, "matrix", m.layout.matrix_axes(), ddof, method, name="shrink", attrs=attrs)
    share = read_estimate(m, "shrinkage", (), ddof, method, name="shrinkage", attrs={"units": "1"})
    if found.chunks is not None:
        return found.assign_coords(shrinkage=share)
    found.attrs["shrinkage"] = share.to_numpy() if share.ndim else share.item()
    return found


read = shrink


def read_estimate(
    m: Moments, answer: str, axes: Sequence[Axis], ddof: float, method: str | None, *, name: str, attrs: Attrs
) -> xr.DataArray:
    """Label what the covariance, maybe shrunk by a method, answers; NaN for a group that cannot."""
    if method is not None:
        one_of("the method of shrinkage", method, METHODS)
    attrs = {**(attrs or {}), "kernel": with_kernel()}
    return asking_for(m, method).read(_answer, axes, answer, ddof, method, name=name, attrs=attrs)


def asking_for(m: Moments, method: str | None) -> Deferred:
    """Return the state that tells a method's intensity; DataError where it cannot, naming those that can."""
    return m.asking(_name(method))


def estimate_of(state: Any, ddof: float, method: str | None) -> Covariance:
    found: Covariance = getattr(state, _name(method))(ddof, method)
    return found


def _name(method: str | None) -> str:
    return ANSWERS.get(method or "", "estimate")


def _answer(state: Any, answer: str, ddof: float, method: str | None) -> np.ndarray:
    found = getattr(estimate_of(state, ddof, method), answer)
    return np.asarray(found() if callable(found) else found)

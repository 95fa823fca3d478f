"""Confidence intervals of correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtri

from covdist.numerics.columns import DIGITS
from covdist.readings.uncertainty.jackknife import check_level
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def corr_interval(m: Moments, *, level: float = 0.95) -> xr.Dataset:
    """Confidence interval of each correlation of Gaussian rows that do not depend on each other.

    Rows that do, such as the steps of training, are fewer than they seem: ``m.jackknife("corr")``.

    Parameters
    ----------
    m : Moments
        With a matrix, or of each column of x with the same column of y; with intervals for each group where there are
        groups. Under ``missing="pairwise"`` those of a pair count the rows that hold both.
    level : float
        0.95 by default.

    Returns
    -------
    Dataset
        float64 ``lower`` and ``upper``, dims as for :func:`covdist.corr`; lazy where ``m`` is. NaN where there are no
        more than three rows, or the correlation is -1 or 1 to within 1e-12, as on the diagonal.

    Raises
    ------
    DataError
        If ``m`` holds no correlations, or ``level`` is not between 0 and 1.

    Notes
    -----
    tanh(artanh r ± z / √(n - 3)), Fisher (1915), as ``confidence_interval`` of ``scipy.stats.pearsonr``. With weights n
    is the effective number of rows, (Σw)²/Σw², and with frequencies their sum.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(1000, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    >>> found = covdist.moments(x).corr_interval()
    >>> round(float(found["lower"][0, 1]), 2), round(float(found["upper"][0, 1]), 2)
    (0.56, 0.64)
    """
    check_level(level)
    rows, groups = m.count, m.layout.groups
    if rows.ndim == (groups is not None):  # all pairs have the same
        rows = m.deferred.read(effective_rows, (), name="rows")
    found = xr.apply_ufunc(
        _limits, m.corr(), rows, kwargs={"level": level}, output_core_dims=[[], []], dask="parallelized",
        keep_attrs=False, output_dtypes=[np.float64] * 2,
    )  # fmt: skip
    arrays = {
        name: limit.rename(name).assign_attrs(long_name=f"{name} limit of the correlation", units="1")
        for name, limit in zip(("lower", "upper"), found, strict=True)
    }
    return xr.Dataset(arrays, attrs={"level": level})


read = corr_interval


def effective_rows(state: Any) -> np.ndarray:
    """Return how many rows of equal weight those of a state are worth."""
    columns = state.columns
    return np.asarray(columns.weight**2 / columns.weight2 if columns.weight2 else 0.0)


def _limits(correlation: np.ndarray, rows: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    inside = (np.abs(correlation) < 1 - DIGITS) & (rows > 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.arctanh(correlation)
        half = ndtri((1 + level) / 2) / np.sqrt(np.maximum(rows, 3.0) - 3)
        low, high = np.tanh(centre - half), np.tanh(centre + half)
    return np.where(inside, low, np.nan), np.where(inside, high, np.nan)

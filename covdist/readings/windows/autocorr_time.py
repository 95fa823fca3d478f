"""Integrated autocorrelation time of each column."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from covdist.numerics.columns import DIGITS
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def autocorr_time(m: Moments) -> xr.DataArray:
    """Rows after which a column counts as new: 1 where rows do not depend on each other.

    Parameters
    ----------
    m : Moments
        As for :func:`covdist.autocorr`, of several times as many lags as the time to be found.

    Returns
    -------
    DataArray
        float64, in rows; lazy where ``m`` is. NaN for a constant column, where the autocorrelation has not died away
        at the last lag (fold more lags), and where rows alternate so much that the sum is not above 0.

    Raises
    ------
    DataError
        If ``m`` holds no lags.

    Notes
    -----
    1 + 2 Σ ρ(lag), summed as long as sums of two neighbours, ρ(2k) + ρ(2k + 1), are positive: the initial positive
    sequence of Geyer (1992), Practical Markov chain Monte Carlo. The number of rows over this time is their effective
    number, :func:`covdist.effective_sample_size`.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=(5000, 200)), 4, axis=0)  # each row four times
    >>> round(float(covdist.moments(x, state="serial(lags=32)").autocorr_time().median()), 1)
    4.0
    """
    attrs = {"long_name": "integrated autocorrelation time", "units": "rows"}
    return m.asking("autocorrelations").read(_times, m.layout.axes[:1], name="autocorr_time", attrs=attrs)


read = autocorr_time


def _times(state: Any) -> np.ndarray:
    found = state.autocorrelations()
    pairs = found[: len(found) // 2 * 2].reshape(-1, 2, found.shape[1]).sum(axis=1)
    ended = np.maximum.accumulate(~(pairs > 0), axis=0)
    times = 2 * np.where(ended, 0.0, pairs).sum(axis=0) - 1
    return np.where(ended[-1] & (times > DIGITS), times, np.nan)

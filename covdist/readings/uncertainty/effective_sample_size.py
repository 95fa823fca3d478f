"""How many independent rows have a mean as certain as that of rows that depend on each other."""

from __future__ import annotations

import xarray as xr

from covdist.folding.grouping import BLOCK
from covdist.numerics.columns import DIGITS
from covdist.readings.uncertainty.jackknife import blocks_of, weights_of
from covdist.readings.windows.autocorr_time import autocorr_time
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def effective_sample_size(m: Moments, *, dim: str = BLOCK) -> xr.DataArray:
    """Number of independent rows whose mean is as certain as that of each column of x.

    Parameters
    ----------
    m : Moments
        With groups by blocks of consecutive rows, as ``covdist.moments(x, dim=..., blocks=32)`` makes them; or with
        lags, as ``covdist.moments(x, dim=..., state="serial(lags=32)")`` has them. Where there are other groups, a
        number for each.
    dim : str
        The name of the blocks: another coordinate, such as an epoch, may take their place.

    Returns
    -------
    DataArray
        float64, greater than 0: about the number of rows where these are independent, fewer where neighbours are alike,
        more where they alternate. NaN for a constant column, of blocks that all have the same mean, and where
        :func:`covdist.autocorr_time` is NaN. Lazy where ``m`` is.

    Raises
    ------
    MergeError
        If ``m`` has neither blocks nor lags.
    DataError
        If there are fewer than two blocks.

    Notes
    -----
    Of lags the number of rows over :func:`covdist.autocorr_time`. Of blocks batch means, Vats, Flegal and Jones (2019),
    Multivariate output analysis for Markov chain Monte Carlo: N s² / (b v), with the variance s² of N rows, and v that
    of the means of blocks of b rows; both unbiased. Blocks have to be long beside the lengths over which rows depend on
    each other; of g blocks the number is off by about √(2 / (g - 1)).

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> x = np.repeat(rng.normal(size=(2000, 500)), 4, axis=0)  # each row four times
    >>> found = covdist.moments(x, blocks=100, state="variances").effective_sample_size()
    >>> bool(abs(found.median() / 2000 - 1) < 0.05)
    True
    """
    about = {"long_name": "effective sample size", "units": "rows"}
    if m.can_answer("autocorrelations"):
        return (m.rows / autocorr_time(m)).rename("effective_sample_size").assign_attrs(about)
    layout, blocks = blocks_of(m, dim, "effective_sample_size")
    count = (weights_of(layout, blocks, dim) > 0).sum(dim)
    columns = m.x
    between, spread = columns.between(dim).std(), columns.merge(dim).std(ddof=1)
    found = (spread / between.where(between > DIGITS * spread)) ** 2 * (count - 1)
    return found.rename("effective_sample_size").assign_attrs(about)


read = effective_sample_size

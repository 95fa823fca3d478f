"""Frechet distance of two Gaussians, and what it would be of endlessly many rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import xarray as xr

from covdist.folding.grouping import BLOCK
from covdist.given import one_of
from covdist.readings.distributions.pairs import Pair, answer_of, has_blocks
from covdist.readings.uncertainty.corr_interval import effective_rows
from covdist.readings.uncertainty.jackknife import blocks_of
from covdist.results.deferred import Deferred
from covdist.results.labels import SQUARES
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_EXTRAPOLATE = "extrapolate"
_CUTS = (1, 2, 4)  # distances are taken of all rows, of halves and of quarters


@own_names
def frechet(m_a: Moments, m_b: Moments, *, ddof: float = 0, bias: str | None = None) -> xr.DataArray:
    """Squared Frechet distance of the two Gaussians that have the means and covariances of two states: FID.

    Also the square of their 2-Wasserstein distance.

    Parameters
    ----------
    m_a, m_b : Moments
        Of the same columns, with a matrix. With a distance for each group where both have the same groups; where one
        alone has groups, each of them is set against the other.
    ddof : float
        The divisor of the covariances is N - ddof; 0 by default. Packages for FID, such as pytorch-fid and
        torchmetrics, use ``ddof=1``.
    bias : str, optional
        "extrapolate": what the distance would be of endlessly many rows, FID∞, of states with ``blocks=``. The distance
        of few rows is too large on average, by about a constant over their number. Where one state has no blocks, its
        own share of the bias stays.

    Returns
    -------
    DataArray
        float64, in squared units of the columns; never negative, and exactly 0 for a state with itself; lazy where a
        state is. NaN where a covariance has NaN. Extrapolated ones of equal distributions are negative by chance.

    Raises
    ------
    DataError
        If the columns or groups differ, a state holds no matrix, or ``ddof`` leaves nothing to divide by.
    MergeError
        If a distance is to be extrapolated and neither state has blocks.

    Notes
    -----
    ‖μ_a - μ_b‖² + tr A + tr B - 2 tr (AB)^½: Dowson and Landau (1982); Heusel et al. (2017), GANs trained
    by a two time-scale update rule. tr (AB)^½ is the nuclear norm of LᵀK with A = L Lᵀ and B = K Kᵀ, so that no root of
    a matrix is taken. Covariances of fewer rows than columns are as good as others, the distance is not: it then
    depends on their number most of all. FID∞ is the intercept of a line through the distances of all blocks, of halves
    and of quarters of them, against 1 / rows: Chong and Forsyth (2020), Effectively unbiased FID and Inception Score.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(1000, 3))
    >>> a, b = covdist.moments(x), covdist.moments(2 * x + 1)
    >>> round(float(covdist.frechet(a, b)), 2), float(covdist.frechet(a, a))
    (5.76, 0.0)
    """
    if bias is None:
        return _plain(m_a, m_b, ddof)
    one_of("bias", bias, [_EXTRAPOLATE])
    return _extrapolated(m_a, m_b, ddof)


def _plain(m_a: Moments, m_b: Moments, ddof: float) -> xr.DataArray:
    attrs = {"ddof": ddof, "long_name": "squared Frechet distance", "units": SQUARES}
    return Pair.of(m_a, m_b, "frechet").read(answer_of, (), "frechet", ddof, name="frechet", attrs=attrs)


# ---- of endlessly many rows


class _InBlocks(NamedTuple):
    """A state in blocks, or one that has none."""

    layout: Layout
    each: Sequence[Deferred]

    @classmethod
    def of(cls, m: Moments, whole: bool) -> _InBlocks:
        """Take a state apart into its blocks, or ``whole``."""
        return cls(m.layout, [m.deferred]) if whole else cls(*blocks_of(m, BLOCK, "frechet(bias='extrapolate')"))

    def union(self, start: int, cuts: int) -> Moments:
        """Return every block whose number leaves ``start`` when divided by ``cuts``: so that no drift matters."""
        some = self.each if len(self.each) == 1 else self.each[start::cuts]
        return Moments(reduce(Deferred.merge, some), self.layout)


def _extrapolated(m_a: Moments, m_b: Moments, ddof: float) -> xr.DataArray:
    for each in (m_a, m_b):
        check_moments(each, "frechet")
    has = [has_blocks(each) for each in (m_a, m_b)]
    sides = [_InBlocks.of(each, any(has) and not one) for each, one in zip((m_a, m_b), has, strict=True)]
    least = min(len(side.each) for side, one in zip(sides, has, strict=True) if one)
    cuts = [(start, cut) for cut in _CUTS if cut <= least for start in range(cut)]
    a, b = sides
    values = [_plain(a.union(*each), b.union(*each), ddof) for each in cuts]
    inverse = [_inverse_rows(a, *each) + _inverse_rows(b, *each) for each in cuts]
    found = xr.apply_ufunc(
        _intercept, _joined(values), _joined(inverse), input_core_dims=[["union"]] * 2, dask="parallelized",
        output_dtypes=[np.float64], keep_attrs=False,
    )  # fmt: skip
    attrs = values[0].attrs | {"bias": _EXTRAPOLATE}
    return found.rename("frechet").assign_attrs(attrs)


def _inverse_rows(side: _InBlocks, start: int, cuts: int) -> xr.DataArray:
    """Return how many times the rows of a union all blocks together have: 1 of a state without blocks."""
    whole, some = (side.union(*each).deferred.read(effective_rows, ()) for each in ((0, 1), (start, cuts)))
    return whole / some


def _joined(arrays: list[xr.DataArray]) -> xr.DataArray:
    found = xr.concat(arrays, "union")
    return found.chunk({"union": -1}) if found.chunks else found


def _intercept(values: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return where lines through values against 1 / rows begin; both run along the last axis."""
    some = np.isfinite(values) & np.isfinite(inverse)
    values, inverse = np.where(some, values, np.nan), np.where(some, inverse, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = some.sum(axis=-1, keepdims=True)
        centre, middle = (np.nansum(each, axis=-1, keepdims=True) / count for each in (inverse, values))
        apart = inverse - centre
        slope = np.nansum(apart * (values - middle), axis=-1) / np.nansum(apart**2, axis=-1)
        return np.asarray(middle[..., 0] - slope * centre[..., 0])

"""LEACE: the affine map of least change after which no linear model finds a concept in rows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.inputs import check_number
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.erasure import directions
from covdist.numerics.matrices.shrinkage import check_finite
from covdist.readings.estimates.shrink import read_estimate
from covdist.readings.interventions.kfac import described
from covdist.readings.rows.whiten import check_method, check_ungrouped
from covdist.results.labels import Axis
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.scatter import Scatter

_ABOUT = {
    "left": ("directions that are taken out of rows", "the rows' units"),
    "right": ("what is read off rows less the mean, for each direction", "1 / the rows' units"),
    "projection": ("matrix P of the eraser P x + bias", "1"),
    "bias": ("bias of the eraser P x + bias", "the rows' units"),
    "mean": ("mean of the rows", "the rows' units"),
}


@reading
def leace(
    m_xz: Moments, m_x: Moments | None = None, *, shrink: str | None = None, tolerance: float = 1e-8
) -> xr.Dataset:
    """The affine eraser of a concept: after it x and z have no covariance, and x has changed as little as can be.

    Parameters
    ----------
    m_xz : Moments
        Of rows x and the concept z, ``covdist.moments(x, z, dim=...)``, without groups; z are numbers, of a class a
        column for each that is 0 or 1.
    m_x : Moments, optional
        Of x alone, with a matrix; not needed where ``m_xz`` holds that matrix.
    shrink : str, optional
        Shrink the covariance of x first, by a method of :func:`covdist.shrink`: "ols" is what concept-erasure does by
        default. The covariance of erased rows with z is zero either way.
    tolerance : float
        Correlations of directions of x with z up to this, 1e-8 by default, are taken for rounding, such as that of
        columns for all classes, which add up to 1.

    Returns
    -------
    Dataset
        float64 ``projection`` P (unit, unit_2) and ``bias`` (unit), so that P x + bias is erased; the same as
        ``left`` L (unit, direction), ``right`` R (direction, unit) and ``mean``, so that x - L R (x - mean) is: what
        :func:`covdist.erase` does. Lazy where one of the moments is.

    Raises
    ------
    DataError
        If the moments are not those of x and z, and of the same x.

    Notes
    -----
    P = I - W⁺ Q W with W the inverse root of the covariance of x and Q the orthogonal projection onto the columns of W
    Cov(x, z); bias = E[x] - P E[x]. Of all affine maps that leave no linear model better than a constant one it changes
    x least, in the mean square by any norm: Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff and Biderman (2023),
    LEACE: Perfect linear concept erasure in closed form, theorem 4.3.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x, label = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    >>> x[:, 0] += 3 * label
    >>> eraser = covdist.leace(covdist.moments(x, label), covdist.moments(x))
    >>> bool(abs(covdist.cov(covdist.erase(x, eraser).values, label)).max() < 1e-14)
    True
    """
    check_number("tolerance", tolerance, lambda given: 0 <= given < 1, "a correlation below 1, such as 1e-8")
    check_method(shrink)
    m_x = _checked(m_xz, m_x)
    axis, of_z = m_x.layout.axes[0], m_xz.layout.axes[1]
    axis = replace(axis, dim=axis.dim or "unit")
    second, concept = axis.second(axis), Axis("concept", of_z.size).second(axis)
    x, x_2, z = ([each.dim] for each in (axis, second, concept))
    deviations = read_estimate(m_x, "deviations", [axis], 0, shrink, name="deviations", attrs=None)
    correlation = read_estimate(m_x, "correlation", [axis, second], 0, shrink, name="correlation", attrs=None)
    of_both = (_mean, [axis]), (_deviations, [axis]), (_correlation, [axis, concept]), (_of_concept, [concept])
    mean, spread, cross, known = (m_xz.asking("correlation").read(each, axes) for each, axes in of_both)
    found = xr.apply_ufunc(
        partial(_eraser, tolerance=tolerance), deviations, correlation, spread, cross, mean, known,
        input_core_dims=[x, [*x, *x_2], x, [*x, *z], x, z],
        output_core_dims=[[*x, "direction"], ["direction", *x], [*x, *x_2], x],
        dask="parallelized", output_dtypes=[np.float64] * 4, keep_attrs=False,
        dask_gufunc_kwargs={"output_sizes": {"direction": min(axis.size, concept.size)}},
    )  # fmt: skip
    return described(dict(zip(_ABOUT, (*found, mean), strict=True)), _ABOUT)


read = leace


def _checked(m_xz: Moments, m_x: Moments | None) -> Moments:
    """Return the moments of x alone; DataError where they are not there, or not of the same columns."""
    check_ungrouped(m_xz, "leace")
    if m_xz.layout.state.sides != 2:
        raise DataError(
            f"leace reads moments of x and of the concept z, found a {m_xz.layout.describe()}: pass "
            "covdist.moments(x, z, dim=...)"
        )
    if m_x is None:
        return _own(m_xz)
    check_ungrouped(m_x, "leace")
    if not m_x.layout.axes[0].same(m_xz.layout.axes[0]):
        raise DataError(
            f"m_x is of {m_x.layout.axes[0]}, and m_xz of {m_xz.layout.axes[0]}, which differ or have other labels: "
            "fold both from the same columns of x"
        )
    return m_x


def _own(m_xz: Moments) -> Moments:
    """Return the moments of x alone, where the state of x and z holds them."""
    if not m_xz.can_answer("own"):
        raise DataError(
            f"leace needs the covariance of x, which a {m_xz.layout.describe()} has not: pass "
            "covdist.moments(x, dim=...) as m_x"
        )
    layout = replace(m_xz.layout, state=Scatter, axes=m_xz.layout.axes[:1])
    return Moments(m_xz.deferred.map(_scatter), layout)


def _scatter(state: Any) -> Any:
    return state.own(0)


def _deviations(state: Any) -> np.ndarray:
    return np.asarray(state.side(0).deviation(0))


def _of_concept(state: Any) -> np.ndarray:
    return np.asarray(state.side(1).deviation(0))


def _mean(state: Any) -> np.ndarray:
    return np.asarray(state.side(0).mean())


def _correlation(state: Any) -> np.ndarray:
    return np.asarray(state.correlation(slice(0, len(state.side(0).mean()))))


def _eraser(
    deviations: np.ndarray,
    correlation: np.ndarray,
    spread: np.ndarray,
    cross: np.ndarray,
    mean: np.ndarray,
    known: np.ndarray,
    tolerance: float,
) -> tuple[np.ndarray, ...]:
    check_finite(float(np.concatenate([deviations, spread, known]).max()))
    over = np.divide(spread, deviations, out=np.zeros_like(spread), where=deviations > 0)
    inputs = Covariance(deviations, correlation, len(deviations))
    left, right = directions(inputs, np.nan_to_num(cross) * over[:, None], tolerance)
    with np.errstate(over="ignore", invalid="ignore"):  # of columns that are further apart than float64 reaches
        return left, right, np.eye(len(left)) - left @ right, left @ (right @ mean)

"""``TwoSides``: what is known of two layers' columns from the same rows, and how like each other they are by it.

Every figure is the same for a layer times any number, so that layers are brought to a total variance of 1 first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.linalg

from covdist.errors import DataError
from covdist.numerics.blas import single_thread
from covdist.numerics.columns import DIGITS
from covdist.numerics.matrices.covariance import Covariance

TOLERANCE = 1e-10  # share of the largest variance below which a direction has its digits from rounding
_EPS = float(np.finfo(np.float64).eps)
_LEAST_ROWS = 4  # for which the unbiased estimate has a divisor


class Scaled(NamedTuple):
    """A layer's columns with a total variance of 1."""

    deviations: np.ndarray  # (columns,); NaN of a constant layer
    norm: float  # Frobenius norm of the covariance

    @classmethod
    def of(cls, layer: Covariance) -> Scaled:
        deviations = relative(layer.deviations)
        return cls(deviations, float(np.linalg.norm(scaled(layer.correlation, deviations, deviations))))


class Whitened(NamedTuple):
    """Directions in which a layer varies, each with a variance of 1."""

    matrix: np.ndarray  # (directions, columns), applied to columns with a variance of 1 each
    loadings: np.ndarray  # (directions, columns), their covariances with the columns of ``Scaled``

    @classmethod
    def of(cls, layer: Covariance, tolerance: float = TOLERANCE, ridge: float = 0.0) -> Whitened:
        """Return those of columns with a variance of 1 each."""
        values, vectors = _directions(layer, np.where(layer.deviations == 0, 0.0, 1.0), tolerance)
        return cls((vectors / np.sqrt(values + ridge)).T, (vectors * np.sqrt(values)).T * relative(layer.deviations))

    @classmethod
    def leading(cls, layer: Covariance, explained: float) -> Whitened:
        """Return the first principal components, as many as explain a share of the variance."""
        deviations = relative(layer.deviations)
        values, vectors = _directions(layer, deviations, TOLERANCE)
        below = np.cumsum(values) < explained * (1 - len(deviations) * _EPS)  # rounding would take one more
        values, vectors = (each[..., : int(below.sum()) + 1] for each in (values, vectors))
        return cls((vectors / np.sqrt(values)).T * deviations, (vectors * np.sqrt(values)).T)


class Method(NamedTuple):
    """How like two layers are: what is made of each of them, and the figure of two with what lies between."""

    prepare: Callable[[Covariance], Any]
    figure: Callable[[Any, np.ndarray, Any], float]
    itself: float = 1.0  # of a layer with itself
    directed: bool = False  # whether it is another with the two exchanged

    def of_itself(self, layer: Covariance) -> float:
        """Return the figure of a layer with itself; NaN where it is constant, or holds NaN."""
        return self.itself if np.isfinite(layer.deviations).all() and layer.deviations.any() else np.nan


class TwoSides(NamedTuple):
    """The covariances of two layers, and the correlations (columns of x, columns of y) between them."""

    x: Covariance
    between: np.ndarray
    y: Covariance

    def figure(self, method: Method) -> float:
        return method.figure(method.prepare(self.x), self.between, method.prepare(self.y))

    def figures(self, method: Method) -> np.ndarray:
        """Return those of x and y with x, and with y, (2, 2)."""
        x, y = method.prepare(self.x), method.prepare(self.y)
        there = back = method.figure(x, self.between, y)
        if method.directed:
            back = method.figure(y, self.between.T, x)
        return np.array([[method.of_itself(self.x), there], [back, method.of_itself(self.y)]])

    def canonical_correlations(self, tolerance: float, ridge: float) -> np.ndarray:
        """Return them descending, as many as the narrower layer has columns; 0 where no direction is left."""
        x, y = (Whitened.of(each, tolerance, ridge) for each in (self.x, self.y))
        found, count = _correlations(x, self.between, y), min(self.between.shape)
        return np.full(count, np.nan) if np.isnan(found).any() else np.pad(found, (0, count - len(found)))


class LayersState(Protocol):
    """A state of the columns of layers side by side."""

    @property
    def columns(self) -> Any: ...
    def side(self, number: int, /) -> Any: ...
    def correlation(self, rows: slice, /) -> np.ndarray: ...


def relative(deviations: np.ndarray) -> np.ndarray:
    """Return deviations over the root of the sum of their squares; NaN where all of them are 0."""
    unit = int(np.frexp(deviations.max(initial=0.0))[1])
    near_one = np.ldexp(deviations, -unit)
    with np.errstate(invalid="ignore"):
        return np.asarray(near_one / np.sqrt((near_one * near_one).sum()))


def scaled(correlation: np.ndarray, deviations: np.ndarray, deviations_y: np.ndarray) -> np.ndarray:
    """Return the covariance of columns; 0 of constant ones, whose correlations are NaN."""
    by = np.multiply.outer(deviations, deviations_y)
    return np.where(by == 0, 0.0, correlation * by)


def _directions(layer: Covariance, deviations: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues, descending, and eigenvectors (columns, k) of columns with other deviations.

    As many as the rows leave room for and are more than ``tolerance`` of the largest; one that is NaN where the layer
    holds NaN, or is constant.
    """
    columns = len(deviations)
    matrix = scaled(layer.correlation, deviations, deviations)
    if not (np.isfinite(matrix).all() and matrix.any()):
        return np.full(1, np.nan), np.full((columns, 1), np.nan)
    with single_thread():
        values, vectors = scipy.linalg.eigh(matrix)
    kept = min(int((values > tolerance * values[-1]).sum()), layer.rank)
    return values[::-1][:kept], vectors[:, ::-1][:, :kept]


def _projected(x: Whitened, between: np.ndarray, y: Whitened) -> np.ndarray:
    """Return the correlations of directions: a constant column, whose own are NaN, is in none of them."""
    with single_thread():
        return np.asarray(x.matrix @ np.nan_to_num(between) @ y.matrix.T)


def _correlations(x: Whitened, between: np.ndarray, y: Whitened) -> np.ndarray:
    projected = _projected(x, between, y)
    if np.isnan(projected).any():
        return np.full(1, np.nan)
    with single_thread():
        return np.clip(scipy.linalg.svdvals(projected), 0.0, 1.0)


def _mean_correlation(x: Whitened, between: np.ndarray, y: Whitened) -> float:
    return float(_correlations(x, between, y).mean())


def _projection_weighted(x: Whitened, between: np.ndarray, y: Whitened) -> float:
    """Weigh each canonical correlation by how much of x's columns its variate of x accounts for."""
    projected = _projected(x, between, y)
    if np.isnan(projected).any():
        return np.nan
    with single_thread():
        left, found, _ = scipy.linalg.svd(projected, full_matrices=False)
        weights = np.abs(left.T @ x.loadings).sum(axis=1)
    return float(weights @ np.clip(found, 0.0, 1.0) / weights.sum())


def _alignment(x: Scaled, between: np.ndarray, y: Scaled) -> float:
    found = float(np.linalg.norm(scaled(between, x.deviations, y.deviations)))
    return min(found / x.norm * (found / y.norm), 1.0) if np.isfinite(found) else np.nan


def _procrustes(x: Scaled, between: np.ndarray, y: Scaled) -> float:
    matrix = scaled(between, x.deviations, y.deviations)
    if not np.isfinite(matrix).all():
        return np.nan
    with single_thread():
        return float(np.sqrt(max(0.0, 2 - 2 * scipy.linalg.svdvals(matrix).sum())))


def svcca(explained: float) -> Method:
    return Method(partial(Whitened.leading, explained=explained), _mean_correlation)


CKA, PROCRUSTES = Method(Scaled.of, _alignment), Method(Scaled.of, _procrustes, itself=0.0)
CCA, PWCCA = Method(Whitened.of, _mean_correlation), Method(Whitened.of, _projection_weighted, directed=True)

METHODS = {"cka": CKA, "rv": CKA, "cca": CCA, "svcca": svcca(0.99), "pwcca": PWCCA, "procrustes": PROCRUSTES}


def figures_of_layers(state: LayersState, ends: tuple[int, ...], method: Method) -> np.ndarray:
    """Return the figure of each layer with each, (layers, layers), of layers whose columns lie side by side.

    ``ends`` are the places behind the last column of each. A layer's rows of the correlations are taken once, and with
    them what it has with the layers behind it.
    """
    side, starts = state.side(0), (0, *ends[:-1])
    deviations, rank = side.deviation(0), int(state.columns.rows) - 1
    found, prepared = np.full((len(ends), len(ends)), np.nan), dict[int, Any]()
    for i in reversed(range(len(ends))):
        own = slice(starts[i], ends[i])
        rows = state.correlation(own)
        layer = Covariance(deviations[own], rows[:, own], rank)
        prepared[i], found[i, i] = method.prepare(layer), method.of_itself(layer)
        for j in range(i + 1, len(ends)):
            between = rows[:, starts[j] : ends[j]]
            found[i, j] = method.figure(prepared[i], between, prepared[j])
            found[j, i] = method.figure(prepared[j], between.T, prepared[i]) if method.directed else found[i, j]
    return found


def debiased(sides: TwoSides, rows: float, fourths: np.ndarray) -> float:
    """Return CKA of the unbiased estimates by Song et al. (2012), equation 5, for linear kernels.

    ``fourths`` are Σ‖x‖²‖y‖², Σ‖x‖⁴ and Σ‖y‖⁴ of layers whose squares add up to 1. With centred rows the kernels'
    rows add up to 0, and the terms of that equation to traces of scatters and these. NaN where a layer's own estimate
    is 0, as of rows that all lie as far from each other.
    """
    if rows < _LEAST_ROWS:
        raise DataError(f"debiased CKA takes at least {_LEAST_ROWS} rows, found {rows:g}: fold more rows")
    x, y = Scaled.of(sides.x), Scaled.of(sides.y)
    between = np.linalg.norm(scaled(sides.between, x.deviations, y.deviations))
    squares = np.array([between, x.norm, y.norm]) ** 2
    found = squares - rows / (rows - 2) * fourths + 1 / ((rows - 1) * (rows - 2))
    own = np.sqrt(np.where(found[1:] > DIGITS * squares[1:], found[1:], np.nan))
    return float(found[0] / own[0] / own[1])

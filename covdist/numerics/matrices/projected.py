"""How like each other layers are, estimated from the scatter of their projections on random directions.

A product of the projections on a direction ω of one layer and ψ of another is ωᵀ C ψ, with the mean square ‖C‖². Of one
layer with itself only products on different directions count, which do not depend on each other. All of them together
are U-statistics, whose standard errors are found by leaving out one direction after the other (Arvesen 1969).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np


def alignments(products: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return linear CKA of each layer with each, and its standard errors, (2, layers, layers).

    ``products`` (layers · k, layers · k) are those of the projections; a layer may count in any unit. NaN of layers
    that are ``constant``.
    """
    count = len(constant)
    amount = len(products) // count
    roots = np.sqrt(np.diagonal(products).reshape(count, amount).mean(axis=1))
    roots[constant] = np.nan
    near_one = products.reshape(count, amount, count, amount) / roots[:, None, None, None]
    squares = (near_one / roots[:, None]) ** 2
    for layer in range(count):
        np.fill_diagonal(squares[layer, :, layer], 0.0)
    rows = squares.sum(axis=3)  # (layers, directions, layers): of each direction with all of another layer
    with np.errstate(divide="ignore", invalid="ignore"):
        return _of_pairs(rows, constant)


def _of_pairs(rows: np.ndarray, constant: np.ndarray) -> np.ndarray:
    count, amount = rows.shape[:2]
    norms, left = _own(rows, amount)
    found, error = np.full((count, count), np.nan), np.full((count, count), np.nan)
    for i, j in combinations(range(count), 2):
        found[i, j] = found[j, i] = rows[i, :, j].mean() / amount / np.sqrt(norms[i] * norms[j])
        without = (_left_out(rows[i, :, j], left[i], norms[j]), _left_out(rows[j, :, i], left[j], norms[i]))
        error[i, j] = error[j, i] = np.sqrt(sum((amount - 1) * np.var(each) for each in without))
    np.fill_diagonal(found, np.where(constant, np.nan, 1.0))
    np.fill_diagonal(error, np.where(constant, np.nan, 0.0))
    return np.array([np.minimum(found, 1.0), error])


def _own(rows: np.ndarray, amount: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ‖C‖² of each layer with itself, (layers,), and those without one direction, (layers, directions)."""
    own = np.array([rows[layer, :, layer] for layer in range(len(rows))])
    total = own.sum(axis=1)
    without = (total[:, None] - 2 * own) / ((amount - 1) * (amount - 2))
    return total / (amount * (amount - 1)), without


def _left_out(rows: np.ndarray, left: np.ndarray, other: float) -> np.ndarray:
    """Return the alignments without one direction of a layer, given the norms without it and that of the other."""
    amount = len(rows)
    return (rows.sum() - rows) / ((amount - 1) * amount) / np.sqrt(left * other)

"""The figures of docs/concepts/dependence.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import covdist

PAGE = (Path(__file__).parents[3] / "docs" / "concepts" / "dependence.md").read_text()
TABLE = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
FIGURES = {name: [float(cell.removeprefix("< ")) for cell in cells] for name, *cells in TABLE[2:]}

RNG = np.random.default_rng(0)
X, NOISE, ANGLE = RNG.normal(size=2000), RNG.normal(size=2000), RNG.uniform(0, 2 * np.pi, size=2000)
A, B = RNG.choice([-1.0, 1.0], size=(2, 2000))
PAIRS = {
    "y = 2x + noise": (X, 2 * X + NOISE),
    "y = exp(3x)": (X, np.exp(3 * X)),
    "y = x² + noise": (X, X**2 + NOISE),
    "a circle": (np.cos(ANGLE), np.sin(ANGLE)),
    "y = x times a random sign": (X, A * X),
    "independent": (X, NOISE),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_table(name):
    x, y = PAIRS[name]
    *figures, p_value = FIGURES[name]
    kernels = covdist.hsic(x, y)
    found = [
        covdist.corr(x, y), covdist.corr(x, y, method="spearman"), covdist.distance_corr(x, y),
        covdist.maximal_corr(x, y), kernels["normalised"],
    ]  # fmt: skip
    np.testing.assert_allclose(found, figures, atol=0.0015)
    if p_value > 1e-6:
        np.testing.assert_allclose(kernels["p_value"], p_value, atol=0.006)
    else:
        assert kernels["p_value"] < 1e-6


def test_every_pair_stands_in_it():
    assert FIGURES.keys() == PAIRS.keys()


def test_parity():
    both, y = np.stack([A, B], axis=1), A * B + NOISE / 10
    for see_nothing in (covdist.corr(both, y), covdist.distance_corr(both, y), covdist.maximal_corr(both, y)):
        assert (abs(see_nothing) < 0.1).all()
    found = covdist.hsic(both, y)
    (figure,) = re.findall(r"normalised (0\.\d+), p < 1e-6", PAGE)
    np.testing.assert_allclose(found["normalised"], float(figure), atol=0.0015)
    assert found["p_value"] < 1e-6

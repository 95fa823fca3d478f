"""Frequencies repeat rows; reliabilities follow numpy's ``aweights``."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.errors import DataError
from covdist.state import triangle
from covdist.state.scatter import Scatter

from .kinds import KINDS, PLAIN, assert_accurate, bits
from .strategies import Rows

each_kind = pytest.mark.parametrize("kind", PLAIN, ids=str)
rng = np.random.default_rng(3)
X, Y = rng.normal(size=(50, 3)) + [0, 1e8, -3], rng.normal(size=(50, 2))
BY = np.arange(50) % 3 - 1
FREQUENCY = rng.integers(0, 4, 50)
RELIABILITY = rng.random(50) * (rng.random(50) < 0.8)


def _covariance(state: Scatter, ddof: int) -> np.ndarray:
    columns = state.columns
    weight = columns.weight - ddof * columns.weight2 / columns.weight
    return triangle.unpack(state.triangle, columns.width) / weight


@each_kind
def test_frequency_is_the_same_as_repeating(kind):
    weighted = kind.fold(Rows((X, Y), BY, frequency=FREQUENCY))
    repeated = Rows(tuple(np.repeat(block, FREQUENCY, axis=0) for block in (X, Y)), np.repeat(BY, FREQUENCY))
    assert_accurate(weighted._replace(columns=weighted.columns._replace(count=len(repeated))), repeated) if (
        kind.sides == 1
    ) else None
    plain = kind.fold(repeated)
    assert weighted.columns.weight == plain.columns.weight
    assert weighted.columns.weight2 == plain.columns.weight2
    np.testing.assert_allclose(weighted.columns.squares, plain.columns.squares, rtol=1e-12)

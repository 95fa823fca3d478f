"""``covdist.compare``: its figures by the formulas in its docstring."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(n, 4)) @ RNG.normal(size=(4, 4)) + RNG.normal(size=4) for n in (30, 25))


def found(x: np.ndarray, y: np.ndarray, **options: object) -> dict[str, float]:
    read = covdist.compare(covdist.moments(x, **options), covdist.moments(y, **options))
    return {str(name): float(value) for name, value in read.items()}


def expected(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    a, b = (np.cov(each.T, ddof=0) for each in (x, y))
    off = ~np.eye(len(a), dtype=bool)
    shift = (y.mean(axis=0) - x.mean(axis=0)) / np.sqrt((np.diagonal(a) + np.diagonal(b)) / 2)
    return {
        "rows_a": len(x),
        "rows_b": len(y),
        "mean_shift": np.sqrt(np.mean(shift**2)),
        "std_ratio": np.sqrt(np.trace(b) / np.trace(a)),
        "frechet": float(covdist.frechet(covdist.moments(x), covdist.moments(y))),
        "cov_change": np.linalg.norm(b - a) / np.linalg.norm(a),
        "corr_change": np.sqrt(np.mean((np.corrcoef(y.T) - np.corrcoef(x.T))[off] ** 2)),
        "effective_rank_a": float(covdist.moments(x).effective_rank()),
        "effective_rank_b": float(covdist.moments(y).effective_rank()),
    }


def test_formulas():
    assert found(A, B) == pytest.approx(expected(A, B), rel=1e-11)
    read = covdist.compare(covdist.moments(A), covdist.moments(B))
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in read.values())


def test_nothing_has_changed():
    same = found(A, A)
    assert [same[name] for name in ("mean_shift", "std_ratio", "frechet", "cov_change", "corr_change")] == [
        0,
        1,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("unit", [1e-200, 1e-160, 1e140])
def test_any_scale(unit):
    scaled, plain = found(A * unit, B * unit), found(A, B)
    del scaled["frechet"], plain["frechet"]
    assert scaled == pytest.approx(plain, rel=1e-10)


def test_constant_columns():
    x, y = (np.column_stack([each, np.full(len(each), value)]) for each, value in ((A, 1.0), (B, 1.0)))
    still = found(x, y)
    assert still["corr_change"] == pytest.approx(expected(A, B)["corr_change"])
    assert still["mean_shift"] == pytest.approx(expected(A, B)["mean_shift"] * np.sqrt(4 / 5))
    y[:, 4] = 2.0
    assert found(x, y)["mean_shift"] == np.inf
    assert np.isnan(found(A[:, 0], B[:, 0])["corr_change"])


def test_states_without_a_matrix():
    ours = found(A, B, state="variances")
    known = {name: value for name, value in ours.items() if not np.isnan(value)}
    figures = expected(A, B)
    assert known == pytest.approx({name: figures[name] for name in ("rows_a", "rows_b", "mean_shift", "std_ratio")})
    strips = Counted(A, 30, 2).array
    lazy = covdist.compare(covdist.moments(strips, state="variances"), covdist.moments(B))
    assert float(lazy["std_ratio"].compute()) == pytest.approx(figures["std_ratio"])


@pytest.mark.parametrize("unit", [1e-200, 1.0])
def test_x_with_y(unit):
    a, b = (each * unit for each in (A, B))
    read = covdist.compare(covdist.moments(a[:, :2], a[:, 1:]), covdist.moments(b[:, :2], b[:, 1:]))
    covs, corrs = ([each[:2, 1:] for each in map(of, (A.T, B.T))] for of in (np.cov, np.corrcoef))
    covs[0], covs[1] = covs[0] * 29 / 30, covs[1] * 24 / 25
    assert float(read["cov_change"]) == pytest.approx(np.linalg.norm(covs[1] - covs[0]) / np.linalg.norm(covs[0]))
    assert float(read["corr_change"]) == pytest.approx(np.sqrt(np.mean((corrs[1] - corrs[0]) ** 2)))
    assert np.isnan(read["frechet"])


def test_positions_have_numbers_of_their_own():
    x, y = RNG.normal(size=(20, 3, 2, 4)), RNG.normal(size=(30, 3, 2, 4))
    read = covdist.compare(covdist.moments(x, each=(1, 2)), covdist.moments(y, each=(1, 2)))
    assert read["frechet"].shape == (3, 2)
    alone = expected(x[:, 2, 1], y[:, 2, 1])
    assert {str(name): float(each[2, 1]) for name, each in read.items()} == pytest.approx(alone, rel=1e-9)


def test_groups_and_lazily():
    by, by_b = np.arange(30) % 2, np.arange(25) % 2
    counted = Counted(A, 10, 4)
    lazy = covdist.compare(covdist.moments(counted.array, by=by), covdist.moments(B, by=by_b))
    assert all(each.chunks is not None for each in lazy.values())
    done = lazy.compute()
    for group in range(2):
        alone = expected(A[by == group], B[by_b == group])
        assert {str(name): float(each[group]) for name, each in done.items()} == pytest.approx(alone, rel=1e-9)


def test_other_columns_are_refused():
    with pytest.raises(
        DataError, match=r"compare takes two states of the same columns, m_a is of unit \(4\) and m_b of"
    ):
        found(A, B[:, :3])
    x_and_y = covdist.moments(A, A[:, :2])
    with pytest.raises(DataError, match=r"m_a is of unit \(4\) × unit \(2\) and m_b of unit \(4\): fold"):
        covdist.compare(x_and_y, covdist.moments(B))
    assert float(covdist.compare(x_and_y, covdist.moments(B, B[:, :2]))["mean_shift"]) == pytest.approx(
        expected(A, B)["mean_shift"]
    )

"""``covdist.mean_shift`` and ``covdist.equal_covariance``: formulas, published figures, and chances under the null."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

import covdist
from covdist.errors import DataError, MergeError

from .counting import Counted

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(n, 4)) @ RNG.normal(size=(4, 4)) + RNG.normal(size=4) for n in (30, 25))
both = pytest.mark.parametrize("name", ["mean_shift", "equal_covariance"])


def found(name: str, x: np.ndarray, y: np.ndarray, **options: object) -> dict[str, float]:
    read = getattr(covdist, name)(covdist.moments(x), covdist.moments(y), **options)
    return {str(key): float(value) for key, value in read.items()}


def hotelling(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    n, m, d = len(x), len(y), x.shape[1]
    pooled = ((n - 1) * np.cov(x.T).reshape(d, d) + (m - 1) * np.cov(y.T).reshape(d, d)) / (n + m - 2)
    step = x.mean(axis=0) - y.mean(axis=0)
    t2 = n * m / (n + m) * step @ np.linalg.solve(pooled, step)
    return t2, scipy.stats.f.sf(t2 * (n + m - d - 1) / (d * (n + m - 2)), d, n + m - d - 1)


def box(x: np.ndarray, y: np.ndarray) -> float:
    n, m = len(x) - 1, len(y) - 1
    a, b = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    dets = [np.log(np.linalg.det(each)) for each in ((n * a + m * b) / (n + m), a, b)]
    return float((n + m) * dets[0] - n * dets[1] - m * dets[2])


# ---- means


def test_hotelling():
    ours = found("mean_shift", A, B)
    t2, p = hotelling(A, B)
    assert ours["t2"] == pytest.approx(t2, rel=1e-11)
    assert ours["p_value"] == pytest.approx(p, rel=1e-9)
    pooled = (30 * np.cov(A.T, ddof=0) + 25 * np.cov(B.T, ddof=0)) / 55
    step = A.mean(axis=0) - B.mean(axis=0)
    assert ours["distance"] == pytest.approx(np.sqrt(step @ np.linalg.solve(pooled, step)), rel=1e-11)
    unbiased = found("mean_shift", A, B, ddof=2)
    assert unbiased["distance"] == pytest.approx(ours["distance"] * np.sqrt(53 / 55), rel=1e-12)
    assert unbiased["t2"] == pytest.approx(ours["t2"], rel=1e-12)


def test_of_one_column_it_is_students_t():
    t, p = scipy.stats.ttest_ind(A[:, 0], B[:, 0])
    ours = found("mean_shift", A[:, 0], B[:, 0])
    assert ours["t2"] == pytest.approx(t**2, rel=1e-11)
    assert ours["p_value"] == pytest.approx(p, rel=1e-10)


def test_means_of_1e6_and_tiny_columns():
    ours, plain = found("mean_shift", A + 1e6, B + 1e6), found("mean_shift", A, B)
    assert ours == pytest.approx(plain, rel=1e-8)
    assert found("mean_shift", A * 1e-200, B * 1e-200) == pytest.approx(plain, rel=1e-11)
    assert found("mean_shift", A, A)["distance"] == 0
    assert found("mean_shift", A, A)["p_value"] == 1


def test_shrunk_ones_have_no_chance():
    ours = found("mean_shift", A[:3], B[:2], shrink="oas")
    assert ours["distance"] > 0
    assert np.isnan([ours["f"], ours["p_value"]]).all()
    with pytest.raises(DataError, match="m_a and m_b together: the covariance of 4 columns is singular: its rank is"):
        found("mean_shift", A[:2], B[:2])


def test_kinds_that_cannot_be_pooled():
    with pytest.raises(DataError, match="mean_shift pools states of one kind, found full and norms: fold both"):
        covdist.mean_shift(covdist.moments(A), covdist.moments(B, state="norms"))
    pair = [covdist.moments(each, state=("full", "higher")) for each in (A, B)]
    assert float(covdist.mean_shift(*pair)["t2"]) == pytest.approx(hotelling(A, B)[0], rel=1e-11)


def test_chances_of_equal_means_are_uniform():
    rng = np.random.default_rng(5)
    chances = [found("mean_shift", *np.split(rng.normal(size=(24, 3)), [10]))["p_value"] for _ in range(200)]
    assert scipy.stats.kstest(chances, "uniform").pvalue > 0.01
    shifted = [found("mean_shift", rng.normal(size=(30, 3)), rng.normal(size=(30, 3)) + 1) for _ in range(5)]
    assert max(each["p_value"] for each in shifted) < 0.01


# ---- covariances


def test_box():
    ours = found("equal_covariance", A, B)
    assert ours["statistic"] == pytest.approx(box(A, B), rel=1e-10)
    a, b, d = 29, 24, 4
    c1 = (1 / a + 1 / b - 1 / (a + b)) * (2 * d * d + 3 * d - 1) / (6 * (d + 1))
    assert ours["chi2"] == pytest.approx((1 - c1) * box(A, B), rel=1e-10)
    assert ours["chi2_p_value"] == pytest.approx(scipy.stats.chi2.sf((1 - c1) * box(A, B), 10), rel=1e-9)
    c2 = (1 / a**2 + 1 / b**2 - 1 / (a + b) ** 2) * (d - 1) * (d + 2) / 6
    df2 = 12 / (c2 - c1**2)
    f = box(A, B) * (1 - c1 - 10 / df2) / 10
    assert (ours["f"], ours["f_p_value"]) == pytest.approx((f, scipy.stats.f.sf(f, 10, df2)), rel=1e-9)


def test_of_one_column_it_is_bartletts():
    """Whose statistic is M over the same correction."""
    x, y = A[:, 0], B[:, 0]
    correction = 1 + (1 / 29 + 1 / 24 - 1 / 53) / 3
    expected = scipy.stats.bartlett(x, y).statistic * correction
    assert found("equal_covariance", x, y)["statistic"] == pytest.approx(expected, rel=1e-10)
    unequal = found("equal_covariance", x, y * 1e3)
    assert unequal["f_p_value"] < 1e-9


def test_means_and_units_make_no_difference():
    plain = found("equal_covariance", A, B)
    assert found("equal_covariance", A + 1e6, B - 1e6) == pytest.approx(plain, rel=1e-7)
    scale = np.array([1e-200, 1.0, 1e100, 1e-30])
    assert found("equal_covariance", A * scale, B * scale) == pytest.approx(plain, rel=1e-9)
    same = found("equal_covariance", A, A + 3)
    assert same["statistic"] == pytest.approx(0, abs=1e-20)
    assert same["chi2_p_value"] == pytest.approx(1)


def test_chances_of_equal_covariances_are_uniform():
    rng = np.random.default_rng(3)
    pairs = [(rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) + 1) for _ in range(200)]
    chances = [found("equal_covariance", *pair) for pair in pairs]
    for name in ("chi2_p_value", "f_p_value"):
        assert scipy.stats.kstest([each[name] for each in chances], "uniform").pvalue > 0.01


def test_singular_ones_say_so():
    with pytest.raises(DataError, match=r"m_b: the covariance of 4 columns is singular: its rank is at most 2"):
        found("equal_covariance", A, B[:3])
    with pytest.raises(DataError, match="permutations=0 is not a number of them: pass 1 or more"):
        found("equal_covariance", A, B, permutations=0)
    with pytest.raises(DataError, match="equal_covariance reads moments, found a ndarray"):
        covdist.equal_covariance(covdist.moments(A), B)


# ---- permutations


def permuted(x: np.ndarray, y: np.ndarray, blocks: int) -> float:
    """Return the share of all ways to choose the blocks whose M, taken of the rows, is as large."""
    parts = [*np.split(x - x.mean(axis=0), blocks), *np.split(y - y.mean(axis=0), blocks)]
    ways = list(combinations(range(2 * blocks), blocks))
    values = []
    for way in ways:
        others = [each for each in range(2 * blocks) if each not in way]
        values.append(box(*(np.concatenate([parts[k] for k in some]) for some in (way, others))))
    return float(np.mean(np.array(values) >= values[0] * (1 - 1e-9)))


@pytest.mark.parametrize("spread", [1.0, 1.4, 3.0])
def test_all_permutations_of_few_blocks(spread):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 3)) * 1e-160, rng.normal(size=(60, 3)) * spread * 1e-160 + 1e-159
    a, b = (covdist.moments(each, blocks=4) for each in (x, y))
    ours = covdist.equal_covariance(a, b)
    assert float(ours["permutation_p_value"]) == pytest.approx(permuted(x * 1e160, y * 1e160, 4), rel=1e-12)
    assert float(ours["statistic"]) == pytest.approx(box(x * 1e160, y * 1e160), rel=1e-9)


def test_permutations_at_random():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(80, 2)), rng.normal(size=(80, 2))
    a, b = (covdist.moments(each, blocks=5) for each in (x, y))  # 252 ways
    exact = float(covdist.equal_covariance(a, b)["permutation_p_value"])
    some = [float(covdist.equal_covariance(a, b, permutations=200, seed=s)["permutation_p_value"]) for s in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    np.testing.assert_allclose(some, exact, atol=0.1)


def test_chances_of_blocks_are_uniform():
    rng = np.random.default_rng(4)
    chances = []
    for _ in range(100):
        # Not Gaussian, and each row four times: M by itself would find the covariances different.
        x, y = (np.repeat(rng.laplace(size=(100, 2)), 4, axis=0) for _ in range(2))
        a, b = (covdist.moments(each, blocks=10) for each in (x, y))
        read = covdist.equal_covariance(a, b, permutations=99)
        chances.append([float(read[name]) for name in ("permutation_p_value", "f_p_value")])
    by_blocks, by_rows = np.transpose(chances)
    assert scipy.stats.kstest(by_blocks, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(by_rows, "uniform").pvalue < 1e-6


# ---- both


@both
def test_groups_and_lazily(name):
    x, y = (np.concatenate([each, each[::-1] * 2 + 1]) for each in (A, B))
    by, by_b = (np.repeat([0, 1], len(each)) for each in (A, B))
    counted = Counted(x, 20, 4)
    lazy = getattr(covdist, name)(covdist.moments(counted.array, by=by), covdist.moments(y, by=by_b))
    assert all(each.chunks is not None for each in lazy.values())
    done = lazy.compute()
    assert all(each.attrs["long_name"] and each.dims == ("group",) for each in done.values())
    for group in range(2):
        alone = found(name, x[by == group], y[by_b == group])
        assert {key: float(each[group]) for key, each in done.items()} == pytest.approx(alone, rel=1e-9)


def test_blocks_of_groups_and_lazily():
    by = np.arange(120) // 5 % 2
    x, y = RNG.normal(size=(120, 2)), RNG.normal(size=(120, 2)) * 1.5
    lazy = covdist.equal_covariance(
        covdist.moments(Counted(x, 40, 2).array, by=by, blocks=3), covdist.moments(y, by=by, blocks=3)
    )
    assert lazy["permutation_p_value"].chunks is not None
    for group in range(2):
        alone = [covdist.moments(each[by == group], blocks=3) for each in (x, y)]
        expected = covdist.equal_covariance(*alone)
        for key, each in lazy.compute().items():
            np.testing.assert_allclose(each[group], expected[key], rtol=1e-8)


@both
def test_other_columns_are_refused(name):
    with pytest.raises(
        (DataError, MergeError), match=rf"{name} takes two states of the same columns, m_a is of unit \(4\)"
    ):
        found(name, A, B[:, :3])

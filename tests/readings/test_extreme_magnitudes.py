"""Values from the smallest float64 to the largest, against exact rationals; nothing warns on the way."""

from __future__ import annotations

import math
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest
from state.oracle import Exact, power

import covdist
from covdist.terminal.tables import result_records

TINIEST, LARGEST = 5e-324, float(np.finfo("f8").max)
rng = np.random.default_rng(0)
WALK = rng.integers(-8, 9, (24, 3)) / 8
BLOCKS = {
    **{f"signs of {m:.3g}": m * np.array([[1, 1], [-1, 0], [0, -1.0]]) for m in (9e307, LARGEST)},
    **{f"{m:.3g}": m * WALK for m in (1e-310, 1e-200, 1e200, LARGEST)},
    "subnormals": TINIEST * rng.integers(-3, 4, (24, 3)),
    "tiniest": TINIEST * np.array([[1, 0], [0, 0], [0, 1.0]]),
    "rising to the top": LARGEST * np.linspace(-1, 1, 40)[:, None] * np.array([1, 0.5, -1]),
    "near the top": LARGEST * (1 - 1e-10 * rng.random((24, 3))),
    "constant at the top": np.full((5, 2), LARGEST),
    "all sizes": WALK[:, [0, 1, 2, 0, 1, 2, 0]] * np.array([TINIEST * 64, 1e-250, 1e-60, 1, 1e60, 1e250, LARGEST]),
    "later the top": np.vstack([WALK, WALK * LARGEST, WALK[::-1]]),
    "later tiny": np.vstack([WALK * LARGEST, WALK * 1e-300]),
    "the ends last": np.vstack([np.ones((20, 2)), [[-LARGEST, LARGEST], [LARGEST, LARGEST]]]),
}
each_block = pytest.mark.parametrize("x", BLOCKS.values(), ids=BLOCKS)
each_cut = pytest.mark.parametrize("rows", [9, 1])
ULP = Fraction(TINIEST)


def close(found: float, truth: Fraction, size: Fraction) -> bool:
    """Whether a number is right to 1e-12 of ``size``, or to rounding where it is subnormal, or rightly infinite."""
    error = size * Fraction(1, 10**12) + ULP
    if math.isinf(found):
        return (truth if found > 0 else -truth) + error > LARGEST
    return not math.isnan(found) and abs(Fraction(found) - truth) <= error


def root(value: Fraction) -> Fraction:
    """To 30 digits."""
    shift = 4 ** max(0, 200 - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    return Fraction(math.isqrt(value.numerator * shift // value.denominator), math.isqrt(shift))


class Truth:
    def __init__(self, x: np.ndarray, weights: np.ndarray | None = None):
        exact, width = Exact(x, weights=weights), x.shape[1]
        self.mean = [exact.mean(0, i) for i in range(width)]
        self.cov = [[exact.cov(0, i, 0, j) for j in range(width)] for i in range(width)]
        self.std = [root(self.cov[i][i]) for i in range(width)]

    def assert_moments(self, found: covdist.Moments) -> None:
        for i, std in enumerate(self.std):
            assert close(float(found.mean()[i]), self.mean[i], std + abs(self.mean[i]))
            assert close(float(found.std()[i]), std, std)
            assert close(float(found.var()[i]), std**2, std**2)

    def assert_matrices(self, cov: np.ndarray, corr: np.ndarray) -> None:
        for i, j in np.ndindex(cov.shape):
            product = self.std[i] * self.std[j]
            assert close(cov[i, j], self.cov[i][j], product)
            if product:
                assert close(corr[i, j], self.cov[i][j] / product, Fraction(1))
            else:
                assert math.isnan(corr[i, j])


def chunked(x: np.ndarray, rows: int) -> da.Array:
    return da.from_array(x, chunks=(rows, x.shape[1]))


@each_cut
@each_block
def test_moments(x, rows):
    truth = Truth(x)
    for options in ({}, {"missing": "pairwise"}, {"state": ("full", "higher")}):
        m = covdist.moments(chunked(x, rows), dim=0, **options).compute()
        truth.assert_moments(m)
        truth.assert_matrices(m.cov().values, m.corr().values)


@each_cut
@each_block
def test_values_left_out_one_by_one(x, rows):
    holed = np.vstack([x[:1], x])
    holed[0] = np.nan
    m = covdist.moments(chunked(holed, rows), dim=0, missing="pairwise").compute()
    Truth(x).assert_matrices(m.cov().values, m.corr().values)


@each_block
def test_weights_and_groups(x):
    weights, by = np.linspace(0.5, 2, len(x)), np.arange(len(x)) % 2
    m = covdist.moments(chunked(x, 7), dim=0, weights=weights).compute()
    Truth(x, weights).assert_moments(m)
    grouped = covdist.moments(chunked(x, 7), dim=0, by=by).compute()
    for group in (0, 1):
        Truth(x[by == group]).assert_moments(grouped.sel(group=group))
    Truth(x).assert_moments(grouped.merge("group"))


@each_cut
@each_block
def test_higher_moments(x, rows):
    m = covdist.moments(chunked(x, rows), dim=0, state="higher").compute()
    for i, column in enumerate(x.T):
        values = [Fraction(v) for v in column.tolist()]
        centre = sum(values) / len(values)
        second, third, fourth = (sum((v - centre) ** k for v in values) / len(values) for k in (2, 3, 4))
        if second == 0:
            assert np.isnan(m.skewness()[i])
        else:
            assert close(float(m.skewness()[i]), third / (second * root(second)), Fraction(10))
            assert close(float(m.kurtosis()[i]), fourth / second**2 - 3, fourth / second**2)


@each_block
def test_between_two_arrays_and_lagged(x):
    y = np.roll(x, 1, axis=1)
    exact = Exact(x, y)
    for found in (covdist.cov(x, y), covdist.cov(chunked(x, 3), chunked(y, 3), dim=0)):
        for i, j in np.ndindex(found.shape):
            size = root(exact.cov(0, i, 0, i) * exact.cov(1, j, 1, j))
            assert close(float(found[i, j]), exact.cov(0, i, 1, j), size)
    early, late = x[:-1], x[1:]
    pairs = Exact(early, late)
    for found in (covdist.autocov(x, 1), covdist.autocov(chunked(x, 3), 1, dim=0)):
        for i, j in np.ndindex(found.shape):
            size = root(pairs.cov(0, i, 0, i) * pairs.cov(1, j, 1, j))
            assert close(float(found[i, j]), pairs.cov(0, i, 1, j), size)


@each_block
def test_gradient_statistics(x):
    for g in (x, chunked(x, 5)):
        found, truth = covdist.gradient_stats(g, dim=0).compute(), Truth(x)
        flat = Truth(x.reshape(-1, 1))
        assert close(float(found["layer_mean"]), flat.mean[0], flat.std[0] + abs(flat.mean[0]))
        assert close(float(found["layer_std"]), flat.std[0], flat.std[0])
        assert close(float(found["layer_variance"]), flat.std[0] ** 2, flat.std[0] ** 2)
        for i, (mean, std) in enumerate(zip(truth.mean, truth.std, strict=True)):
            norm = root(mean**2 + std**2)
            assert close(float(found["norm"][i]), norm, norm)
            stored = float(found["mean"][i]), float(found["std"][i])
            if min(map(abs, stored)) > 1e-290:  # of subnormal ones the ratio has few digits
                assert close(float(found["snr"][i]), abs(mean) / std, 1 + abs(mean) / std)


@pytest.mark.parametrize("method", ["exact", "dual", "sketch"])
@each_block
def test_spectrum(x, method):
    truth = Truth(x)
    unit = math.floor(math.log2(float(max(truth.std) * power(600)) or 1)) - 600 if max(truth.std) < 1 else 1000
    scaled = np.array([[float(value * power(-2 * unit)) for value in row] for row in truth.cov])
    top = Fraction(math.sqrt(np.linalg.eigvalsh(scaled)[-1])) * power(unit)
    for g in (x, chunked(x, 5)):
        found = covdist.spectrum(g, 1, dim=0, method=method).compute()
        assert close(float(found["std"][0]), top, top * 100)


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_the_ends_of_narrower_types(dtype):
    info = np.finfo(dtype)
    x = np.array([[info.max, info.smallest_subnormal], [info.min, 0], [0, info.smallest_subnormal], [1, 0]], dtype)
    truth, m = Truth(x.astype("f8")), covdist.moments(x)
    truth.assert_moments(m)
    truth.assert_matrices(m.cov().values, m.corr().values)


def test_filling_between_the_ends():
    x = LARGEST * np.array([[-1], [np.nan], [1], [np.nan], [np.nan], [-0.5]])
    np.testing.assert_allclose(covdist.fill(x, dim=0) / LARGEST, [[-1], [0], [1], [0.5], [0], [-0.5]], atol=1e-12)


@pytest.mark.parametrize("k", [1023, 600, -600, -1000])
@pytest.mark.parametrize("missing", ["drop", "interpolate", "maxent"])
def test_policies_scale_with_the_data(k, missing):
    x = WALK.copy()
    x[::7, 2] = np.nan
    expected = np.ldexp(covdist.std(x, missing=missing), k)
    np.testing.assert_allclose(covdist.std(np.ldexp(x, k), missing=missing), expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1e200, LARGEST / 2])
def test_tables_say_nothing(size):
    record = result_records({"": covdist.moments(WALK * size)})[""]
    np.testing.assert_allclose(record["std"], WALK.std() * size, rtol=0.1)

"""Rows times a power of two give the numbers times its power, however small or large; nothing warns on the way."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import covdist

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4)) + RNG.normal(size=4)
KINDS = {"ledoit-wolf": "norms", "constant-correlation": "comoments"}
# By what the rows are folded to, and the power of their size that a reading grows with.
READINGS = {
    **{f"shrink {how}": (KINDS.get(how, "full"), 2, "shrink", [how]) for how in ("oas", "rblw", "ols", *KINDS)},
    **{f"{name} of shrunk": ("norms", power, name, []) for name, power in {"partial_corr": 0, "precision": -2}.items()},
    "condition_number": ("norms", 0, "condition_number", []),
    "effective_rank": ("full", 0, "effective_rank", []),
    "marchenko_pastur_edge": ("full", 2, "marchenko_pastur_edge", []),
    "participation_ratio": ("full", 0, "participation_ratio", []),
    "stable_rank": ("full", 0, "stable_rank", []),
    "smallest_eigenvalue": ("full", 2, "smallest_eigenvalue", []),
}
BLOCKED = {
    "effective_sample_size": (0, "effective_sample_size", []),
    **{f"jackknife {name}": (power, "jackknife", [name]) for name, power in {"std": 1, "var": 2, "mean": 1}.items()},
}


def values(found):
    arrays = [found] if not hasattr(found, "data_vars") else list(found.data_vars.values())
    return [np.asarray(each) for each in arrays]


def assert_scaled(read, powers, power):
    expected = values(read(X))
    for k in powers:
        for found, base in zip(values(read(np.ldexp(X, k))), expected, strict=True):
            scaled = np.ldexp(base, power * k)
            np.testing.assert_allclose(found, scaled, rtol=1e-9, atol=1e-11 * np.abs(scaled).max(), err_msg=f"2**{k}")


@pytest.mark.parametrize("name", READINGS)
def test_of_a_state(name):
    state, power, method, arguments = READINGS[name]
    options = {"shrink": "ledoit-wolf"} if state == "norms" and method != "shrink" else {}
    powers = (-505, -330, -300, -265, -200, 200, 265, 300, 330, 505)
    assert_scaled(lambda x: getattr(covdist.moments(x, state=state), method)(*arguments, **options), powers, power)


@pytest.mark.parametrize("name", BLOCKED)
def test_of_blocks(name):
    power, method, arguments = BLOCKED[name]
    powers = (-500, 500) if power == 2 else (-1000, -500, 500, 1000)
    assert_scaled(lambda x: getattr(covdist.moments(x, blocks=3), method)(*arguments), powers, power)


def test_of_lazy_blocks():
    def read(x):
        return covdist.moments(da.from_array(x, chunks=(20, 4)), blocks=2).jackknife("std").compute()

    assert_scaled(read, (-1000,), 1)


@pytest.mark.parametrize("k", [600, 1000])
def test_numbers_beyond_the_largest_are_infinite(k):
    x = np.vstack([np.diag([1.0, 1.0]), -np.diag([1.0, 1.0])])  # columns that have nothing to do with each other
    m = covdist.moments(np.ldexp(x, k))
    assert np.isinf(covdist.moments(np.ldexp(X, k)).noise_scale()["trace"])
    np.testing.assert_array_equal(m.shrink("oas"), np.diag([np.inf, np.inf]))
    np.testing.assert_array_equal(covdist.moments(np.ldexp(x, -k)).precision(), np.diag([np.inf, np.inf]))


def test_initial_scales_of_subnormal_layers_are_infinite():
    assert np.isinf(covdist.moments(X * 1e-310).initial_scale()["bias_scale"]).all()


def test_cosines_with_infinite_means_are_unknown():
    x = X.copy()
    x[0, 1] = np.inf
    m = covdist.moments(x, by=np.arange(40) % 2, missing="propagate")
    assert np.isnan(m.gradient_cosine()["cosine"].values[0]).all()

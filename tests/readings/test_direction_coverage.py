"""``covdist.direction_coverage``: variances along axes that are known, and generators that lack some."""

from __future__ import annotations

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

from .counting import Counted

RNG = np.random.default_rng(0)
TURN = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
SPREADS = np.array([5.0, 4.0, 3.0, 2.0, 1.0])


def exact(spreads: np.ndarray) -> np.ndarray:
    """Return rows with just these standard deviations along the axes of ``TURN``."""
    size = len(spreads)
    return np.concatenate([np.eye(size), -np.eye(size)]) * np.sqrt(size) * spreads @ TURN[:, :size].T


def found(x: np.ndarray, y: np.ndarray, **options: object):
    return covdist.direction_coverage(covdist.moments(x), covdist.moments(y), **options)


def test_known_axes():
    read = found(exact(SPREADS), exact(SPREADS[::-1]) + 7)
    np.testing.assert_allclose(read["std"], SPREADS, rtol=1e-12)
    np.testing.assert_allclose(read["generated_std"], SPREADS[::-1], rtol=1e-12)
    np.testing.assert_allclose(read["ratio"], (SPREADS[::-1] / SPREADS) ** 2, rtol=1e-12)
    np.testing.assert_allclose(read["own_std"], SPREADS, rtol=1e-12)
    np.testing.assert_allclose(read["data_ratio"], (SPREADS[::-1] / SPREADS) ** 2, rtol=1e-12)
    assert read["missing"].values.tolist() == [True, False, False, False, False]
    np.testing.assert_allclose([read["missing_share"], read["unseen_share"]], 25 / 55, rtol=1e-12)
    np.testing.assert_allclose(read["effective_rank"], covdist.moments(exact(SPREADS)).effective_rank(), rtol=1e-12)
    assert bool(read["collapsed"])


def test_what_has_all_directions():
    read = found(exact(SPREADS), exact(SPREADS))
    np.testing.assert_allclose(read["ratio"], 1, rtol=1e-12)
    assert not read["missing"].any()
    assert not read["unseen"].any()
    assert not bool(read["collapsed"])
    assert float(read["missing_share"]) == float(read["unseen_share"]) == 0


def test_any_axes_and_any_columns():
    x, y = (RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5)) for _ in range(2))
    read = found(x, y, ddof=1)
    values, axes = np.linalg.eigh(np.cov(x.T))
    along = np.diagonal(axes.T @ np.cov(y.T) @ axes)
    np.testing.assert_allclose(read["std"] ** 2, values[::-1], rtol=1e-9)
    np.testing.assert_allclose(read["ratio"], (along / values)[::-1], rtol=1e-8)
    np.testing.assert_allclose(read["generated_std"] ** 2, along[::-1], rtol=1e-8)
    np.testing.assert_allclose(found(x, y)["std"], covdist.moments(x).spectrum(5)["std"], rtol=1e-10)


def test_collapse_to_one_mode_of_two():
    """Two modes apart along one axis: the generator makes one, and has little variance where they differ."""
    noise, other = RNG.normal(size=(2, 400, 5))
    read = found(noise + 6 * TURN[0] * np.repeat([-1, 1], 200)[:, None], other + 6 * TURN[0])
    assert read["missing"].values.tolist() == [True, False, False, False, False]
    assert float(read["missing_share"]) > 0.8
    assert bool(read["collapsed"])
    assert not read["unseen"].any()


def test_directions_that_the_data_lacks():
    flat = exact(SPREADS[:3])
    read = found(flat, exact(SPREADS))
    assert read["unseen"].values.tolist() == [False, False, False, True, True]
    np.testing.assert_allclose(read["unseen_share"], 5 / 55, rtol=1e-12)
    assert read["std"].values[3:].tolist() == [0, 0]
    assert read["ratio"].values[3:].tolist() == [np.inf, np.inf]
    assert not read["missing"].any()
    turned = found(exact(SPREADS), flat)
    assert turned["missing"].values.tolist() == [False, False, False, True, True]
    assert np.isnan(found(flat, flat)["ratio"][3:]).all()
    few = found(RNG.normal(size=(3, 5)), RNG.normal(size=(2, 5)))  # ranks of 2 and of 1
    assert ((few["std"] > 0).sum(), (few["own_std"] > 0).sum()) == (2, 1)


def test_a_loss_of_rank_alone_is_a_sign():
    read = found(exact(np.ones(5)), exact(np.array([9.0, 0.4, 0.4, 0.4, 0.4])))
    assert not read["missing"].any()
    assert bool(read["collapsed"])
    assert float(read["generated_effective_rank"]) < 2


@pytest.mark.parametrize("unit", [2.0**-600, 1e-160, 1e150])
def test_any_scale(unit):
    plain, scaled = (found(exact(SPREADS) * u, exact(SPREADS[::-1]) * u) for u in (1.0, unit))
    np.testing.assert_allclose(scaled["ratio"], plain["ratio"], rtol=1e-11)
    np.testing.assert_allclose(scaled["generated_std"] / unit, plain["generated_std"], rtol=1e-11)


def test_labels_groups_and_lazily():
    x, y = RNG.normal(size=(60, 5)), RNG.normal(size=(40, 5))
    by = np.arange(60) % 2
    lazy = covdist.direction_coverage(covdist.moments(Counted(x, 20, 5).array, by=by), covdist.moments(y))
    assert all(each.chunks is not None for each in lazy.values())
    done = lazy.compute()
    assert done["ratio"].dims == ("group", "component")
    assert done["unseen"].dims == ("group", "generated_component")
    assert done["collapsed"].dims == ("group",)
    assert done["missing"].dtype == bool
    assert done.attrs == {"threshold": 0.1, "ddof": 0}
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in done.values())
    for group in range(2):
        alone = found(x[by == group], y)
        for name, each in done.items():
            np.testing.assert_allclose(each[group], alone[name], rtol=1e-9)


def test_nan_and_bad_input():
    x = exact(SPREADS)
    x[0, 0] = np.nan
    hole = covdist.moments(x, missing="propagate")
    assert np.isnan(covdist.direction_coverage(hole, hole)["ratio"]).all()
    for threshold in (0, 1.0, "0.1", np.nan):
        with pytest.raises(DataError, match="is not a share of a variance: pass a number between 0 and 1"):
            found(exact(SPREADS), exact(SPREADS), threshold=threshold)
    with pytest.raises(DataError, match="direction_coverage takes two states of the same columns"):
        found(exact(SPREADS), exact(SPREADS)[:, :4])

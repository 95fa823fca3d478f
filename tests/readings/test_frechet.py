"""``covdist.frechet``: against roots of matrices, its laws as a distance, and its bias."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError, MergeError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(n, 6)) @ RNG.normal(size=(6, 6)) + RNG.normal(size=6) for n in (50, 40))
seeds = st.integers(0, 2**32 - 1)


def textbook(x: np.ndarray, y: np.ndarray, ddof: float = 0) -> float:
    a, b = (np.cov(each.T, ddof=ddof) for each in (x, y))
    step = x.mean(axis=0) - y.mean(axis=0)
    return float(step @ step + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def by_rows(x: np.ndarray, y: np.ndarray) -> float:
    """Return the distance by the singular values of all rows of one with all rows of the other."""
    centred = [(each - each.mean(axis=0)) / np.sqrt(len(each)) for each in (x, y)]
    step = x.mean(axis=0) - y.mean(axis=0)
    cross = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return float(step @ step + sum((each**2).sum() for each in centred) - 2 * cross)


def frechet(x: np.ndarray, y: np.ndarray, **options: object) -> float:
    return float(covdist.frechet(covdist.moments(x), covdist.moments(y), **options))


def drawn(seed: int, count: int, columns: int | None = None) -> list[np.ndarray]:
    """Return rows of several Gaussians, of some with fewer rows than columns, of some with dependent columns."""
    rng = np.random.default_rng(seed)
    width = columns or int(rng.integers(1, 6))
    each = []
    for _ in range(count):
        x = rng.normal(size=(int(rng.integers(1, 12)), width)) @ rng.normal(size=(width, width))
        x[:, rng.random(width) < 0.2] = 1.0
        each.append(x + rng.normal(size=width))
    return each


@pytest.mark.parametrize("ddof", [0, 1])
def test_roots_of_matrices(ddof):
    assert frechet(A, B, ddof=ddof) == pytest.approx(textbook(A, B, ddof), rel=1e-8)


@pytest.mark.parametrize(("rows", "rows_b"), [(4, 40), (4, 3), (1, 4), (7, 6)])
def test_fewer_rows_than_columns(rows, rows_b):
    x, y = A[:rows], B[:rows_b]
    assert frechet(x, y) == pytest.approx(by_rows(x, y), rel=1e-12)


def test_many_columns_and_few_rows():
    x, y = RNG.normal(size=(20, 150)), RNG.normal(size=(30, 150)) * 2
    assert frechet(x, y) == pytest.approx(by_rows(x, y), rel=1e-12)
    groups = covdist.moments(np.concatenate([x, y]), by=np.repeat(["a", "b"], [20, 30]))  # kept as rows
    assert float(covdist.frechet(groups.sel(group="a"), groups.sel(group="b"))) == pytest.approx(by_rows(x, y))


def test_dependent_and_constant_columns():
    x, y = (np.column_stack([each, each[:, 0] - each[:, 1], np.full(len(each), 3.0)]) for each in (A, B))
    assert frechet(x, y) == pytest.approx(by_rows(x, y), rel=1e-12)
    assert frechet(np.ones((3, 2)), np.zeros((2, 2))) == 2
    assert frechet(A[:, 0], B[:, 0]) == pytest.approx(
        (A[:, 0].mean() - B[:, 0].mean()) ** 2 + (A[:, 0].std() - B[:, 0].std()) ** 2, rel=1e-13
    )


@quick
@given(seeds)
def test_a_state_and_itself_are_exactly_0_apart(seed):
    (x,) = drawn(seed, 1)
    assert frechet(x, x) == 0
    assert frechet(x, x.copy()[:]) == 0


@quick
@given(seeds)
def test_symmetric_and_never_negative(seed):
    x, y = drawn(seed, 2)
    there = frechet(x, y)
    assert there >= 0
    assert frechet(y, x) == pytest.approx(there, rel=1e-11)
    assert there == pytest.approx(by_rows(x, y), rel=1e-9, abs=1e-13 * (x.var(axis=0).sum() + y.var(axis=0).sum()))


@quick
@given(seeds)
def test_its_root_keeps_to_the_triangle(seed):
    x, y, z = drawn(seed, 3)
    direct = np.sqrt(frechet(x, z))
    assert direct <= (np.sqrt(frechet(x, y)) + np.sqrt(frechet(y, z))) * (1 + 1e-12)


@quick
@given(seeds)
def test_rotations_and_shifts_make_no_difference(seed):
    x, y = drawn(seed, 2, columns=4)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    size = max(np.abs(x).max(), np.abs(y).max()) ** 2
    assert frechet(x @ turn + 5, y @ turn + 5) == pytest.approx(frechet(x, y), rel=1e-10, abs=1e-13 * size)


def test_nearly_equal_ones_keep_their_digits():
    """Traces less twice a nuclear norm are off by 1e-16 of the traces, a thousand times the distance here."""
    a = covdist.moments(A)
    b = covdist.moments((A - A.mean(axis=0)) * (1 + 2.0**-30) + A.mean(axis=0))
    expected = A.var(axis=0).sum() * 2.0**-60
    assert float(covdist.frechet(a, b)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unit", [2.0**-500, 1e-150, 1e-30, 1e150])
def test_any_scale(unit):
    assert frechet(A * unit, B * unit) / unit / unit == pytest.approx(textbook(A, B), rel=1e-8)


def test_gradients_whose_squares_are_subnormal():
    assert frechet(A * 1e-160, B * 1e-160) == pytest.approx(textbook(A, B) * 1e-320, abs=5e-324)
    assert frechet(A * 1e-200, B * 1e-200) == 0


def test_large_means():
    x, y = A - A.mean(axis=0), B - B.mean(axis=0)
    assert frechet(x + 1e6, y + 1e6) == pytest.approx(frechet(x, y), rel=1e-9)
    step = 2.0**-40  # of the means, which float64 alone would round to 0
    tiny = np.array([[-1.0], [1.0]]) * 2.0**-60
    a, b = covdist.moments(tiny) + covdist.moments(tiny), covdist.moments(tiny + step) + covdist.moments(tiny + step)
    assert float(covdist.frechet(a, b)) == pytest.approx(step**2, rel=1e-12)


def test_groups_labels_and_lazily():
    by, by_b = np.arange(50) % 2, np.arange(40) % 2
    x = xr.DataArray(A, dims=("step", "unit"), coords={"unit": list("abcdef")})
    a, b = covdist.moments(x, dim="step", by=by), covdist.moments(B, by=by_b)
    found = covdist.frechet(a, b)
    assert found.dims == ("group",)
    assert found.name == "frechet"
    assert found.attrs == {
        "ddof": 0, "long_name": "squared Frechet distance", "units": "squared units of the columns",
    }  # fmt: skip
    np.testing.assert_allclose(found, [textbook(A[by == g], B[by_b == g]) for g in range(2)], rtol=1e-8)
    counted = Counted(A, 20, 6)
    lazy = covdist.moments(counted.array, by=by)
    for first, second in ((lazy, b), (a, lazy), (lazy, lazy)):
        each = covdist.frechet(first, second)
        assert each.chunks is not None
        np.testing.assert_allclose(each.compute(), covdist.frechet(first.compute(), second.compute()), rtol=1e-13)
    done = lazy.compute()
    counted.made.clear()
    covdist.frechet(done, b)
    assert not counted.made


def test_groups_of_one_side_are_set_against_the_other():
    by = np.arange(50) % 3
    m = covdist.moments(A, by=by)
    whole = covdist.moments(B)
    expected = [textbook(A[by == g], B) for g in range(3)]
    np.testing.assert_allclose(covdist.frechet(m, whole), expected, rtol=1e-8)
    np.testing.assert_allclose(covdist.frechet(whole, m), expected, rtol=1e-8)
    several = covdist.moments(A, by=np.where(by == 0, 7, by))
    found = covdist.frechet(several.merge("group"), m)
    np.testing.assert_allclose(found, [frechet(A, A[by == g]) for g in range(3)], rtol=1e-9)


def test_a_group_of_too_few_rows_has_none():
    m = covdist.moments(A, by=np.arange(50) < 1)
    found = covdist.frechet(m, covdist.moments(B), ddof=1)
    np.testing.assert_array_equal(np.isnan(found), [False, True])


def test_states_that_hold_more():
    expected = frechet(A, B)
    norms, together = covdist.moments(A, state="norms"), covdist.moments(B, state=("full", "higher"))
    assert float(covdist.frechet(norms, together)) == pytest.approx(expected, rel=1e-12)


def test_weights():
    times = RNG.integers(1, 4, 50)
    found = covdist.frechet(covdist.moments(A, weights=times), covdist.moments(B), ddof=1)
    assert float(found) == pytest.approx(frechet(np.repeat(A, times, axis=0), B, ddof=1), rel=1e-10)


def test_nan_is_let_through():
    x = A.copy()
    x[3, 2] = np.nan
    assert np.isnan(float(covdist.frechet(covdist.moments(x, missing="propagate"), covdist.moments(B))))


@pytest.mark.parametrize(
    ("a", "b", "options", "said"),
    [
        (
            A,
            B[:, :5],
            {},
            r"frechet takes two states of the same columns, m_a is of unit \(6\) and m_b of unit \(5\): fold",
        ),
        (A[:1], B, {"ddof": 1}, "ddof=1 leaves nothing to divide by"),
        (A, B, {"bias": "none"}, "bias='none' is unknown: pass one of 'extrapolate'"),
        (A, B, {"bias": "extrapolate", "ddof": 50}, "needs groups by 'block', this state has no groups"),
    ],
)
def test_what_has_none_says_so(a, b, options, said):
    with pytest.raises((DataError, MergeError), match=said):
        covdist.frechet(covdist.moments(a), covdist.moments(b), **options)


def test_other_columns_and_groups_are_refused():
    a, b = (
        covdist.moments(xr.DataArray(A, dims=("step", dim), coords={dim: names}), dim="step")
        for dim, names in (("unit", list("abcdef")), ("unit", list("abxdef")))
    )
    with pytest.raises(DataError, match="along 'unit' m_a has c where m_b has x: fold the same columns of both"):
        covdist.frechet(a, b)
    with pytest.raises(DataError, match=r"m_a is of unit \(6\) and m_b of out \(6\)"):
        covdist.frechet(a, covdist.moments(xr.DataArray(A, dims=("step", "out")), dim="step"))
    by_two, by_three = (covdist.moments(A, by=np.arange(50) % n) for n in (2, 3))
    with pytest.raises(
        DataError, match=r"m_a has 2 groups by 'group' and m_b 3 groups by 'group': choose one by m.sel"
    ):
        covdist.frechet(by_two, by_three)
    with pytest.raises(DataError, match="frechet reads moments, found a ndarray"):
        covdist.frechet(by_two, B)
    with pytest.raises(DataError, match="kind full, found a variances state"):
        covdist.frechet(by_two, covdist.moments(A, state="variances"))
    with pytest.raises(DataError, match="frechet has no option rowvar"):
        covdist.frechet(by_two, by_two, rowvar=False)


# ---- of endlessly many rows


def samples(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    deviations = np.linspace(1, 1.3, 32)
    truth = float(np.sum((deviations - 1) ** 2) + 32 * 0.01)
    return rng.normal(size=(1000, 32)), rng.normal(size=(1000, 32)) * deviations + 0.1, truth


def test_extrapolated_ones_are_closer_to_the_truth():
    x, y, truth = samples(0)
    a, b = (covdist.moments(each, blocks=16) for each in (x, y))
    plain, found = frechet(x, y), float(covdist.frechet(a, b, bias="extrapolate"))
    assert abs(found - truth) < 0.3 * abs(plain - truth)
    one = float(covdist.frechet(a, covdist.moments(y), bias="extrapolate"))
    assert found < one < plain  # a's share of the bias alone
    assert covdist.frechet(a, b, bias="extrapolate").attrs["bias"] == "extrapolate"


@pytest.mark.parametrize("blocks", [2, 3, 16])
def test_the_line_through_unions_of_blocks(blocks):
    x, y = (each[:960] for each in samples(1)[:2])
    parts, points = [np.split(each, blocks) for each in (x, y)], []
    for cut in (each for each in (1, 2, 4) if each <= blocks):
        for start in range(cut):
            some = [np.concatenate(each[start::cut]) for each in parts]
            points.append((sum(960 / len(each) for each in some), textbook(*some)))
    expected = np.polyfit(*np.transpose(points), 1)[1]
    a, b = (covdist.moments(each, blocks=blocks) for each in (x, y))
    assert float(covdist.frechet(a, b, bias="extrapolate")) == pytest.approx(expected, rel=1e-7)


def test_extrapolated_by_groups_and_lazily():
    x, y, _ = samples(2)
    by = np.arange(1000) // 10 % 2
    a = covdist.moments(Counted(x, 250, 32).array, by=by, blocks=4)
    b = covdist.moments(y, blocks=4)
    lazy = covdist.frechet(a, b, bias="extrapolate")
    assert lazy.chunks is not None
    assert lazy.dims == ("group",)
    for group in range(2):
        alone = covdist.moments(x[by == group], blocks=4)
        expected = covdist.frechet(alone, b, bias="extrapolate")
        np.testing.assert_allclose(lazy.compute().sel(group=group), expected, rtol=1e-9)

"""Figures of two layers, against their definitions on the rows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

rng = np.random.default_rng(5)
MIXED = rng.normal(size=(5, 4))
X = rng.normal(size=(60, 5)) * [3.0, 1.0, 0.5, 2.0, 1.0] + 7.0
Y = X[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(60, 4))
FIGURES = ("cka", "rv_coefficient", "cca", "svcca", "pwcca", "procrustes")
each_figure = pytest.mark.parametrize("name", FIGURES)
few = settings(deadline=None, max_examples=25)


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


def moments(x: np.ndarray, y: np.ndarray, **options) -> covdist.Moments:
    return covdist.moments(x, y, **options)


def hsic(k: np.ndarray, other: np.ndarray) -> float:
    """Gretton et al. (2005) with both kernels' matrices centred."""
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ other @ h)


def unbiased_hsic(k: np.ndarray, other: np.ndarray) -> float:
    """Song et al. (2012), equation 5, term by term in a loop over pairs of rows."""
    n, products, sums = len(k), 0.0, 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                products += k[i, j] * other[i, j]
        sums += (k[i].sum() - k[i, i]) * (other[i].sum() - other[i, i])
    total = (k.sum() - np.trace(k)) * (other.sum() - np.trace(other))
    return (products + total / ((n - 1) * (n - 2)) - 2 / (n - 2) * sums) / (n * (n - 3))


def alignment(x: np.ndarray, y: np.ndarray, criterion) -> float:
    k, other = x @ x.T, y @ y.T
    return criterion(k, other) / np.sqrt(criterion(k, k) * criterion(other, other))


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Björck and Golub (1973): by orthonormal bases of the rows."""
    bases = [scipy.linalg.orth(centred(each)) for each in (x, y)]
    return scipy.linalg.svdvals(bases[0].T @ bases[1])


def leading(x: np.ndarray, explained: float) -> np.ndarray:
    left, values, _ = scipy.linalg.svd(centred(x), full_matrices=False)
    shares = np.cumsum(values**2) / np.sum(values**2)
    kept = int(np.searchsorted(shares, explained)) + 1
    return left[:, :kept] * values[:kept]


def weighted(x: np.ndarray, y: np.ndarray) -> float:
    bases = [scipy.linalg.orth(centred(each)) for each in (x, y)]
    left, found, _ = scipy.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    weights = np.abs((bases[0] @ left).T @ centred(x)).sum(axis=1)
    return weights @ found / weights.sum()


def distance(x: np.ndarray, y: np.ndarray) -> float:
    a, b = (centred(each) / np.linalg.norm(centred(each)) for each in (x, y))
    width = max(a.shape[1], b.shape[1])
    a, b = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (a, b))
    turn, _ = scipy.linalg.orthogonal_procrustes(b, a)
    return float(np.linalg.norm(a - b @ turn))


ORACLES = {
    "cka": lambda x, y: alignment(x, y, hsic),
    "rv_coefficient": lambda x, y: alignment(x, y, hsic),
    "cca": correlations,
    "svcca": lambda x, y: correlations(leading(x, 0.99), leading(y, 0.99)).mean(),
    "pwcca": weighted,
    "procrustes": distance,
}


def read(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return getattr(covdist, name)(moments(x, y)).values


@each_figure
def test_as_defined_on_the_rows(name):
    np.testing.assert_allclose(read(name, X, Y), ORACLES[name](X, Y), rtol=1e-10)


@pytest.mark.parametrize("rows", [4, 5, 12, 60])
def test_debiased_as_a_loop_over_pairs_of_rows(rows):
    x, y = X[:rows], Y[:rows]
    found = covdist.cka(moments(x, y, state="both norms"), debiased=True)
    np.testing.assert_allclose(found, alignment(x, y, unbiased_hsic), rtol=1e-10)
    assert found.attrs["debiased"]


def test_unrelated_layers_of_few_rows_are_alike_only_with_the_bias():
    x, y = rng.normal(size=(2, 30, 100))
    m = moments(x, y, state="both norms")
    assert m.cka() > 0.7
    assert abs(m.cka(debiased=True)) < 0.2


@each_figure
def test_merged_as_folded_at_once(name):
    parts = [moments(X[rows], Y[rows]) for rows in (slice(0, 17), slice(17, 18), slice(18, None))]
    total = parts[2] + (parts[0] + parts[1])
    np.testing.assert_allclose(getattr(total, name)(), read(name, X, Y), rtol=1e-12)


def test_debiased_of_merged_states():
    parts = [moments(X[rows], Y[rows], state="both norms") for rows in (slice(0, 17), slice(17, None))]
    np.testing.assert_allclose((parts[1] + parts[0]).cka(debiased=True), alignment(X, Y, unbiased_hsic), rtol=1e-10)


def turns(columns: int) -> np.ndarray:
    return scipy.linalg.qr(rng.normal(size=(columns, columns)))[0]


@few
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1e-160, 1e-20, 1.0, 1e20, 1e150]), n=st.integers(2, 40))
def test_the_same_for_a_layer_turned_moved_and_scaled(seed, size, n):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(n, 3)), draw.normal(size=(n, 4))
    y[:, :2] += x[:, :2]
    changed = (x @ turns(3)) * size
    for name in FIGURES:
        if name == "pwcca" and n <= 8:
            continue  # several correlations are 1, and any directions that span theirs will do
        found = read(name, y, x)  # weights of directions by the columns of y do not change with those of x
        np.testing.assert_allclose(read(name, y, changed), found, rtol=1e-7, atol=1e-7)
        assert (found >= 0).all()
        assert (found <= (np.sqrt(2) + 1e-12 if name == "procrustes" else 1)).all()


@few
@given(seed=st.integers(0, 2**32))
def test_canonical_correlations_are_the_same_after_any_invertible_map(seed):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(50, 4)), draw.normal(size=(50, 3))
    y += x[:, :3]
    maps = [draw.normal(size=(k, k)) + 2 * np.eye(k) for k in (4, 3)]
    sizes = [10.0 ** draw.integers(-150, 150, k) for k in (4, 3)]
    found, mapped = read("cca", x, y), read("cca", x @ maps[0] * sizes[0], y @ maps[1] * sizes[1])
    np.testing.assert_allclose(mapped, found, rtol=1e-6, atol=1e-6)
    assert (np.diff(found) <= 0).all()


@each_figure
def test_a_mean_a_million_spreads_away(name):
    np.testing.assert_allclose(read(name, X + 1e6, Y - 1e6), read(name, X, Y), rtol=1e-7)


@each_figure
def test_a_layer_with_itself(name):
    np.testing.assert_allclose(read(name, X, X), 0.0 if name == "procrustes" else 1.0, rtol=1e-12, atol=1e-7)


def test_directions_that_are_not_there():
    x = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(len(X))])  # two columns add no direction
    np.testing.assert_allclose(read("cca", x, Y), read("cca", X, Y), rtol=1e-9)
    found = read("cca", np.column_stack([Y, 2 * Y]), np.column_stack([Y[:, :2], Y[:, :2] * 3]))
    np.testing.assert_allclose(found, [1, 1, 0, 0], atol=1e-9)
    for name in ("pwcca", "svcca"):
        assert read(name, x, np.column_stack([Y, Y])) == pytest.approx(read(name, x, Y), rel=1e-9)
    assert (read("cca", X[:4], Y[:4])[:3] > 1 - 1e-9).all()  # four rows: any two layers agree in three directions


def test_a_ridge_makes_correlations_smaller():
    m = moments(X[:8], Y[:8])
    assert (m.cca(ridge=0.1) < m.cca() + 1e-12).all()
    np.testing.assert_allclose(m.cca(ridge=1e9), 0.0, atol=1e-8)


def test_a_tolerance_leaves_directions_out():
    x = np.column_stack([X[:, 0], X[:, 0] + 1e-3 * X[:, 1]])
    assert moments(x, X[:, 1:2]).cca() > 0.99
    assert moments(x, X[:, 1:2]).cca(tolerance=1e-3) < 0.5


@each_figure
def test_a_constant_layer(name):
    for x, y in ((np.ones((60, 3)), Y), (X, np.full((60, 2), 1e-9))):
        assert np.isnan(read(name, x, y)).all()


def test_a_constant_layer_debiased():
    assert np.isnan(covdist.cka(moments(X, np.ones((60, 2)), state="both norms"), debiased=True))


@each_figure
def test_a_layer_with_nan(name):
    holed = X.copy()
    holed[3, 1] = np.nan
    for x, y in ((holed, Y), (Y, holed)):
        assert np.isnan(getattr(covdist, name)(moments(x, y, missing="propagate"))).all()
    kept = np.arange(60) != 3
    found = getattr(covdist, name)(moments(holed, Y, missing="drop"))
    np.testing.assert_allclose(found, read(name, X[kept], Y[kept]), rtol=1e-12)


@each_figure
def test_by_group_and_lazily(name):
    by = np.arange(60) % 3
    x, y = (da.from_array(each, chunks=(25, -1)) for each in (X, Y.astype("f4")))
    found = getattr(covdist, name)(moments(x, y, by=by))
    assert found.chunks is not None
    assert found.dims[0] == "group"
    for group in range(3):
        expected = read(name, X[by == group], Y.astype("f4")[by == group])
        np.testing.assert_allclose(found.sel(group=group), expected, rtol=1e-9)
    labels = found.attrs["long_name"], found.attrs["units"]
    assert all(labels)


def test_weights_count_rows():
    counts = np.arange(60) % 3
    options = {"state": "both norms", "weights": counts}
    found, repeated = moments(X, Y, **options), [np.repeat(each, counts, axis=0) for each in (X, Y)]
    np.testing.assert_allclose(found.cka(), read("cka", *repeated), rtol=1e-12)
    np.testing.assert_allclose(found.cka(debiased=True), alignment(*repeated, unbiased_hsic), rtol=1e-9)
    with pytest.raises(DataError, match="reliability weights"):
        moments(X, Y, state="both norms", weights=counts + 0.5).cka(debiased=True)


def test_two_sides_that_are_not_there():
    with pytest.raises(DataError, match="kind both, found a full state"):
        covdist.cka(covdist.moments(X))
    with pytest.raises(DataError, match="state='both'"):
        covdist.cca(moments(X, Y, state="cross"))
    with pytest.raises(DataError, match="state='both norms'"):
        covdist.cka(moments(X, Y), debiased=True)
    with pytest.raises(DataError, match="at least 4 rows, found 3"):
        covdist.cka(moments(X[:3], Y[:3], state="both norms"), debiased=True)


def test_options_out_of_range():
    m = moments(X, Y)
    for call, words in (
        (lambda: m.svcca(explained=0), "pass a share of the variance"),
        (lambda: m.svcca(explained=99), "pass a share of the variance"),
        (lambda: m.cca(tolerance=-1), "a share of the largest"),
        (lambda: m.cca(ridge=-1), "to be added to variances"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_own_matrices_of_few_columns_alone():
    wide = np.zeros((3, 4096))
    assert covdist.moments(wide, wide[:, :1]).layout.kind == "cross"
    assert covdist.moments(wide[:, :2000], wide[:, :96]).layout.kind == "both"
    np.testing.assert_allclose(moments(X, Y).cov(), covdist.cov(X, Y), rtol=1e-12)


def test_saved_and_loaded(tmp_path):
    m = moments(X, Y, by=np.arange(60) % 2, state="both norms")
    m.save(tmp_path / "m.zarr")
    again = covdist.load(tmp_path / "m.zarr")
    assert again.dataset.identical(m.dataset)
    np.testing.assert_array_equal(again.cka(debiased=True), m.cka(debiased=True))
    assert (again + moments(X, Y, by=np.arange(60) % 2, state="cross")).layout.kind == "cross"

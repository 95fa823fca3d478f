"""K-FAC and EK-FAC against Kronecker products of single samples."""

from __future__ import annotations

import dask.array as da
import hypothesis
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError

from .containers import quick
from .counting import Counted

RNG = np.random.default_rng(0)
N, D, K = 80, 4, 3
A = RNG.normal(size=(N, D)) @ RNG.normal(size=(D, D)) + 1
G = RNG.normal(size=(N, K)) * (1 + A[:, :1] ** 2)  # large where inputs are: no product of two means
BY = np.arange(N) % 2
ONES = np.column_stack([A, np.ones(N)])
EKFAC = ("input_eigenvector", "gradient_eigenvector")


def moments(a: np.ndarray = A, g: np.ndarray = G, **options: object) -> tuple[covdist.Moments, covdist.Moments]:
    return covdist.moments(a, **options), covdist.moments(g, **options)


def per_sample(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Gradients (samples, outputs, inputs) of each sample's loss."""
    return np.einsum("ni,nj->nij", g, a)


# ---- K-FAC


def test_factors():
    found = covdist.kfac(*moments())
    np.testing.assert_allclose(found["input_factor"], ONES.T @ ONES / N, rtol=1e-13)
    np.testing.assert_allclose(found["gradient_factor"], G.T @ G / N, rtol=1e-12, atol=1e-12)
    alone = covdist.kfac(*moments(), append_one=False)
    np.testing.assert_allclose(alone["input_factor"], A.T @ A / N, rtol=1e-13)
    assert found.attrs["damping"] == 1e-3
    assert all(each.attrs["long_name"] and each.attrs["units"] for each in found.values())


@pytest.mark.parametrize("damping", [0.0, 1e-3, 10.0])
def test_inverses_are_those_of_the_damped_kronecker_product(damping):
    found = covdist.kfac(*moments(), damping=damping)
    a, g = ONES.T @ ONES / N, G.T @ G / N
    pi = np.sqrt(np.trace(a) / (D + 1) / (np.trace(g) / K))
    np.testing.assert_allclose(found["pi"], pi, rtol=1e-13)
    damped = a + pi * np.sqrt(damping) * np.eye(D + 1), g + np.sqrt(damping) / pi * np.eye(K)
    gradient = RNG.normal(size=(K, D + 1))
    step = found["gradient_inverse"].values @ gradient @ found["input_inverse"].values
    expected = np.linalg.solve(np.kron(damped[1], damped[0]), gradient.ravel()).reshape(K, D + 1)
    np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-12)


def test_the_fisher_matrix_of_a_linear_model_is_their_kronecker_product():
    """With noise that does not depend on the inputs it is exact, up to how well the rows are uncorrelated."""
    a = np.array([[1.0, 2.0], [1.0, -2.0], [-1.0, 1.0], [-1.0, -1.0]])
    g = np.array([[1.0, 1.0], [-1.0, 2.0], [0.5, 0.0]])
    rows = [(x, y) for x in a for y in g]  # every pair: independent
    a, g = (np.array(each) for each in zip(*rows, strict=True))
    fisher = np.mean([np.outer(each.ravel(), each.ravel()) for each in per_sample(a, g)], axis=0)
    found = covdist.kfac(*moments(a, g), append_one=False)
    np.testing.assert_allclose(np.kron(found["gradient_factor"], found["input_factor"]), fisher, atol=1e-15)


@quick
@given(st.sampled_from([1e-148, 1e-30, 1.0, 1e30, 1e148]), st.sampled_from([1e-100, 1.0, 1e100]))
def test_units_make_no_difference(unit, unit_a):
    """Damping is in the units of the Fisher matrix, and split by those of the factors."""
    hypothesis.assume(1e-149 < unit * unit_a < 1e149)
    damping = 1e-3 * (unit * unit_a) ** 2
    found = covdist.kfac(*moments(A * unit_a, G * unit), append_one=False, damping=damping)
    plain = covdist.kfac(*moments(), append_one=False)
    np.testing.assert_allclose(found["pi"], plain["pi"] * (unit_a / unit), rtol=1e-12)
    np.testing.assert_allclose(found["gradient_inverse"] * unit**2, plain["gradient_inverse"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["input_inverse"] * unit_a**2, plain["input_inverse"], rtol=1e-9, atol=1e-9)


def test_tiny_gradients_beside_the_damping():
    found = covdist.kfac(*moments(A, G * 1e-160), damping=1e-3)
    pi = covdist.kfac(*moments())["pi"] * 1e160
    np.testing.assert_allclose(found["pi"], pi, rtol=1e-12)
    np.testing.assert_allclose(found["gradient_inverse"], np.eye(K) * float(pi) / 1e-3**0.5, rtol=1e-12, atol=1e9)
    np.testing.assert_allclose(found["input_inverse"], np.eye(D + 1) / float(pi) / 1e-3**0.5, rtol=1e-12, atol=1e-300)


def test_few_rows_and_dead_units_take_damping():
    a, g = A[:3].copy(), G[:3]
    a[:, 1] = 0
    found = covdist.kfac(*moments(a, g))
    damped = found["input_factor"] + float(found["pi"]) * 1e-3**0.5 * np.eye(D + 1)
    np.testing.assert_allclose(damped.values @ found["input_inverse"].values, np.eye(D + 1), atol=1e-10)
    with pytest.raises(DataError, match=r"second moment of the inputs has no inverse with damping=0: pass a larger"):
        covdist.kfac(*moments(a, g), damping=0)


# ---- EK-FAC


def test_basis_and_products():
    found = covdist.ekfac(*moments())
    for side, matrix in (("input", ONES.T @ ONES / N), ("gradient", G.T @ G / N)):
        vectors, values = found[f"{side}_eigenvector"].values, found[f"{side}_eigenvalue"].values
        np.testing.assert_allclose(vectors @ matrix @ vectors.T, np.diag(values), atol=1e-9 * values[0])
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(values)), atol=1e-12)
        assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(
        found["scale"], np.outer(found["gradient_eigenvalue"], found["input_eigenvalue"]), rtol=1e-13
    )


@pytest.mark.parametrize("append_one", [True, False])
def test_scales_are_mean_squares_of_single_samples_gradients(append_one):
    basis = covdist.ekfac(*moments(), append_one=append_one)
    v, u = (basis[name].values for name in EKFAC)
    turned = u @ per_sample(ONES if append_one else A, G) @ v.T
    found = covdist.ekfac_scale(A, G, basis, append_one=append_one)
    np.testing.assert_allclose(found, (turned**2).mean(axis=0), rtol=1e-12)
    assert abs(found / basis["scale"] - 1).max() > 0.1  # not what K-FAC assumes
    assert set(basis.assign(scale=found).dims) == set(basis.dims)


def test_scales_are_the_diagonal_of_the_fisher_matrix_nearest_to_it():
    basis = covdist.ekfac(*moments())
    v, u = (basis[name].values for name in EKFAC)
    turn = np.kron(u, v)
    gradients = per_sample(ONES, G).reshape(N, -1)
    fisher = turn @ (gradients.T @ gradients / N) @ turn.T
    found = covdist.ekfac_scale(A, G, basis).values.ravel()
    np.testing.assert_allclose(found, np.diagonal(fisher), rtol=1e-10)
    near, products = (np.linalg.norm(fisher - np.diag(each)) for each in (found, basis["scale"].values.ravel()))
    assert near < products


@pytest.mark.parametrize(("unit", "unit_a"), [(1e-100, 1e100), (1e-160, 1e150), (1e150, 1e-150)])
def test_scales_of_tiny_gradients_and_huge_inputs(unit, unit_a):
    basis = covdist.ekfac(*moments(A * unit_a, G * unit), append_one=False)
    found = covdist.ekfac_scale(A * unit_a, G * unit, basis, append_one=False)
    plain = covdist.ekfac_scale(A, G, covdist.ekfac(*moments(), append_one=False), append_one=False)
    np.testing.assert_allclose(found, plain * (unit * unit_a) ** 2, rtol=1e-9)


# ---- both


FUNCTIONS = {"kfac": covdist.kfac, "ekfac": covdist.ekfac}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


@each_function
def test_groups_weights_lazy_and_no_rows_read(name):
    weights = RNG.random(N)
    counted = Counted(A, 20, D), Counted(G, 16, K)
    lazy = [covdist.moments(each.array, by=BY, weights=weights) for each in counted]
    found = FUNCTIONS[name](*lazy)
    assert all(each.chunks is not None for each in found.values())
    assert not any(each.made for each in counted)
    found = found.compute()
    for group in range(2):
        some = group == BY
        alone = FUNCTIONS[name](*moments(A[some], G[some], weights=weights[some]))
        for each in alone:
            np.testing.assert_allclose(abs(found[each].sel(group=group)), abs(alone[each]), rtol=1e-6, atol=1e-8)
    one = FUNCTIONS[name](covdist.moments(A), covdist.moments(G, by=BY))
    assert one[next(iter(set(one) - {"input_eigenvalue", "input_eigenvector"}))].sizes["group"] == 2


@each_function
@pytest.mark.parametrize("options", [{"by": ("epoch", "half")}, {"each": "place"}])
def test_several_coordinates_and_positions(name, options):
    half = np.arange(N) // 40
    names = {"epoch": ("step", BY), "half": ("step", half)}
    arrays = [xr.DataArray(np.stack([each, each * 2]), names, ("place", "step", "unit")) for each in (A, G)]
    if "by" in options:
        arrays = [each.isel(place=0) for each in arrays]
    found = FUNCTIONS[name](*(covdist.moments(each, dim="step", **options) for each in arrays))
    for place in range(2 if "each" in options else 4):
        some = slice(None) if "each" in options else (place // 2 == BY) & (place % 2 == half)
        factor = 1 + place if "each" in options else 1
        alone = FUNCTIONS[name](*moments(A[some] * factor, G[some] * factor))
        for each in alone:
            part = found[each].isel({found[each].dims[0]: place})
            np.testing.assert_allclose(abs(part), abs(alone[each]), rtol=1e-6, atol=1e-8)


@each_function
def test_a_group_that_has_none_is_nan(name):
    a, g = A.copy(), G.copy()
    g[BY == 1] = 0 if name == "kfac" else np.nan
    found = FUNCTIONS[name](*moments(a, g, by=BY, missing="propagate"))
    assert all(np.isnan(each.sel(group=1)).all() for each in found.values() if "group" in each.dims)
    assert all(np.isfinite(each.sel(group=0)).all() for each in found.values())


@each_function
def test_names_of_columns(name):
    x = xr.DataArray(A, dims=("step", "unit"), coords={"unit": list("abcd"), "kind": ("unit", list("xxyy"))})
    g = xr.DataArray(G.reshape(N, K, 1), dims=("step", "head", "unit"))
    found = FUNCTIONS[name](covdist.moments(x, dim="step"), covdist.moments(g, dim="step"))
    assert found["input"].values.tolist() == ["a", "b", "c", "d", "one"]
    assert found["input_kind"].values.tolist() == ["x", "x", "y", "y", "one"]
    assert found.sizes["output"] == K


@each_function
@pytest.mark.parametrize(
    ("a", "g", "said"),
    [
        (A, covdist.moments(G), "m_input reads moments, found a ndarray"),
        (covdist.moments(A, by=BY), covdist.moments(G, by=BY + 1), "the same groups of both, m_input has 2"),
        (covdist.moments(A, state="variances"), covdist.moments(G), "found a variances state"),
        (covdist.moments(np.where(A[3, 1] == A, np.nan, A), missing="propagate"), covdist.moments(G), "NaN or inf"),
    ],
)  # fmt: skip
def test_what_does_not_fit(name, a, g, said):
    with pytest.raises(DataError, match=said):
        FUNCTIONS[name](a, g)


@pytest.mark.parametrize("damping", [-1.0, np.nan, np.inf, None, "1", True])
def test_damping_is_a_number(damping):
    with pytest.raises(DataError, match=r"damping=.* does not fit: pass a number"):
        covdist.kfac(*moments(), damping=damping)


def test_gradients_that_are_all_zero():
    with pytest.raises(DataError, match="the layer's gradients are all zero"):
        covdist.kfac(*moments(A, G * 0))


def test_scales_lazily_once_and_by_groups():
    counted = Counted(A, 20, D), Counted(G, 16, K)
    lazy = covdist.ekfac(*(covdist.moments(da.from_array(each, chunks=(20, -1))) for each in (A, G)))
    found = covdist.ekfac_scale(*(each.array for each in counted), lazy)
    assert found.chunks is not None
    assert not any(each.made for each in counted)
    eager = covdist.ekfac(*moments())
    np.testing.assert_allclose(found.compute(), covdist.ekfac_scale(A, G, eager), rtol=1e-9)
    assert all(each.made == each.every for each in counted)
    grouped = covdist.ekfac_scale(A, G, eager, by=BY)
    np.testing.assert_allclose(grouped.sel(group=1), covdist.ekfac_scale(A[BY == 1], G[BY == 1], eager), rtol=1e-12)
    np.testing.assert_allclose(grouped.mean("group"), covdist.ekfac_scale(A, G, eager), rtol=1e-12)


def test_scales_of_what_does_not_fit():
    basis = covdist.ekfac(*moments())
    with pytest.raises(DataError, match=r"found a Dataset without: pass covdist\.ekfac"):
        covdist.ekfac_scale(A, G, covdist.kfac(*moments()))
    with pytest.raises(DataError, match=r"one basis, found those of groups by 'group'"):
        covdist.ekfac_scale(A, G, covdist.ekfac(*moments(by=BY)))
    with pytest.raises(DataError, match=r"has 4 columns, but the moments are of input \(5\)"):
        covdist.ekfac_scale(A, G, basis, append_one=False)
    with pytest.raises(DataError):
        covdist.ekfac_scale(A[:-1], G, basis)


# ---- what is far from 1, or of few directions


def test_eigenvectors_of_duplicate_columns_far_from_zero_are_orthogonal():
    """Eigenvalues of 2e30, 0.5 and 0: inverse iteration found one vector for both of the small ones."""
    found = covdist.ekfac(*moments(np.full((2, 2), 1e15), np.ones((2, 1))))["input_eigenvector"].values
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(abs(found[0]), [0.5**0.5, 0.5**0.5, 0.5**0.5 * 1e-15], rtol=1e-12)


@pytest.mark.parametrize(("a", "g"), [(3e38, 1e-300), (1e-300, 1e300), (1e300, 1e-300)])
@pytest.mark.filterwarnings("error")
def test_sizes_whose_ratio_is_beyond_float64(a, g):
    """Of one column each, A + pi root = A + sqrt(A / G) root, root = 1 here."""
    found = covdist.kfac(*moments(np.array([[a]]), np.array([[g]])), damping=1.0, append_one=False)
    np.testing.assert_allclose(np.float64(found["input_inverse"]), [[1 / (a / g) if a > g else g / a]], rtol=1e-12)
    np.testing.assert_allclose(np.float64(found["gradient_inverse"]), [[a / g if a > g else 1 / (g / a)]], rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_deviations_near_the_largest_float_are_no_infinity():
    x = np.eye(3) * 1.7e308  # whose root mean squares add up to more
    found = covdist.kfac(*moments(x, x), append_one=False, damping=1.0)
    assert float(found["pi"]) == 1


def test_scales_of_inputs_whose_squares_are_infinite():
    """It said that the input holds infinity."""
    a, g = A * 1e160, G * 1e-160
    found = covdist.ekfac_scale(a, g, covdist.ekfac(*moments(a, g), append_one=False), append_one=False)
    plain = covdist.ekfac_scale(A, G, covdist.ekfac(*moments(), append_one=False), append_one=False)
    np.testing.assert_allclose(found, plain, rtol=1e-9)


@pytest.mark.filterwarnings("error")
def test_factors_without_damping_whatever_their_ratio():
    """Of one column each, 1e300 and 5e-324: nothing is added to either, however far apart they are."""
    found = covdist.kfac(*moments(np.array([[1e300]]), np.array([[5e-324]])), damping=0, append_one=False)
    assert found["input_inverse"].item() == 0
    assert found["pi"].item() == found["gradient_inverse"].item() == np.inf


@pytest.mark.filterwarnings("error")
def test_inverses_of_subnormal_columns():
    x = np.column_stack([A[:, 0] * 1e-309, A[:, 1] * 1e300])
    found = covdist.kfac(covdist.moments(x), covdist.moments(x), damping=0, append_one=False)["input_inverse"].values
    plain = covdist.kfac(*moments(A[:, :2], G), damping=0, append_one=False)["input_inverse"].values
    np.testing.assert_allclose(found[0, 1] * 1e-9, plain[0, 1], rtol=1e-12)
    assert np.isinf(found[0, 0])

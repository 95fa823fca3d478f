"""What the compiled kernel folds is, bit for bit, what a closer look at the same rows folds, and numpy without it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from functools import cache, reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covdist
from covdist.kernel import library, products
from covdist.kernel.sums import column_sums, sum_in_order, sums_and_squares
from covdist.numerics import packed
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import library_names
from covdist.numerics.ordinary import Ordinary
from covdist.state.cross import Cross
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

needs_compiled = pytest.mark.skipif(not library.compiled(), reason="no kernel was compiled here")
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def bits(state) -> bytes:
    if isinstance(state, tuple):
        return b"".join(map(bits, state))
    return np.asarray(state).tobytes()


def rows(seed: int, shape: tuple[int, int], dtype: str) -> np.ndarray:
    """Rows with zeros, subnormals, now and then a jump of the mean, or a value of which nothing can be said."""
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 20, shape).clip(0, 120)
    values[rng.random(shape) < 0.1] = 0
    values = values.astype(dtype)
    if seed % 3 == 0:
        values[len(values) // 2 :] += values.dtype.type(1)
    if dtype.startswith("f"):
        values[rng.random(shape) < 0.001] = np.finfo(dtype).smallest_subnormal
        if seed % 5 == 0:
            values[rng.random(shape) < 0.0005] = np.nan
    return values


def folded(kind, blocks, precision="high", missing=None, **weights):
    from covdist.numerics.nonfinite import drop

    accumulator = kind.accumulator(*(block.shape[1] for block in blocks), Options(drop, precision))
    for start in range(0, len(blocks[0]), 1000):
        cut = slice(start, start + 1000)
        accumulator.add(*(block[cut] for block in blocks), **{name: w[cut] for name, w in weights.items()})
    return accumulator.state()


SHAPES = st.tuples(st.integers(1, 3000), st.sampled_from([1, 2, 7, 8, 15, 16, 17, 31, 33, 65, 130, 260]))


@needs_compiled
@given(st.integers(0, 1 << 20), SHAPES, st.sampled_from(DTYPES), st.booleans(), st.sampled_from(["high", "fast"]))
def test_a_closer_look_folds_the_same(seed, shape, dtype, weighted, precision):
    block = rows(seed, shape, dtype)
    weights = {"frequency": np.random.default_rng(seed).random(2 * len(block))[::2] + 0.1} if weighted else {}
    for kind, blocks in ((Variances, [block]), (Scatter, [block]), (Cross, [block, block[:, : shape[1] // 2 + 1]])):
        found = bits(folded(kind, blocks, precision, **weights))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ordinary, "fold", lambda *_: 0)
            assert bits(folded(kind, blocks, precision, **weights)) == found


def beginnings() -> dict[str, np.ndarray]:
    """Blocks whose pilots are hard to find, or are the values themselves."""
    rng = np.random.default_rng(3)
    near, top = rng.normal(1e9, 1e-3, (5000, 10)), np.full((40, 3), 2**53)
    constant = np.tile([-0.0, 0.1, 1e9], (300, 1))
    return {
        "near": near,
        "one row": near[:1],
        "sixteen rows and one": near[:17],
        "constant": constant,
        "constant but for a row": np.concatenate([constant, constant[:1] + 1]),
        "opposite zeros": np.where(rng.random((100, 4)) < 0.5, 0.0, -0.0),
        "beyond sums": np.full((64, 2), 1.7e308) * [1, -1],
        "largest": np.full((64, 2), np.finfo("f4").max, "f4"),
        "with holes": np.where(rng.random((100, 4)) < 0.05, np.nan, 1.0),
        "beyond float64": top + 1,
        "at its border": top,
        "within it": top - rng.integers(1, 9, (40, 3)),
        "unsigned": top.astype("u8") * 2,
        "windows": np.lib.stride_tricks.sliding_window_view(rng.normal(size=500), 12),
        "one row again and again": np.broadcast_to(near[0], (90, 10)),
    }


@needs_compiled
@pytest.mark.parametrize("name", beginnings())
@pytest.mark.parametrize(("kind", "precision"), [(Variances, "high"), (Scatter, "high"), (Scatter, "fast")])
def test_a_segment_begins_as_in_numpy(kind, precision, name, monkeypatch):
    block = beginnings()[name]
    with np.errstate(over="ignore", invalid="ignore"):
        found = bits(folded(kind, [block], precision))
        monkeypatch.setattr(Ordinary, "fold", lambda *_: 0)
        assert bits(folded(kind, [block], precision)) == found


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u8"])
@pytest.mark.parametrize("width", [1, 5, 40])
def test_rows_may_lie_anywhere(dtype, width):
    expected = rows(1, (700, width), dtype)
    memory = np.zeros(3 * expected.nbytes + 1, np.uint8)
    odd = memory[1 : 1 + expected.nbytes].view(dtype).reshape(expected.shape)
    apart = np.ndarray(expected.shape, dtype, memory, 0, (3 * width * expected.itemsize, expected.itemsize))
    reverse, turned = expected[::-1].copy()[::-1], np.asfortranarray(expected)
    for block in (odd, apart, reverse, turned):
        block[...] = expected
        for kind in (Variances, Scatter):
            assert bits(folded(kind, [block])) == bits(folded(kind, [expected]))


def variances_of_all_dtypes() -> str:
    shapes = [(2500, 1), (700, 3), (1900, 16), (1200, 33), (1100, 300)]
    blocks = [rows(seed, shape, dtype) for seed, shape in enumerate(shapes) for dtype in DTYPES]
    return hashlib.sha256(b"".join(bits(folded(Variances, [block])) for block in blocks)).hexdigest()


@needs_compiled
@pytest.mark.parametrize("kernel", [each for each in ("numpy", "plain") if each in library.available()])
def test_other_kernels_have_the_same_variances(kernel):
    assert told_by(kernel)[1] == variances_of_all_dtypes()


@pytest.mark.parametrize("height", [0, 1, 256, 257, 512, 700, 9000])
@pytest.mark.parametrize("width", [1, 2, 3, 16, 17, 40])
def test_sums_are_in_order(height, width):
    values = np.random.default_rng(0).normal(size=(height, width))
    expected = np.zeros(width)
    for start in range(0, height, 256):
        part = np.zeros(width)
        for row in values[start : start + 256]:
            part = part + row
        expected = expected + part
    np.testing.assert_array_equal(column_sums(values), expected)
    np.testing.assert_array_equal(column_sums(values, values), column_sums(values**2))
    np.testing.assert_array_equal(sums_and_squares(values), (expected, column_sums(values**2)))
    factors = np.arange(height)[:, None] + 0.5
    np.testing.assert_array_equal(column_sums(values, factors), column_sums(values * factors))
    if height:  # Python's own sum carries the errors along
        assert sum_in_order(values[:, 0]) == reduce(add, values[:, 0].tolist())


@needs_compiled
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (8, 5), (19, 7)])
def test_products_are_exact_to_the_last_digits(n, m):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(300, n)), rng.normal(size=(300, m))
    out = np.zeros((n, m))
    products.add_product(x, y, out, 2.0)
    gram = np.zeros((n, n))
    products.add_gram(x, gram)
    for left, right, found, factor in ((x, y, out, 2), (x, x, np.tril(gram) + np.tril(gram, -1).T, 1)):
        for i in range(left.shape[1]):
            for j in range(right.shape[1]):
                terms = [
                    Fraction(a) * Fraction(b) for a, b in zip(left[:, i].tolist(), right[:, j].tolist(), strict=True)
                ]
                size = sum(map(abs, terms))
                assert abs(Fraction(found[i, j]) - factor * sum(terms)) <= Fraction(259, 2**53) * factor * size


@needs_compiled
def test_a_packed_triangle_holds_what_a_square_does():
    from covdist.numerics import packed

    for n in (1, 2, 5, 8, 33, 64):
        x = np.random.default_rng(n).normal(size=(520, n))
        square, flat = np.zeros((n, n)), np.zeros(packed.size(n))
        products.add_gram(x, square)
        products.add_gram(x, flat)
        np.testing.assert_array_equal(packed.pack(square), flat)


def run(code: str, kernel: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COVDIST_KERNEL": kernel} | variables
    here = os.path.dirname(__file__)
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=here, capture_output=True, text=True)


@cache
def told_by(kernel: str) -> list[str]:
    """Return the lines of a process of that kernel: its name, variances of all dtypes, and what ``WITH_HOLES`` says."""
    processor = PROCESSORS[library.available().index(kernel) % 2]
    return run(ABOUT_ITSELF + WITH_HOLES, kernel, OPENBLAS_CORETYPE=processor).stdout.splitlines()


def test_an_unknown_kernel_is_refused():
    found = run("import covdist; covdist.var([[1.0], [2.0]])", "neon9").stderr
    assert "COVDIST_KERNEL=neon9 cannot be used here: set one of numpy" in found


def test_results_say_what_folded_them():
    assert told_by("numpy")[0].startswith("numpy, ")
    if library.compiled():
        assert told_by(library.name())[0] == "compiled"


X = [[1.0, 2.0, 3.0], [2.0, 1.0, 3.5], [0.5, 0.0, 1.0], [4.0, 1.0, 1.0]]
WITH_BLAS = [
    lambda: covdist.moments(X, missing="maxent").layout.provenance,
    lambda: covdist.cov(X, missing="pairwise", nearest_psd=True).attrs,
    lambda: covdist.moments(X).spectrum(1).attrs,
    lambda: covdist.spectrum(X, 1).attrs,
    lambda: covdist.spectrum(X, 1, method="dual").attrs,
    lambda: covdist.spectrum(X, 1, method="sketch").attrs,
]


@pytest.mark.parametrize("made", WITH_BLAS)
def test_what_blas_multiplies_names_it(made):
    assert made()["kernel"] == f"{library.kind()}, {library_names()}"


@needs_compiled
def test_all_else_names_the_kernel_alone():
    states = "full", "norms", "variances", "higher", ("full", "higher")
    asked = [{"missing": "pairwise"}, *({"state": each} for each in states)]
    assert {covdist.moments(X, **each).layout.provenance["kernel"] for each in asked} == {"compiled"}


PROCESSORS = ["Haswell", "Prescott"]  # as which OpenBLAS multiplies: not what the sums below are made with
ABOUT_ITSELF = """
import covdist, test_same
print(covdist.moments([[1.0], [2.0]]).layout.provenance["kernel"])
print(test_same.variances_of_all_dtypes())
"""
WITH_HOLES = """
import hashlib, numpy as np, covdist
rng = np.random.default_rng(0)
x, w = rng.normal(size=(3000, 37)).astype("f4"), rng.uniform(0.5, 2, 3000)
x[rng.random(x.shape) < 0.1] = np.nan
asked = {
    "columns": lambda: covdist.moments(x, missing="pairwise", state="variances", weights=w),
    "powers": lambda: covdist.moments(x, missing="drop", state="higher", weights=w),
    "side by side": lambda: covdist.moments(x, x[:, ::-1], missing="pairwise", state="columnwise"),
    "norms": lambda: covdist.moments(np.nan_to_num(x), state="norms", weights=w),
    "pairs": lambda: covdist.moments(x, missing="pairwise"),
    "weighted pairs": lambda: covdist.moments(x, missing="pairwise", weights=w),
    "pairs of two": lambda: covdist.moments(x, x[:, 5:9] ** 2, missing="pairwise"),
}
for name, moments in asked.items():
    variables = moments().dataset.data_vars.values()
    print(name, hashlib.sha256(b"".join(each.values.tobytes() for each in variables)).hexdigest(), sep=": ")
"""


def test_values_left_out_one_by_one_and_higher_powers_have_the_same_bits_everywhere():
    found = {kernel: told_by(kernel)[2:] for kernel in library.available()}
    of_columns = {tuple(lines[:3]) for lines in found.values()}
    of_pairs = {tuple(lines[3:]) for kernel, lines in found.items() if kernel != library.NUMPY}
    assert len(of_columns) == 1
    assert len(of_pairs) <= 1
    assert all(len(lines) == 7 for lines in found.values())


@needs_compiled
@pytest.mark.parametrize("width", [1, 2, 9, 10, 255])
def test_products_about_the_mean_are_packed_as_in_numpy(width):
    rng = np.random.default_rng(width)
    square, sums, factor = rng.normal(size=(width, width)), rng.normal(size=width), -1 / 7
    expected = packed.pack(square + np.multiply.outer(sums * factor, sums))
    assert products.centred(square, sums, factor).tobytes() == expected.tobytes()

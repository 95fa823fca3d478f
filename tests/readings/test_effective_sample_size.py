"""``m.effective_sample_size``: batch means from the states of blocks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.signal

import covdist
from covdist.errors import DataError, MergeError

RNG = np.random.default_rng(0)


def batch_means(x, blocks):
    parts = np.array_split(x, blocks)
    means, sizes = np.array([part.mean(axis=0) for part in parts]), np.array([len(part) for part in parts])
    spread = (sizes[:, None] * (means - x.mean(axis=0)) ** 2).sum(axis=0) / (blocks - 1)
    return len(x) * x.var(axis=0, ddof=1) / spread


def ar(phi, n, columns):
    return scipy.signal.lfilter([1], [1, -phi], RNG.normal(size=(n + 300, columns)), axis=0)[300:]


@pytest.mark.parametrize("state", ["full", "variances", ("full", "higher")])
@pytest.mark.parametrize("lazy", [False, True])
def test_as_the_formula_from_the_rows(state, lazy):
    x = ar(0.5, 1024, 3) * [1, 1e-150, 1e100] + [0, 0, 1e104]
    m = covdist.moments(da.from_array(x, chunks=(100, 3)) if lazy else x, blocks=16, state=state)
    found = m.effective_sample_size()
    np.testing.assert_allclose(found, batch_means(x, 16), rtol=1e-10)
    assert (found.chunks is not None) == lazy
    assert found.attrs == {"long_name": "effective sample size", "units": "rows"}
    assert found.name == "effective_sample_size"


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_of_a_process_whose_number_is_known(phi):
    n = 32 * 400
    found = covdist.moments(ar(phi, n, 200), blocks=32, state="variances").effective_sample_size()
    assert abs(1 / float((1 / found).mean()) / (n * (1 - phi) / (1 + phi)) - 1) < 0.08


def test_of_each_group():
    x, label = ar(0.5, 1000, 2), RNG.integers(0, 2, size=1000)
    m = covdist.moments(x, by=label, blocks=10)
    for group in (0, 1):
        own = x[label == group]
        borders = np.flatnonzero(np.diff(np.arange(len(own)) * 10 // len(own))) + 1
        sizes = np.diff([0, *borders, len(own)])
        means = np.array([part.mean(axis=0) for part in np.split(own, borders)])
        spread = (sizes[:, None] * (means - own.mean(axis=0)) ** 2).sum(axis=0) / 9
        expected = len(own) * own.var(axis=0, ddof=1) / spread
        np.testing.assert_allclose(m.effective_sample_size().sel(group=group), expected, rtol=1e-10)
    epochs = covdist.moments(x, by=np.arange(1000) // 100)
    np.testing.assert_allclose(covdist.effective_sample_size(epochs, dim="group"), batch_means(x, 10), rtol=1e-10)


def test_what_has_no_blocks_says_so():
    x = ar(0.5, 100, 2)
    with pytest.raises(MergeError, match=r"effective_sample_size needs groups by 'block'.*blocks=32"):
        covdist.moments(x).effective_sample_size()
    with pytest.raises(DataError, match="found 1"):
        covdist.moments(x, blocks=1).effective_sample_size()
    assert np.isnan(covdist.moments(np.ones((100, 1)), blocks=4).effective_sample_size()).all()

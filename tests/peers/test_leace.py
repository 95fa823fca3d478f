"""concept-erasure's own erasers: their figures, and the library itself where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist

from .test_estimates import X

Z = np.eye(2)[np.arange(len(X)) // 3 % 2]
FIGURES = {  # by its ``shrinkage``: projection and bias
    False: (
        [
            [0.992671399322631, -0.019019919251449673, -0.1784887392127967],
            [-0.12458621151527288, 0.6766613727253561, -3.034308566617539],
            [-0.027482252540133728, -0.07132469719293616, 0.3306672279520134],
        ],
        [0.7476751305945162, 12.710477220106753, 2.8037817397294313],
    ),
    True: (
        [
            [1.017581863212275, -0.05135318378955669, -0.0385540636772826],
            [0.2988916746086768, 0.1269958755775361, -0.6554190825138042],
            [0.06593198704603166, -0.19257443921083764, 0.8554222612101903],
        ],
        [0.633094043406526, 10.762598737910944, 2.374102662774473],
    ),
}


def ours(x: np.ndarray, z: np.ndarray, shrinkage: bool) -> xr.Dataset:
    return covdist.leace(covdist.moments(x, z), covdist.moments(x), shrink="ols" if shrinkage else None)


@pytest.mark.parametrize("shrinkage", FIGURES)
def test_figures(shrinkage):
    """Of concept-erasure 0.2.4 with torch 2.13.0."""
    found = ours(X, Z, shrinkage)
    for name, expected in zip(("projection", "bias"), FIGURES[shrinkage], strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shrinkage", FIGURES)
def test_live(shrinkage):
    torch, module = pytest.importorskip("torch"), pytest.importorskip("concept_erasure")
    rng = np.random.default_rng(0)
    larger = rng.normal(size=(500, 20)) @ rng.normal(size=(20, 20))
    classes = rng.integers(4, size=500)
    larger[:, :3] += 10 * rng.normal(size=(4, 3))[classes]
    for x, z in ((X, Z), (larger, np.eye(4)[classes]), (larger, larger[:, :2] + rng.normal(size=(500, 2)))):
        theirs = module.LeaceFitter.fit(torch.from_numpy(x), torch.from_numpy(z), shrinkage=shrinkage).eraser
        found = ours(x, z, shrinkage)
        np.testing.assert_allclose(found["projection"], theirs.P.numpy(), rtol=1e-6, atol=1e-6)
        expected = theirs(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(covdist.erase(x, found), expected, rtol=1e-6, atol=1e-6 * abs(expected).max())

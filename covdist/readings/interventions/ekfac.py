"""EK-FAC: the eigenbasis of a layer's Kronecker factors, in which a Fisher matrix is nearly diagonal."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.numerics.matrices.covariance import Covariance
from covdist.readings.interventions.kfac import Arrays, described, of_both
from covdist.results.moments import Moments
from covdist.results.names import own_names

_DIMS = {
    "input_eigenvalue": "input_component",
    "input_eigenvector": "input_component input",
    "gradient_eigenvalue": "output_component",
    "gradient_eigenvector": "output_component output",
    "scale": "output_component input_component",
}
_ABOUT = {
    "input_eigenvalue": ("eigenvalues of the input factor", "squares of the inputs' units"),
    "input_eigenvector": ("eigenvectors of the input factor", "1"),
    "gradient_eigenvalue": ("eigenvalues of the gradient factor", "squares of the gradients' units"),
    "gradient_eigenvector": ("eigenvectors of the gradient factor", "1"),
    "scale": ("products of the factors' eigenvalues", "squares of the weights' gradients' units"),
}


@own_names
def ekfac(m_input: Moments, m_gradient: Moments, *, append_one: bool = True) -> xr.Dataset:
    """Eigenvectors and eigenvalues of K-FAC's factors, and the scale that K-FAC gives each pair of eigenvectors.

    The step of natural gradient descent, for a gradient (outputs, inputs + 1), the bias last, is
    ``U.T @ ((U @ gradient @ V.T) / (scale + damping)) @ V`` with the eigenvectors U of the gradients, V of the inputs.

    Parameters
    ----------
    m_input, m_gradient : Moments
        Of a layer's inputs, and of each sample's gradients by the layer's sums, as for :func:`covdist.kfac`.
    append_one : bool
        Whether the layer has a bias: a last column of ones is added to its inputs.

    Returns
    -------
    Dataset
        float64 ``input_eigenvector`` (input_component, input) and ``gradient_eigenvector`` (output_component, output),
        by descending ``input_eigenvalue`` and ``gradient_eigenvalue``; ``scale`` (output_component, input_component),
        the products of these. Products are what K-FAC assumes; :func:`covdist.ekfac_scale` has the exact scales, which
        take another pass over the rows. Of each group where there are groups, NaN for a group that has none; lazy where
        one of the moments is.

    Raises
    ------
    DataError
        If the moments hold no matrix, have other groups than each other, or hold NaN.

    Notes
    -----
    George, Laurent, Bouthillier, Ballas and Vincent (2018), Fast approximate natural gradient descent in a
    Kronecker-factored eigenbasis. Nothing is damped here.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> a, g = np.diag([1.0, 2.0]), np.diag([3.0, 1.0])
    >>> found = covdist.ekfac(covdist.moments(a), covdist.moments(g), append_one=False)
    >>> found["input_eigenvalue"].values, found["gradient_eigenvalue"].values
    (array([2. , 0.5]), array([4.5, 0.5]))
    >>> found["scale"].values
    array([[9.  , 2.25],
           [1.  , 0.25]])
    """
    found = of_both(_eigen, m_input, m_gradient, append_one, list(_DIMS.values()))
    return described(dict(zip(_DIMS, found, strict=True)), _ABOUT)


def _eigen(a: Covariance, g: Covariance) -> Arrays:
    (unit, values, vectors), (unit_g, values_g, vectors_g) = a.principal(), g.principal()
    with np.errstate(over="ignore"):
        scale = np.ldexp(np.outer(values_g, values), 2 * (unit + unit_g))
        return np.ldexp(values, 2 * unit), vectors.T, np.ldexp(values_g, 2 * unit_g), vectors_g.T, scale

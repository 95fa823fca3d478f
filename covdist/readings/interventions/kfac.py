"""K-FAC: the two Kronecker factors of a layer's Fisher matrix, and their damped inverses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.inputs import check_number
from covdist.numerics.blas import with_kernel
from covdist.numerics.matrices.covariance import Covariance
from covdist.numerics.matrices.shrinkage import check_finite
from covdist.readings.distributions.pairs import common_groups
from covdist.readings.estimates.second_moment import with_one
from covdist.results.labels import Axis
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.results.reading import check_moments

_ABOUT = {
    "input_factor": ("second moment of the layer's inputs", "products of the inputs' units"),
    "gradient_factor": ("second moment of the gradients by the layer's sums", "products of the gradients' units"),
    "input_inverse": ("inverse of the damped input factor", "1 / products of the inputs' units"),
    "gradient_inverse": ("inverse of the damped gradient factor", "1 / products of the gradients' units"),
    "pi": ("ratio of the factors' sizes, by which the damping is split", "inputs' units / gradients' units"),
}
Arrays = tuple[np.ndarray, ...]
_MOST = float(np.finfo(np.float64).max)


@own_names
def kfac(m_input: Moments, m_gradient: Moments, *, damping: float = 1e-3, append_one: bool = True) -> xr.Dataset:
    """Kronecker factors of a layer's Fisher matrix, A of its inputs and G of its gradients, and their damped inverses.

    The weights' gradient times the inverse of the Fisher matrix, what natural gradient descent steps along, is
    ``gradient_inverse @ gradient @ input_inverse`` for a gradient (outputs, inputs + 1), the bias last.

    Parameters
    ----------
    m_input : Moments
        Of the layer's inputs a, a row a sample, with a matrix.
    m_gradient : Moments
        Of the gradients g of each sample's own loss by the layer's sums W a + b, a row a sample, with a matrix. A
        gradient of a mean over B samples is 1/B of that: multiply its rows by B. With labels drawn from the model's own
        predictions it is the Fisher matrix, with those of the data the empirical one.
    damping : float
        λ, which is added to the Fisher matrix: 1e-3 by default, 0 for none.
    append_one : bool
        Whether the layer has a bias: a last column of ones is added to its inputs, as by :func:`covdist.second_moment`.

    Returns
    -------
    Dataset
        float64 ``input_factor`` A (input, input_2) and ``gradient_factor`` G (output, output_2), not damped;
        ``input_inverse`` and ``gradient_inverse``, those of the damped factors; ``pi``. Of each group where there are
        groups, NaN for a group that has none; lazy where one of the moments is.

    Raises
    ------
    DataError
        If the moments hold no matrix, have other groups than each other, or a factor has no inverse.

    Notes
    -----
    F ≈ A ⊗ G, damped as (A + π √λ I) ⊗ (G + √λ/π I) with π = √(mean of A's diagonal / mean of G's): Martens and Grosse
    (2015), Optimizing neural networks with Kronecker-factored approximate curvature, sections 3 and 6.3.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> rng = np.random.default_rng(0)
    >>> a, g = covdist.moments(rng.normal(size=(100, 3))), covdist.moments(rng.normal(size=(100, 2)))
    >>> found = covdist.kfac(a, g, damping=0.01)
    >>> dict(found["input_inverse"].sizes), dict(found["gradient_inverse"].sizes)
    ({'input': 4, 'input_2': 4}, {'output': 2, 'output_2': 2})
    """
    check_number("damping", damping, lambda given: 0 <= given < np.inf, "a number that is 0 or greater, such as 1e-3")
    found = of_both(_kfac, m_input, m_gradient, append_one, ["input input_2", "output output_2"] * 2 + [""], damping)
    return described(dict(zip(_ABOUT, found, strict=True)), _ABOUT, damping=damping)


def of_both(
    function: Callable[..., Arrays],
    m_input: Moments,
    m_gradient: Moments,
    append_one: bool,
    dims: list[str],
    *arguments: object,
) -> tuple[xr.DataArray, ...]:
    """Return the arrays, with such dims, that a function makes of both factors, once a group."""
    for name, m in (("m_input", m_input), ("m_gradient", m_gradient)):
        check_moments(m, name)
    groups = common_groups(m_input.layout, m_gradient.layout, "K-FAC", ("m_input", "m_gradient"))
    a, g = _Factor.of(m_input, "input", append_one), _Factor.of(m_gradient, "output", False)
    call = partial(_of_factors, function=function, arguments=arguments, dims=dims, grouped=groups is not None)
    sizes = {f"{role}_component": part.scale.sizes[role] for role, part in (("input", a), ("output", g))}
    found: tuple[xr.DataArray, ...] = xr.apply_ufunc(
        call, *a, *g, input_core_dims=[["input"], ["input", "input_2"], ["output"], ["output", "output_2"]],
        output_core_dims=[each.split() for each in dims], vectorize=True, dask="parallelized", keep_attrs=False,
        output_dtypes=[np.float64] * len(dims),
        dask_gufunc_kwargs={"output_sizes": {each: sizes[each] for each in {*" ".join(dims).split()} & sizes.keys()}},
    )  # fmt: skip
    return found


def described(arrays: dict[str, xr.DataArray], about: dict[str, tuple[str, str]], **attrs: object) -> xr.Dataset:
    """Return arrays by their names, with what each of them is."""
    named = {
        name: array.rename(name).assign_attrs(dict(zip(("long_name", "units"), about[name], strict=True)))
        for name, array in arrays.items()
    }
    return xr.Dataset(named, attrs={**attrs, "kernel": with_kernel()})


class _Factor(NamedTuple):
    """A second moment in two parts, so that no product of tiny or huge columns leaves float64's range."""

    scale: xr.DataArray  # root mean squares
    cosine: xr.DataArray

    @classmethod
    def of(cls, m: Moments, role: str, append_one: bool) -> _Factor:
        axis = _called(with_one(m.layout.axes[0]) if append_one else m.layout.axes[0], role)
        state = m.asking("about_zero")
        return cls(
            state.read(_part, [axis], append_one, "deviations"),
            state.read(_part, [axis, axis.second(axis)], append_one, "correlation"),
        )


def _called(axis: Axis, role: str) -> Axis:
    """Return an axis by the role that its columns have in the layer."""
    if axis.dim is None:
        return Axis(role, axis.size)
    return axis.renamed({**{name: f"{role}_{name}" for name in axis.coords}, axis.dim: role})


def _part(state: Any, append_one: bool, part: str) -> np.ndarray:
    return np.asarray(getattr(state.about_zero(append_one), part))


def _of_factors(
    *parts: np.ndarray, function: Callable[..., Arrays], arguments: tuple[object, ...], dims: list[str], grouped: bool
) -> Arrays:
    a, g = (Covariance(scale, cosine, len(scale)) for scale, cosine in (parts[:2], parts[2:]))
    try:
        check_finite(float(np.concatenate([a.deviations, g.deviations]).max()))
        return function(a, g, *arguments)
    except DataError:
        if not grouped:
            raise
    sizes = {"input": len(a.deviations), "output": len(g.deviations)}
    return tuple(np.full([sizes[each.split("_")[0]] for each in of.split()], np.nan) for of in dims)


def _kfac(a: Covariance, g: Covariance, damping: float) -> Arrays:
    sizes = {"inputs": _size(a), "gradients": _size(g)}
    if zero := [what for what, size in sizes.items() if size == 0]:
        raise DataError(f"the layer's {zero[0]} are all zero, which leaves nothing to scale by: leave the layer out")
    roots, root = np.sqrt([*sizes.values()]), damping**0.25
    with np.errstate(over="ignore"):
        split = np.clip(roots[0] / roots[1], 1 / _MOST, _MOST)  # the root of pi, which may be beyond float64
        shares = root * split, root / split
    inverses = [_inverse(a, shares[0], "inputs", damping), _inverse(g, shares[1], "gradients", damping)]
    return a.matrix(), g.matrix(), *inverses, np.array(sizes["inputs"] / sizes["gradients"])


def _size(factor: Covariance) -> float:
    """Return the root of the diagonal's mean."""
    unit = int(np.frexp(factor.deviations.max())[1])
    norm = np.linalg.norm(np.ldexp(factor.deviations, -unit))
    return float(np.ldexp(norm / len(factor.deviations) ** 0.5, unit))


def _inverse(factor: Covariance, root: float, what: str, damping: float) -> np.ndarray:
    try:
        return factor.damped(root).inverse()
    except DataError as error:
        raise DataError(
            f"the second moment of the {what} has no inverse with damping={damping:g}: pass a larger one, such as 1e-3"
        ) from error

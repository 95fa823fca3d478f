"""How often the gradient of a step has the sign of the mean gradient."""

from __future__ import annotations

import xarray as xr

from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.base import ask


@reading
def sign_agreement(m: Moments) -> xr.Dataset:
    """Share of the steps whose gradient has the sign of the mean gradient, of each parameter and of the layer.

    Parameters
    ----------
    m : Moments
        Of gradients, with a row for each step or sample: ``covdist.moments(g, dim="step", state="signs")``. Shares of
        each group where there are groups.

    Returns
    -------
    Dataset
        float64 from 0 to 1, without units, lazy where ``m`` is. ``agreement``, dims those of the columns: 1 where all
        steps pull a parameter the same way, near ½ where they are noise. A gradient of exactly 0 has neither sign, and
        counts for a mean of 0 alone. NaN where all gradients are 0 or the mean is not finite, and in groups without
        rows. ``layer_agreement``: the mean over the parameters whose gradients are not all 0.

    Raises
    ------
    DataError
        If ``m`` keeps no signs; the sentence says which state does.

    Notes
    -----
    The number of rows with the mean's sign over that of all rows; with weights, the weight of these rows over that of
    all. It says what the signal-to-noise ratio of :func:`covdist.gradient_stats` does, but no single step, however
    large, sways it by more than one row.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> g = np.array([[1.0, -1.0, 0.0], [2.0, 5.0, 0.0], [3.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
    >>> found = covdist.moments(g, state="signs").sign_agreement()
    >>> found["agreement"].values
    array([0.75, 0.25,  nan])
    >>> found["layer_agreement"].item()
    0.5
    """
    state, (axis, *_) = m.asking("sign_agreement"), m.layout.axes
    about = "share of the steps whose gradient has the sign of its mean"
    attrs, of_layer = ({"long_name": f"{about}{which}", "units": "1"} for which in ("", ", mean over the parameters"))
    return xr.Dataset(
        {
            "agreement": state.read(ask, [axis], "sign_agreement", attrs=attrs),
            "layer_agreement": state.read(ask, [], "layer_sign_agreement", attrs=of_layer),
        }
    )


read = sign_agreement

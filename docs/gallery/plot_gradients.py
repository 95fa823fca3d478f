"""
Do gradients reach the first layer?
===================================

Eight layers, each with gradients a third of those of the one behind it. The band is where they vanish: below a
hundredth of the last layer's.
"""

import numpy as np
import xarray as xr

import covdist

rng = np.random.default_rng(0)
log = xr.DataTree.from_dict(
    {
        f"layer{depth}": xr.Dataset({"gradient": (("step", "param"), 3.0**depth * rng.normal(0.3, 1, size=(200, 40)))})
        for depth in range(1, 9)
    }
)
covdist.plot.gradients(log, dim="step")

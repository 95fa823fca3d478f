"""
What is wrong with each layer
=============================

Five layers whose weights were too small: gradients vanish on their way back to the input.
"""

import numpy as np
import xarray as xr

import covdist

rng = np.random.default_rng(0)
log = xr.DataTree.from_dict(
    {
        f"layer{depth}": xr.Dataset(
            {
                "gradient": (("step", "param"), 10.0 ** (depth - 5) * rng.normal(size=(200, 30))),
                "activation": (("sample", "unit"), np.maximum(rng.normal(size=(500, 16)) - depth % 3, 0)),
            }
        )
        for depth in range(1, 6)
    }
)
covdist.plot.health(log, by=())

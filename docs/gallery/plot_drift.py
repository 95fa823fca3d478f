"""
When did training settle?
=========================

How far the activations of each epoch are from those of the epoch before.
"""

import numpy as np
import xarray as xr

import covdist

rng = np.random.default_rng(0)
epoch = np.repeat(np.arange(12), 200)
mean = 4 * np.exp(-epoch / 3)[:, None]
rows = mean + rng.normal(size=(2400, 8)) * (1 + np.exp(-epoch / 2)[:, None])
x = xr.DataArray(rows, dims=("sample", "unit"), coords={"epoch": ("sample", epoch)})
covdist.plot.drift(covdist.moments(x, dim="sample", by="epoch"))

"""
Where are the holes?
====================

The share of values that is missing, by unit and epoch.
"""

import numpy as np
import xarray as xr

import covdist

rng = np.random.default_rng(0)
rows = rng.normal(size=(1200, 16))
epoch = np.repeat(np.arange(6), 200)
rows[rng.random(rows.shape) < 0.02 * epoch[:, None]] = np.nan  # ever more overflow
rows[epoch == 3, 5:9] = np.nan  # a sensor that was off
x = xr.DataArray(rows, dims=("sample", "unit"), coords={"epoch": ("sample", epoch)})
covdist.plot.missing(covdist.moments(x, dim="sample", by="epoch", missing="pairwise"))

"""
Which layers do the same?
=========================

Linear CKA of each layer with each other, of the same samples, all in one pass.
"""

import numpy as np
import xarray as xr

import covdist

rng = np.random.default_rng(0)
x = rng.normal(size=(2000, 24))
layers = {}
for depth in range(1, 9):
    x = np.maximum(x @ rng.normal(size=(24, 24)) / 3, 0) if depth != 5 else x * 2  # the fifth changes nothing
    layers[f"layer{depth}"] = xr.Dataset({"activation": (("sample", "unit"), x)})
covdist.plot.similarity(xr.DataTree.from_dict(layers))

"""
How many directions are signal?
===============================

Eigenvalues of 60 columns with four strong directions. Below the Marchenko-Pastur edge, noise alone would lie.
"""

import numpy as np

import covdist

rng = np.random.default_rng(0)
strong = rng.normal(size=(1000, 4)) @ rng.normal(size=(4, 60))
m = covdist.moments(strong + rng.normal(size=(1000, 60)) * 2, blocks=16)
m.plot.spectrum()

"""
Which units say the same?
=========================

Correlations of 40 units that follow five hidden signals. Like units stand side by side.
"""

import numpy as np

import covdist

rng = np.random.default_rng(0)
signals = rng.normal(size=(3000, 5))
units = signals[:, rng.integers(5, size=40)] * rng.choice([-1, 1], size=40) + rng.normal(size=(3000, 40)) * 0.7
covdist.moments(units).plot()

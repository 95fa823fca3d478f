"""
What has the network not seen?
==============================

Distances from the nearest class, of samples of the classes and of something else.
"""

import matplotlib.pyplot as plt
import numpy as np

import covdist

rng = np.random.default_rng(0)
label = rng.integers(3, size=3000)
seen = 4 * rng.normal(size=(3, 10))[label] + rng.normal(size=(3000, 10))
unseen = 3 * rng.normal(size=(1000, 10))
m = covdist.moments(seen, by=label)

figure, ax = plt.subplots(layout="constrained")
for name, rows in {"of the classes": seen, "something else": unseen}.items():
    ax.hist(covdist.mahalanobis(rows, m).min("group"), bins=60, alpha=0.7, label=name)
ax.set(xlabel="distance from the nearest class in standard deviations", ylabel="samples")
ax.legend()

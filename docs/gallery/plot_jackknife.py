"""
How sure is a correlation?
==========================

Correlations of one unit with the others and their 95 % intervals, from states of 20 runs of rows.
"""

import matplotlib.pyplot as plt
import numpy as np

import covdist

rng = np.random.default_rng(0)
signal = rng.normal(size=(400, 1))
m = covdist.moments(signal * np.linspace(1, -1, 12) + rng.normal(size=(400, 12)), blocks=20)
found = m.jackknife("corr").isel(unit=0)

figure, ax = plt.subplots(layout="constrained")
below, above = found["value"] - found["lower"], found["upper"] - found["value"]
ax.errorbar(found["unit_2"], found["value"], yerr=[below, above], fmt="o", capsize=3)
ax.axhline(0, color="grey")
ax.set(xlabel="unit", ylabel="correlation with unit 0")

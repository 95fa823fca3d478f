"""
Which modes has the generator lost?
===================================

How much of each direction of the real data a generator makes: 1 is as much, 0 is nothing.
"""

import matplotlib.pyplot as plt
import numpy as np

import covdist

rng = np.random.default_rng(0)
scales = np.geomspace(5, 0.5, 24)
real = rng.normal(size=(5000, 24)) * scales
generated = rng.normal(size=(5000, 24)) * scales * np.where(np.arange(24) % 6 == 4, 0.1, 1)
m_real, m_generated = covdist.moments(real), covdist.moments(generated)
coverage = covdist.direction_coverage(m_real, m_generated)

figure, ax = plt.subplots(layout="constrained")
colours = np.where(coverage["missing"], "tab:red", "tab:blue")
ax.bar(coverage["component"], coverage["ratio"], color=colours)
ax.axhline(1, color="grey")
ax.set(xlabel="direction of the real data, by size", ylabel="spread made / spread there")

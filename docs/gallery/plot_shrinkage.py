"""
Fewer rows than columns
=======================

Eigenvalues of 40 rows of 60 columns, as they are and shrunk; all are 1 in truth.
"""

import matplotlib.pyplot as plt
import numpy as np

import covdist

m = covdist.moments(np.random.default_rng(0).normal(size=(40, 60)))
figure, ax = plt.subplots(layout="constrained")
for name, matrix in {"as they are": m.cov(), "shrunk, oas": m.shrink("oas")}.items():
    ax.plot(np.linalg.eigvalsh(matrix)[::-1], marker=".", label=name)
ax.axhline(1, color="grey", label="truth")
ax.set(xlabel="eigenvalue by size", ylabel="variance")
ax.legend()

"""``Log``: what hooks record, kept in memory."""

from __future__ import annotations

import numpy as np


class Log:
    """Takes what a recorder would, as copies."""

    def __init__(self):
        self.steps = []

    def log(self, step, arrays, **coordinates):
        self.steps.append((step, {name: np.array(a) for name, a in arrays.items()}, coordinates))

    def __getitem__(self, name):
        return [arrays[name] for arrays in self.arrays if name in arrays]

    @property
    def arrays(self):
        """The arrays of each step."""
        return [arrays for _, arrays, _ in self.steps]

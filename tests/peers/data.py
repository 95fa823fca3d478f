"""Rows whose every digit anybody can write down again."""

from __future__ import annotations

import numpy as np

_I = np.arange(12)
X = np.stack([_I % 5 - 1.5, _I**2 % 7, _I / 4 + _I % 3], axis=1)
WEIGHTS = 1 + _I % 4

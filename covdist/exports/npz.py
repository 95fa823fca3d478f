"""``npz``: count, mean, variance and what else a state tells without arguments, with labels, for ``numpy.load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from covdist.exports._summary import summary
from covdist.results.moments import Moments

SUFFIX = ".npz"
GROUPS = True


def write(m: Moments, path: Path) -> None:
    """Write one state; groups are the first axis of each array."""
    found = summary(m)
    arrays: dict[str, Any] = {str(name): one.to_numpy() for name, one in found.variables.items()}
    arrays |= {f"dims.{name}": np.array(one.dims, str) for name, one in found.data_vars.items()}
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, allow_pickle=False, **arrays)

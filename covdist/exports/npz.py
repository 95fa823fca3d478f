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
    several = [name for name in found.dims if name in found.indexes and found.indexes[name].nlevels > 1]
    found = found.reset_index(several)
    arrays: dict[str, Any] = {str(name): one.to_numpy() for name, one in found.variables.items()}
    arrays = {name: one.astype(str) if one.dtype.kind == "O" else one for name, one in arrays.items()}
    arrays |= {f"dims.{name}": np.array(one.dims, str) for name, one in found.data_vars.items()}
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, allow_pickle=False, **arrays)

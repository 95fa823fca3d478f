"""``quip``: the Hessian of a layer's inputs as QuIP# loads it, a ``.pt`` file.

``flatH`` is the lower triangle of the covariance by rows, divisor N, and ``mu`` the mean, both float32; ``n`` is the
number of columns and ``ct`` that of rows. QuIP# adds mu muᵀ again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covdist.errors import DataError
from covdist.exports._statistics import check_alone, count, float32, mean, plain
from covdist.results.moments import Moments

SUFFIX = ".pt"


def write(m: Moments, path: Path) -> None:
    """Write one state."""
    try:
        import torch
    except ImportError as error:
        raise DataError(f"quip files are torch's own ({error}): pip install torch") from error
    check_alone(m, "quip")
    covariance, rows = float32(plain(m.cov(), 2), "covariance", "quip"), count(m, "quip")
    triangle = covariance[np.tril_indices(len(covariance))]
    held = {
        "flatH": torch.from_numpy(triangle),
        "mu": torch.from_numpy(float32(mean(m), "mean", "quip")),
        "n": len(covariance),
        "ct": rows,
    }
    with path.open("wb") as file:  # the archive would have the name of the file
        torch.save(held, file)

"""``fid``: mean and covariance as pytorch-fid, clean-fid and others of their family load them from a ``.npz`` file.

``mu`` (columns,) and ``sigma`` (columns, columns), float64, divisor N - 1. These tools do not keep N; ``count``, which
they pass over, is there too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covdist.errors import DataError
from covdist.exports._arrays import array, needed, sources
from covdist.exports._imported import Imported
from covdist.exports._statistics import check_alone, count, finite, mean, plain
from covdist.results.moments import Moments

SUFFIX = ".npz"


def write(m: Moments, path: Path) -> None:
    """Write one state."""
    check_alone(m, "fid")
    rows = count(m, "fid")  # which tells why there is no mean
    mu, sigma = finite(mean(m), "mean", "fid"), finite(plain(m.cov(ddof=1), 2), "covariance", "fid")
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, mu=mu, sigma=sigma, count=rows)


def read(path: str | Path, *, count: int | None = None, dim: str = "unit") -> dict[str, Moments]:
    """Return the moments of a file's rows, of which there are ``count``."""
    found, about = sources(path, "fid"), Imported(path, "fid", dim)
    mu, sigma = needed(found, ["mu", "sigma"], path, "fid")
    if count is None and "count" not in found:
        raise DataError(f"{path} does not say of how many rows it is: pass count= (--count N)")
    rows = about.count(array(found["count"]) if count is None else count, least=2)
    return {"": about.centred(rows, mu, sigma, rows - 1, "sigma")}

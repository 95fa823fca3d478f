"""``mom2``: the sum of x xᵀ, as ROME, MEMIT and EasyEdit keep it (``runningstats.CombinedStat``) in a ``.npz`` file.

``mom2.mom2`` (columns, columns), ``mom2.count``, ``mom2.constructor`` and ``sample_size``, by which these tools know
whether a file is the one they would make: the texts sampled, not the rows. ``mean.*`` is the mean as they keep it where
they are asked for it, and pass over it where not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from covdist.exports._arrays import needed, sources
from covdist.exports._imported import Imported, is_zero, mean_of
from covdist.exports._statistics import check_alone, count, finite, plain
from covdist.exports._statistics import mean as means
from covdist.given import whole
from covdist.results.moments import Moments

SUFFIX = ".npz"
_CONSTRUCTOR = "util.runningstats.{}()"


def write(m: Moments, path: Path, *, sample_size: int | None = None) -> None:
    """Write one state; ``sample_size`` is the tool's ``mom2_n_samples``, the number of rows where it is not given."""
    check_alone(m, "mom2")
    sums, rows = finite(plain(m.second_moment(divide=False), 2), "sum of products", "mom2"), count(m, "mom2")
    mean = means(m)
    arrays: dict[str, Any] = {
        "mom2.constructor": _CONSTRUCTOR.format("SecondMoment"),
        "mom2.count": rows,
        "mom2.mom2": sums,
        "mean.constructor": _CONSTRUCTOR.format("Mean"),
        "mean.count": rows,
        "mean.data_shape": np.array(mean.shape),
        "mean.batchcount": 1,
        "mean.mean": mean,
        "sample_size": rows if sample_size is None else whole("sample_size", sample_size),
    }
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, **arrays)


def read(path: str | Path, *, mean: Any = None, dim: str = "unit") -> dict[str, Moments]:
    """Return the moments of a file's rows, with the mean that the file holds or ``mean``."""
    found, about = sources(path, "mom2"), Imported(path, "mom2", dim)
    sums, rows = needed(found, ["mom2.mom2", "mom2.count"], path, "mom2")
    if mean is None and "mean.mean" in found:
        (mean,) = needed(found, ["mean.mean"], path, "mom2")
    one = mean_of(mean, "", len(np.atleast_1d(sums)))
    return {"": about.uncentred(about.count(rows), one, sums, "mom2.mom2", is_zero(mean))}

"""``leace``: what concept-erasure's ``LeaceFitter`` keeps, of representations x and concepts z, in a ``.npz`` file.

``mean_x``, ``mean_z``, ``sigma_xx_`` and ``sigma_xz_`` (centred sums) and ``n``, under the names of its attributes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from covdist.errors import DataError
from covdist.exports._statistics import count, finite, mean, plain
from covdist.results.load import load
from covdist.results.moments import Moments

SUFFIX = ".npz"


def write(m: Moments, path: Path, *, own: Moments | str | Path | None = None) -> None:
    """Write the state of x with z; ``own`` is that of x with itself, of the same rows, or its file."""
    if own is None or len(m.layout.axes) != 2:
        raise DataError(
            f"leace needs the moments of x with z and those of x, found a {m.layout.describe()}"
            f"{' alone' if own is None else ''}: pass covdist.moments(x, z) with own=covdist.moments(x) (--own RESULT)"
        )
    x = load(own) if isinstance(own, str | Path) else own
    if not isinstance(x, Moments):
        raise DataError(f"own={own} holds {len(x)} states, expected is that of x alone: pass such a result")
    x = x.compute()
    rows, mean_x = count(m, "leace"), mean(m)
    if not m.layout.axes[0].same(x.layout.axes[0]) or rows != count(x, "leace") or not np.allclose(mean_x, mean(x)):
        raise DataError(
            f"own is a {x.layout.describe()} of {int(x.rows.sum()):,} rows, where x is {m.layout.axes[0]} of {rows:,} "
            "rows: pass the moments of the same x"
        )
    sums = {"sigma_xx_": plain(x.cov(), 2) * rows, "sigma_xz_": plain(m.cov(), 2) * rows}
    arrays = {"mean_x": mean_x, "mean_z": mean(m.y), **sums}
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, n=rows, **{name: finite(each, name, "leace") for name, each in arrays.items()})  # type: ignore[arg-type]

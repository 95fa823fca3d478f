"""``leace``: what concept-erasure's ``LeaceFitter`` keeps, of representations x and concepts z, in a ``.npz`` file.

``mean_x``, ``mean_z``, ``sigma_xx_`` and ``sigma_xz_`` (centred sums) and ``n``, under the names of its attributes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.exports._statistics import count, finite, mean, plain
from covdist.results.load import load
from covdist.results.moments import Moments

SUFFIX = ".npz"


def write(m: Moments, path: Path, *, m_x: Moments | str | Path | None = None) -> None:
    """Write the state of x with z; ``m_x`` is that of x alone, of the same rows, or its file.

    It is not needed where the state of x with z holds the matrix of x too.
    """
    rows = count(m, "leace")
    sums = {"sigma_xx_": _covariance(m, m_x, rows) * rows, "sigma_xz_": plain(m.cov(), 2) * rows}
    arrays: dict[str, Any] = {"mean_x": mean(m), "mean_z": mean(m.y), **sums}
    arrays = {name: finite(each, name, "leace") for name, each in arrays.items()} | {"n": rows}
    with path.open("wb") as file:  # np.savez would add to a name
        np.savez(file, **arrays)


def _covariance(m: Moments, m_x: Moments | str | Path | None, rows: int) -> np.ndarray:
    """Return that of x."""
    x = m.layout.axes[0]
    if m_x is None and m.can_answer("own"):
        return np.asarray(m.deferred.values(_own_covariance, (x, x)))
    if m_x is None or m.layout.state.sides != 2:
        raise DataError(
            f"leace needs the moments of x with z, and those of x, found a {m.layout.describe()}"
            f"{' alone' if m_x is None else ''}: pass covdist.moments(x, z) and m_x=covdist.moments(x) (--m-x RESULT)"
        )
    found = load(m_x) if isinstance(m_x, str | Path) else m_x
    if not isinstance(found, Moments):
        raise DataError(f"m_x={m_x} holds {len(found)} states, expected that of x alone: pass such a result")
    found = found.compute()
    if not x.same(found.layout.axes[0]) or rows != count(found, "leace") or not _alike(m, found):
        raise DataError(
            f"m_x is a {found.layout.describe()} of {int(found.rows.sum()):,} rows, where x is {x} of {rows:,} rows: "
            "pass the moments of the same x"
        )
    return plain(found.cov(), 2)


def _alike(m: Moments, m_x: Moments) -> bool:
    """Return whether columns of x have the means and deviations, of whatever size, that they have alone."""
    (a, spread), (b, alone) = ((mean(each), plain(each.x.std(), 1)) for each in (m, m_x))
    with np.errstate(invalid="ignore"):  # infinite means
        apart = np.abs(a - b) > 1e-6 * alone + 1e-12 * np.abs(b)
    return not apart.any() and np.allclose(spread, alone, rtol=1e-6, atol=0, equal_nan=True)


def _own_covariance(state: Any) -> np.ndarray:
    own = state.own(0)
    return np.asarray(own.covariance(slice(0, own.columns.width), 0))

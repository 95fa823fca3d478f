"""``fadtk``: mean and covariance of audio embeddings, a folder with ``mu.npy`` and ``cov.npy``, divisor N - 1.

fadtk loads them as ``FOLDER/stats/MODEL`` beside the audio files. It does not keep N.
"""

from __future__ import annotations

from pathlib import Path

from covdist.errors import DataError
from covdist.exports._arrays import needed, sources
from covdist.exports._imported import Imported
from covdist.exports._statistics import check_alone, finite, mean, plain
from covdist.results.arrays import write_npy
from covdist.results.moments import Moments

SUFFIX = ""


def write(m: Moments, path: Path) -> None:
    """Write one state."""
    check_alone(m, "fadtk")
    mu, cov = finite(mean(m), "mean", "fadtk"), finite(plain(m.cov(ddof=1), 2), "covariance", "fadtk")
    path.mkdir()
    write_npy(path / "mu.npy", mu)
    write_npy(path / "cov.npy", cov)


def read(path: str | Path, *, count: int | None = None, dim: str = "unit") -> dict[str, Moments]:
    """Return the moments of a folder's rows, of which there are ``count``."""
    about = Imported(path, "fadtk", dim)
    mu, cov = needed(sources(path, "fadtk"), ["mu", "cov"], path, "fadtk")
    if count is None:
        raise DataError(f"{path} does not say of how many rows it is: pass count= (--count N)")
    rows = about.count(count, least=2)
    return {"": about.centred(rows, mu, cov, rows - 1, "cov")}

"""``plan``: what a call would read, compute and hold."""

from __future__ import annotations

from typing import Any

from covdist.engine.plan import Plan
from covdist.readings.folding import Folding


def plan(
    x: Any, y: Any = None, *, dim: Any = None, by: Any = None, variances_only: bool = False, **options: Any
) -> Plan:
    """Say what :func:`covdist.moments` would read, compute and hold; no row is read.

    Parameters
    ----------
    x, y, dim, by, **options
        As for :func:`covdist.moments`.
    variances_only : bool
        Plan for :func:`covdist.var` and :func:`covdist.gradient_stats`, which build no matrix.

    Returns
    -------
    Plan
        Shards, tasks, bytes read and moved, flops, and ``peak_bytes``, the most a worker holds.

    Examples
    --------
    >>> import dask.array as da, covdist
    >>> p = covdist.plan(da.zeros((1_000_000, 1024), chunks=(4096, 1024), dtype="f4"))
    >>> p.bytes_read, p.shards > 8
    (4096000000, True)
    """
    kind = "variances" if variances_only else None
    return Folding(x, y, dim=dim, by=by, kind=kind, **options).plan()

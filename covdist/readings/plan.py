"""``plan``: what a call would read, compute and hold."""

from __future__ import annotations

from typing import Any

from covdist.engine.plan import Plan
from covdist.folding.folding import Folding


def plan(
    x: Any, y: Any = None, *, dim: Any = None, by: Any = None, variances_only: bool = False, **options: Any
) -> Plan:
    """Say what :func:`covdist.moments` would read, compute, hold and write; no row is read.

    Parameters
    ----------
    x, y, dim, by, **options
        As for :func:`covdist.moments`.
    variances_only : bool
        Plan for :func:`covdist.var` and :func:`covdist.gradient_stats`, which build no matrix.

    Returns
    -------
    Plan
        Shards, tasks, bytes read, moved and written, flops, and ``peak_bytes``, the most a worker holds. Of a
        covariance matrix also ``strategy``, "memory" or "tiles", ``reason``, and ``strategies``, a plan for each of
        them, and for "dual" and "sketch" of :func:`covdist.spectrum` with 20 eigenvectors.

    Raises
    ------
    PlanError
        If what ``matrix`` asks for does not fit into ``memory``.

    Examples
    --------
    >>> import dask.array as da, covdist
    >>> p = covdist.plan(da.zeros((1_000_000, 1024), chunks=(4096, 1024), dtype="f4"))
    >>> p.bytes_read, p.shards > 8
    (4096000000, True)
    >>> covdist.plan(da.zeros((10_000, 50_000), chunks=(100, 50_000), dtype="f4")).strategy
    'tiles'
    """
    kind = "variances" if variances_only else None
    return Folding(x, y, dim=dim, by=by, kind=kind, **options).plan()

"""``moments``: one pass over the rows of an array, or of two, to a state with names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from covdist.folding.fold import fold_request
from covdist.folding.pairs import with_own_matrices
from covdist.folding.request import make_request
from covdist.folding.strategy import for_workers
from covdist.results.labels import ArrayLike, Dims, Rows, Weights
from covdist.results.moments import Moments
from covdist.results.names import own_names
from covdist.state.named import Named


@own_names
def moments(
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    dim: Dims = None,
    by: Rows = None,
    blocks: int | None = None,
    each: Dims = None,
    weights: Weights = None,
    halflife: float | str | np.timedelta64 | None = None,
    missing: str = "raise",
    inf: str = "raise",
    precision: str = "high",
    state: Named | Sequence[Named] | None = None,
    matrix: str = "auto",
    memory: int | str | None = None,
) -> Moments:
    """Count, mean and scatter of x's columns in one pass, or of x's columns with y's: the state behind every result.

    Parameters
    ----------
    x, y : DataArray, dask array or array_like, real
        Samples along ``dim``; all other dims are columns, stacked where there are several. Also frames of numbers,
        whose columns' names are kept; NaN stands where a nullable column has no value. Rows are paired by position:
        where ``y``, ``by`` or ``weights`` have other labels along ``dim`` (an index) than ``x``, they are refused.
    dim : str, int or sequence of them
        Sample dims; for arrays without names an axis, 0 by default.
    by : str, Bins, tuple of these, or array_like, optional
        Name of a coordinate along the sample dim, or one value per sample: a state for each distinct value. Of
        samples "epoch" is also found as "sample_epoch", which is what :class:`covdist.Recorder` calls it. A tuple of
        names groups rows that are alike in all of them: results have a MultiIndex, ``m.sel(epoch=3)`` and
        ``m.merge("epoch")`` leave groups by the others. ``covdist.bins("step", 10)`` groups by ranges. Rows
        whose label is None or NaN are a group, with the label NaN, or "" among text: ``m.sel(label=None)``.
    blocks : int, optional
        A state for each of so many runs of consecutive rows of equal length (within one row), as groups by "block",
        with ``by`` beside those: error bars by :func:`covdist.jackknife`. ``m.merge("block")`` is the state of all.
    each : str, int or sequence of them, optional
        Dims of which every position has a state of its own, with the remaining dims as columns: ``each=("h", "w")`` of
        ``x(sample, c, h, w)`` gives results (h, w, c, c_2), as of the patches of an image. All positions are folded in
        one pass; ``m.sel(h=3)`` leaves those along w, and ``m.merge("h")`` sums over h. Not together with ``y`` or
        ``by``.
    weights : array_like or mapping, optional
        One value per sample. Integers say how often a row counts (frequency), floats how far it is trusted
        (reliability); the two have different ddof rules. ``{"frequency": f, "reliability": a}`` gives both.
    halflife : float, timedelta64 or str, optional
        Exponentially weighted moments: a row counts half for every ``halflife`` that it lies before the last one, in
        units of the coordinate along ``dim``, or in rows where there is none. Older moments go on by
        ``older.scaled(0.5 ** (steps / halflife)) + newer``.
    missing : str
        Values that are NaN: "raise" at the first; "propagate" into the results of their columns; "drop" rows with any,
        in x or y; "pairwise": each pair of columns uses the rows that hold both, ``count`` is a matrix; "interpolate"
        linearly along ``dim`` and by its coordinate, with the nearest value at the ends, as :func:`covdist.fill`;
        "maxent": mean and covariance of the Gaussian that makes the values there are most likely, by EM, with y of the
        columns of both; a result that is not lazy says in its attributes how that went. Of lazy arrays with very many
        patterns of holes each iteration is a pass, asked for by a task once the model before it is known.
    inf : str
        Infinities: "raise", but under ``missing="propagate"``, or "missing": as NaN.
    precision : str
        "high": float64 products. "fast": float32 products summed in float64, about twice as fast; covariances are
        off by some 1e-7 of σ_i σ_j, 1.3e-4 at the worst; means and variances are not.
    state : str, StateType or sequence of them, optional
        What is kept of the rows: "full", the scatter matrix of x, by default; with ``y`` "both", that of x with y and
        those of each with itself, or of more than 4,096 columns in all "cross", that of x with y alone, which takes
        less time; "variances" of single columns; or another by name. Several, such as ``("full", "higher")``, are
        folded in the same pass, and answer together.
    matrix, memory : str, and int or str, optional
        As for :func:`covdist.cov`: whether the matrix is part of the state or, for very many columns, stays in tiles.

    Returns
    -------
    Moments
        Lazy where ``x`` is a dask array.

    Raises
    ------
    DataError
        If dims, rows, dtypes or options do not fit together.
    PlanError
        If what is asked for does not fit into ``memory``, or in no way into the workers at hand.

    Notes
    -----
    Deviations from a pilot are summed and merged by the update of Chan, Golub and LeVeque (1983). The covariance
    read with the default ``ddof=0`` divides by N.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> int(m.count), m.mean().values
    (2, array([2., 4.]))
    >>> m.cov().values
    array([[1., 2.],
           [2., 4.]])
    """
    request = make_request(
        x, y, dim=dim, by=by, blocks=blocks, each=each, weights=weights, halflife=halflife, missing=missing, inf=inf,
        precision=precision, state=state, matrix=matrix, memory=memory,
    )  # fmt: skip
    return fold_request(for_workers(with_own_matrices(request) if state is None else request))

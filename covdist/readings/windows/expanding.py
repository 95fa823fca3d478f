"""Moments of all groups up to each."""

from __future__ import annotations

import numpy as np

from covdist.readings.windows.rolling import summed, up_to_each
from covdist.results.moments import Moments
from covdist.results.reading import reading


@reading
def expanding(m: Moments, dim: str) -> Moments:
    """Moments of each group and all before it.

    Parameters
    ----------
    m, dim
        As for :func:`covdist.rolling`.

    Returns
    -------
    Moments
        With the same groups; lazy where ``m`` is. Rows count in several of them, so that merging them makes no sense.

    Raises
    ------
    MergeError
        If ``m`` has no such groups, or its state depends on the order of the rows.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> m = covdist.moments(np.array([[1.0], [3.0], [5.0], [11.0]]), by=np.array([0, 10, 20, 30]))
    >>> m.expanding("group").mean().values.ravel()
    array([1., 2., 3., 5.])
    """
    return summed(m, dim, f"expanding({dim!r})", up_to_each, np.logical_or.accumulate)


read = expanding

"""Which directions of the data's variance a generator has, and which it has instead."""

from __future__ import annotations

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.numerics.eigen import effective_rank
from covdist.numerics.matrices.gaussians import Gaussians
from covdist.readings.distributions.pairs import Beside, Pair, gaussians
from covdist.results.labels import COLUMNS, Axis
from covdist.results.moments import Moments
from covdist.results.names import own_names

_MOST_MISSING, _LEAST_RANK = 0.1, 0.5  # of the data's variance, and of its effective rank: beyond is a collapse
_ALONG = {  # the name of their dim, and what is read along it
    "component": {
        "std": ("standard deviation of the data along its principal direction", COLUMNS),
        "generated_std": ("standard deviation of what is generated along the same direction", COLUMNS),
        "ratio": ("variance of what is generated over that of the data", "1"),
    },
    "generated_component": {
        "own_std": ("standard deviation of what is generated along its own principal direction", COLUMNS),
        "data_std": ("standard deviation of the data along the same direction", COLUMNS),
        "data_ratio": ("variance of the data over that of what is generated", "1"),
    },
}
_NUMBERS = {
    "effective_rank": ("effective rank of the data", "1"),
    "generated_effective_rank": ("effective rank of what is generated", "1"),
    "missing_share": ("share of the data's variance in missing directions", "1"),
    "unseen_share": ("share of the generated variance in directions that the data lacks", "1"),
}
_FLAGS = {
    "missing": "whether the generator lacks the direction",
    "unseen": "whether the data lacks the direction",
    "collapsed": "whether there is a sign of mode collapse",
}


@own_names
def direction_coverage(m_data: Moments, m_generated: Moments, *, threshold: float = 0.1, ddof: float = 0) -> xr.Dataset:
    """Which of the data's principal directions a generator varies along, which it lacks, and which it has instead.

    Parameters
    ----------
    m_data, m_generated : Moments
        Of the same columns, with a matrix, such as of features of real and of generated images. With results for each
        group where both have the same groups; where one alone has groups, each of them is set against the other.
    threshold : float
        A direction is missing where the generated variance along it is less than this share of the data's, and the
        data lacks one where it is the other way round; between 0 and 1, 0.1 by default.
    ddof : float
        The divisor of the covariances is N - ddof; 0 by default.

    Returns
    -------
    Dataset
        float64 and bool; lazy where a state is. Along ``component``, the data's principal directions by descending
        variance, those of ``m_data.spectrum(k)``: ``std`` of the data, ``generated_std``, ``ratio`` of the generated
        variance to the data's (NaN where neither varies), ``missing``. Along ``generated_component``, the principal
        directions of what is generated: ``own_std``, ``data_std``, ``data_ratio``, ``unseen``. And ``effective_rank``,
        ``generated_effective_rank``; ``missing_share`` of the data's variance in missing directions, ``unseen_share``
        of the generated one in unseen directions; ``collapsed``, a sign of mode collapse: missing directions have more
        than a tenth of the data's variance, or the effective rank is less than half of the data's.

    Raises
    ------
    DataError
        If the columns or groups differ, a state holds no matrix, or ``threshold`` is not between 0 and 1.

    Notes
    -----
    A generator that repeats few modes has little variance, or none, along directions that tell the others apart. The
    directions come from the data's own rows, whose small variances are too small on average: ratios of the last
    directions are too large where rows are few. It is no coverage in the sense of Naeem et al. (2020), which counts
    neighbours.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(1000, 4)) * [4, 3, 2, 1]
    >>> found = covdist.direction_coverage(covdist.moments(x), covdist.moments(x * [1, 0.1, 1, 1]))
    >>> found["missing"].values, round(float(found["missing_share"]), 1), bool(found["collapsed"])
    (array([False,  True, False, False]), 0.3, True)
    """
    if not (isinstance(threshold, float) and 0 < threshold < 1):
        raise DataError(
            f"threshold={threshold!r} is not a share of a variance: pass a number between 0 and 1, such as 0.1"
        )
    pair = Pair.of(m_data, m_generated, "direction_coverage")
    fields = Axis("field", 6 * pair.axis.size + len(_NUMBERS))
    arrays = _named(pair.read(_seen, [fields], threshold, ddof, name="direction_coverage"), pair.axis.size)
    lost_rank = arrays["generated_effective_rank"] < _LEAST_RANK * arrays["effective_rank"]
    flags = {
        "missing": arrays["ratio"] < threshold,
        "unseen": arrays["data_ratio"] < threshold,
        "collapsed": lost_rank | (arrays["missing_share"] > _MOST_MISSING),
    }
    arrays |= {name: flags[name].assign_attrs(long_name=said, units="1") for name, said in _FLAGS.items()}
    return xr.Dataset(arrays, attrs={"threshold": threshold, "ddof": ddof})


def _named(found: xr.DataArray, size: int) -> dict[str, xr.DataArray]:
    """Return the parts of what ``_seen`` gives."""
    arrays: dict[str, xr.DataArray] = {}
    for dim, about in _ALONG.items():
        for name, (long_name, units) in about.items():
            start = size * len(arrays)
            one = found.isel(field=slice(start, start + size)).rename(field=dim).assign_coords({dim: np.arange(size)})
            arrays[name] = one.rename(name).assign_attrs(long_name=long_name, units=units)
    for place, (name, (long_name, units)) in enumerate(_NUMBERS.items(), 6 * size):
        arrays[name] = found.isel(field=place).rename(name).assign_attrs(long_name=long_name, units=units)
    return arrays


def _seen(both: Beside, threshold: float, ddof: float) -> np.ndarray:
    pair = gaussians(both, ddof)
    sides = pair.along_axes(), Gaussians(-pair.step, pair.b, pair.a).along_axes()
    along = [each for side in sides for each in (*side.deviations(), side.ratio())]
    numbers = [*(effective_rank(side.own) for side in sides), *(side.share_below(threshold) for side in sides)]
    return np.concatenate([*along, numbers])

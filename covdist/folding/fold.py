"""From a request to Moments, by the strategy that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt
import xarray as xr

from covdist.errors import DataError
from covdist.folding.in_memory import in_memory
from covdist.folding.request import IN_MEMORY, IN_TILES, Request, make_request
from covdist.folding.strategy import choose, for_workers, plan_of
from covdist.folding.tiled import Tiles
from covdist.results.moments import Moments
from covdist.state.variances import Tiled, Variances


def fold_request(request: Request, ddof: float = 0) -> Moments:
    """Return the moments of a request, lazy if an array is; ``ddof`` is only checked."""
    if not request.weighted and request.groups is None and ddof >= request.rows:
        raise DataError(
            f"ddof={ddof} leaves nothing to divide by with {request.rows} rows: use a smaller ddof or more rows"
        )
    if request.room is not None:
        plan_of(request)  # refuses what does not fit
    if choose(request)[0] == IN_TILES:
        # The columns' moments with the matrix beside them, whose tiles are made when they are read.
        columns = fold_request(replace(request, state=Variances, matrix="auto", memory=None, workers=None))
        tiles = Tiles(request)
        plans = (tiles.plan,) if columns.deferred.lazy else ()
        return Moments(columns.deferred._replace(plans=plans), replace(columns.layout, state=Tiled), tiles)
    return (request.policy.strategy or in_memory)(request)


def as_given(found: Moments, result: xr.DataArray) -> xr.DataArray:
    """Return what was read, computed where the rows were not lazy: tiles are always read lazily."""
    return result if found.matrix is None or found.deferred.lazy else result.compute(scheduler="threads")


def fold_rows(
    x: npt.ArrayLike, y: npt.ArrayLike | None = None, *, ddof: float = 0, matrix: str = IN_MEMORY, **options: Any
) -> Moments:
    """Fold arrays into one state in memory; options as for ``make_request``."""
    return fold_request(for_workers(make_request(x, y, matrix=matrix, **options)), ddof)

"""``Readings``: every file in ``covdist/readings`` with a function ``read`` is a method of what this is a part of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import xarray as xr

from covdist import plugins
from covdist.results.names import own_names


class Readings:
    """Finds readings by their names."""

    if TYPE_CHECKING:  # found without this list, which is for type checkers

        def autocov(self, ddof: float = 0) -> xr.DataArray: ...
        def condition_number(self, *, shrink: str | None = None) -> xr.DataArray: ...
        def effective_rank(self) -> xr.DataArray: ...
        def gradient_stats(self) -> xr.Dataset: ...
        def kurtosis(self) -> xr.DataArray: ...
        def logdet(self, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray: ...
        def marchenko_pastur_edge(self) -> xr.DataArray: ...
        def partial_corr(self, *, shrink: str | None = None) -> xr.DataArray: ...
        def participation_ratio(self) -> xr.DataArray: ...
        def power_law(self) -> xr.Dataset: ...
        def precision(self, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray: ...
        def rankme(self) -> xr.DataArray: ...
        def second_moment(self, *, divide: bool = True, append_one: bool = False) -> xr.DataArray: ...
        def shrink(self, method: str = "oas", *, ddof: float = 0) -> xr.DataArray: ...
        def skewness(self) -> xr.DataArray: ...
        def stable_rank(self) -> xr.DataArray: ...

    else:

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return self._reading(name)

    def __dir__(self) -> list[str]:
        readings = [name for name in plugins.names("readings") if hasattr(plugins.find("readings", name), "read")]
        return sorted({*super().__dir__(), *readings})

    def _reading(self, name: str) -> Callable[..., Any]:
        try:
            return partial(_checked(plugins.find("readings", name).read), self)
        except (LookupError, AttributeError):
            raise AttributeError(f"Moments has no reading {name!r}") from None


_checked = cache(own_names)  # looking at a signature takes as long as a small reading

"""``Readings``: every file in ``covdist/readings`` with a function ``read`` is a method of what this is a part of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import xarray as xr

from covdist import plugins
from covdist.results.names import own_names


class Readings:
    """Finds readings by their names."""

    if TYPE_CHECKING:  # found without this list, which is for type checkers

        def autocorr(self) -> xr.DataArray: ...
        def autocorr_time(self) -> xr.DataArray: ...
        def autocov(self, ddof: float = 0) -> xr.DataArray: ...
        def between(self, dim: str) -> Self: ...
        def cca(self, *, tolerance: float = 1e-10, ridge: float = 0.0) -> xr.DataArray: ...
        def cka(self, *, debiased: bool = False) -> xr.DataArray: ...
        def condition_number(self, *, shrink: str | None = None) -> xr.DataArray: ...
        def corr_interval(self, *, level: float = 0.95) -> xr.Dataset: ...
        def effective_rank(self) -> xr.DataArray: ...
        def effective_sample_size(self, *, dim: str = "block") -> xr.DataArray: ...
        def expanding(self, dim: str) -> Self: ...
        def gradient_cosine(self) -> xr.Dataset: ...
        def gradient_stats(self) -> xr.Dataset: ...
        def hsic(self) -> xr.Dataset: ...
        def initial_scale(self, *, target: float = 1.0) -> xr.Dataset: ...
        def jackknife(
            self,
            reading: str | Callable[[Self], xr.DataArray],
            *arguments: Any,
            level: float = 0.95,
            dim: str = "block",
            **options: Any,
        ) -> xr.Dataset: ...
        def kurtosis(self) -> xr.DataArray: ...
        def leace(
            self, m_x: Self | None = None, *, shrink: str | None = None, tolerance: float = 1e-8
        ) -> xr.Dataset: ...
        def logdet(self, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray: ...
        def marchenko_pastur_edge(self) -> xr.DataArray: ...
        def noise_scale(self, *, batch_size: int = 1) -> xr.Dataset: ...
        def partial_corr(self, *, shrink: str | None = None) -> xr.DataArray: ...
        def participation_ratio(self) -> xr.DataArray: ...
        def power_law(self) -> xr.Dataset: ...
        def precision(self, *, ddof: float = 0, shrink: str | None = None) -> xr.DataArray: ...
        def prune(
            self,
            weights: Any,
            *,
            share: float | None = None,
            units: Any = None,
            damping: float = 0.0,
            append_one: bool = True,
        ) -> xr.Dataset: ...
        def procrustes(self) -> xr.DataArray: ...
        def pwcca(self) -> xr.DataArray: ...
        def rankme(self) -> xr.DataArray: ...
        def redundant(self, *, threshold: float = 0.99) -> xr.Dataset: ...
        def rolling(self, dim: str, n: int, *, min_periods: int | None = None) -> Self: ...
        def rv_coefficient(self) -> xr.DataArray: ...
        def second_moment(self, *, divide: bool = True, append_one: bool = False) -> xr.DataArray: ...
        def shrink(self, method: str = "oas", *, ddof: float = 0) -> xr.DataArray: ...
        def similarity(self, method: str = "cka") -> xr.DataArray: ...
        def sign_agreement(self) -> xr.Dataset: ...
        def skewness(self) -> xr.DataArray: ...
        def stable_rank(self) -> xr.DataArray: ...
        def svcca(self, *, explained: float = 0.99) -> xr.DataArray: ...
        def within(self, dim: str) -> Self: ...

    else:

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return self._reading(name)

    @property
    def plot(self) -> Plots:
        """Plots of these moments: ``m.plot()`` is a heat map of their correlations, ``m.plot.spectrum()`` ...

        Examples
        --------
        >>> import numpy as np, covdist
        >>> covdist.moments(np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 2.0]])).plot().get_title()
        'Correlation'
        """
        return Plots(self)

    def report(self, path: str | Path, **options: Any) -> None:
        """Write a page of these moments, :func:`covdist.report` of them.

        Examples
        --------
        >>> import tempfile, pathlib, numpy as np, covdist
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     covdist.moments(x).report(f"{folder}/report.html")
        ...     "Spectrum" in pathlib.Path(f"{folder}/report.html").read_text()
        True
        """
        plugins.find("page", "report").report(self, path, **options)

    def __dir__(self) -> list[str]:
        readings = [name for name in plugins.names("readings") if hasattr(plugins.find("readings", name), "read")]
        return sorted({*super().__dir__(), *readings})

    def _reading(self, name: str) -> Callable[..., Any]:
        try:
            return partial(_checked(plugins.find("readings", name).read), self)
        except (LookupError, AttributeError):
            raise AttributeError(f"Moments has no reading {name!r}") from None


class Plots:
    """The plots of :mod:`covdist.plot` of some moments: ``m.plot.spectrum()``, and ``m.plot()``, their correlations.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> covdist.moments(np.eye(3)).plot.spectrum().get_title()
    'Spectrum: effective rank 2 of 3'
    """

    def __init__(self, moments: Readings):
        self._moments = moments

    def __call__(self, **options: Any) -> Any:
        """Draw the correlations, as :func:`covdist.plot.correlation`."""
        return self.correlation(**options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return partial(getattr(plugins.find("plot", name), name), self._moments)
        except LookupError:
            raise AttributeError(f"there is no plot {name!r}, only {', '.join(plugins.names('plot'))}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *plugins.names("plot")})


_checked = cache(own_names)  # looking at a signature takes as long as a small reading

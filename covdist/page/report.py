"""``report``: what a log, a result or a job says, as one page for a browser."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from covdist.errors import DataError, without_credentials
from covdist.given import names, path_of
from covdist.jobs.job import Job
from covdist.page.canvas import check_bokeh
from covdist.page.contents import Contents
from covdist.page.html import page
from covdist.page.sections import Sections
from covdist.page.sources import of_job, of_log, of_states, opened
from covdist.results.labels import Dims
from covdist.results.moments import Moments
from covdist.results.store import free_path, whole


def report(
    x: str | os.PathLike[str] | xr.DataTree | Moments | Mapping[str, Moments] | Job,
    path: str | os.PathLike[str],
    *,
    dim: Dims = None,
    gradient: str = "gradient",
    activation: str = "activation",
    scheduler: Any = "threads",
    **opening: Any,
) -> None:
    """Write a page that says in words what is wrong with a network, and shows its layers: one file, nothing fetched.

    Parameters
    ----------
    x : str, Path, DataTree, Moments, mapping {path: Moments} or Job
        A log, which is folded; a result, whose states are read; or a job, also while it runs: then of the rows whose
        states are written down. As a path, or as covdist opened it.
    path : str or Path
        Of the new file, HTML.
    dim : str or sequence of str, optional
        Sample dims of a log's arrays, as for :func:`covdist.health`.
    gradient, activation : str
        Names of the variables that hold them.
    scheduler : str or Client
        What computes a log: dask's threads here, or a dask client.
    **opening
        Of :func:`covdist.open_log`, where ``x`` is the path of a log.

    Raises
    ------
    ResultError
        If ``path`` exists already; it is left as it is.
    DataError
        If bokeh is missing, or there is nothing to report.

    Notes
    -----
    Heat maps of wide layers show means of blocks, so that 20 layers of 1,024 units are less than 5 MB. The policy of
    the page allows no address and no script but its own, and names from logs are text.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(200, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     covdist.report({"fc1/activation": covdist.moments(x)}, f"{folder}/report.html")
    ...     "Nothing to change." in pathlib.Path(f"{folder}/report.html").read_text()
    True
    """
    target = free_path(path)
    check_bokeh()
    dim = None if dim is None else names("dim", dim)
    contents = _contents(x, (gradient, activation), dim, scheduler, opening)
    title = f"covdist: {os.path.basename(contents.source) or contents.source}"
    text = page(title, "".join(Sections(contents)))
    with whole(target) as place:
        place.write_text(text, encoding="utf-8")


def _contents(x: Any, variables: tuple[str, str], dim: Dims, scheduler: Any, opening: Mapping[str, Any]) -> Contents:
    is_path, source = isinstance(x, str | os.PathLike), "moments in memory"
    if is_path:
        source, x = without_credentials(path_of(x, "x")), opened(x, opening)
    if isinstance(x, Job):
        return of_job(x, variables)
    if isinstance(x, xr.DataTree):
        return of_log(x, source if is_path else _called(x), variables, dim, scheduler)
    if isinstance(x, Moments):
        x = {"": x}
    if not isinstance(x, Mapping) or not x:
        raise DataError(
            f"a report is of a log, moments or a job, found {type(x).__name__}: pass what covdist.open_log or "
            "covdist.load gives, or its path"
        )
    return of_states(x, source, variables, str(Path(source)) if is_path else None)


def _called(log: xr.DataTree) -> str:
    """Return the path of a log that ``open_log`` opened, or what else a tree goes by."""
    return str(log.encoding.get("source") or log.name or "a log in memory")

"""Opens a log of whatever format: a path in, lazily chunked xarray out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import xarray as xr

from covdist.errors import DataError, LogError, shown
from covdist.given import flag, one_of, path_of
from covdist.logs.formats import behind, read
from covdist.logs.joining.many_files import as_one
from covdist.logs.joining.ranks import joined
from covdist.logs.nodes import LogNode, described
from covdist.logs.paths import is_url, last_name
from covdist.logs.remote.urls import Url
from covdist.logs.remote.visit import visiting
from covdist.logs.source import Nodes
from covdist.logs.tree import tree

if TYPE_CHECKING:
    from zarr.abc.store import Store

_LOCAL = ("file://", "local://")
_LISTED = 8  # arrays that cannot be read, with their reasons


def open_log(
    path: str | os.PathLike[str] | Store,
    *,
    missing_chunks: str = "raise",
    follow_links: bool = False,
    concat: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Open a training log as a lazy tree with one node per layer.

    Only headers are read, plus the coordinates that index a dim of at most a million entries. An array that cannot be
    read is left out with a warning, and asking for it raises the error that says why. What was opened is
    what is read: where a file has changed by the time its values are needed, on whatever worker, LogError says so.
    A Zarr array may grow meanwhile, as a log does that is being recorded; its rows of the opening are read.
    Arrays that a recorder writes together are read as far as all of them go, so that no row is without its step.

    Parameters
    ----------
    path : str, path-like or zarr.abc.store.Store
        A Zarr array or tree of groups (version 2 or 3), also zipped; a ``.npy``, ``.npz``, ``.safetensors``, HDF5,
        Parquet, Arrow or torch file, or a folder of those. Or the URL of one that fsspec supports, ``s3://``,
        ``https://``, of which only the ranges of bytes are read that are needed. Or a store that zarr has: its path or
        URL is opened if it has one; others, in memory or wrapped, travel with the arrays, and their changes go
        unnoticed.
    missing_chunks : {"raise", "fill"}
        Whether a chunk that is not in the store, or was never written to an HDF5 file, raises an error when it is read,
        or reads as the fill value.
        Coordinates are always filled: by default zarr does not write their chunks of zeros.
    follow_links : bool
        Whether files and folders of the log may be links; by default only ``path`` itself may. Pipes and devices are
        never read.
    concat : bool, optional
        Whether the files of a folder, ``.npy`` and its like, are one array along the sample dim, or one of each name
        where they hold several. By default those are whose names are numbered, ``step_0100``, ``activation_0007``,
        ``0003``, ``part-00001-of-00005``, and whose arrays differ in the number of their rows alone; with True all
        files of a folder are, with False none. Scalars, and vectors that label no rows, are a row each. The numbers are
        a coordinate called as what they count, ``step``, or ``sample_step`` where a file holds several samples. Files
        in folders ``key=value`` are one array as well, and keys are coordinates of its rows.
    storage_options : mapping, optional
        Passed on to fsspec for a URL, such as ``{"anon": True}``. It travels with the arrays to the workers of a
        cluster; messages and results never show it, or credentials in a URL.

    Returns
    -------
    xarray.DataTree
        Dask-backed variables, one dask block per chunk of the log. Dims are named as in the log, else
        ``gradient`` is ``(step, param)`` or ``(step, sample, param)`` and all others are ``(sample, unit)``; a
        dim that two variables have in different sizes is called ``<variable>_<dim>`` in the later one. Vectors
        along the leading dim of a wider variable are coordinates, and so are those that an attribute
        ``coordinates`` names, and the steps and epochs of a ``Recorder``. Values are decoded by their attributes as
        ``xarray.open_zarr`` decodes them: fill values (``_FillValue``, ``missing_value``; in version 2 the array's own)
        become NaN, ``scale_factor``, ``add_offset``, ``_Unsigned`` and units of dates are applied, ``valid_range`` and
        its like are not. The tree's ``encoding["source"]`` is the path, without credentials.

    Raises
    ------
    LogError
        The path is missing, is of no known format, or holds no arrays that can be read: metadata that are damaged,
        promise more than there is, or have attributes that cannot be decoded; a link to a folder is met; files do not
        fit together with ``concat=True``.
    DataError
        ``missing_chunks`` is neither of these; ``path`` is a zip file that zarr writes, or nothing of the kind.

    Notes
    -----
    A change is noticed by the size and time of a file of arrays, or of a ``.zip`` file; by those of a Zarr array's
    metadata, which may only tell of more rows; and by the time of each chunk, which must not be later than the
    opening. Behind a URL these are what the store tells: the etag or time. Not noticed are: a chunk that was deleted
    and reads as the fill value; a chunk replaced by a copy that kept its time; what changes within a second where a
    store counts whole seconds; and, in arrays that no ``Recorder`` wrote, other values in the last chunk of an array
    that has grown as well.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import covdist
    >>> folder = tempfile.mkdtemp()
    >>> os.mkdir(os.path.join(folder, "fc1"))
    >>> np.save(os.path.join(folder, "fc1", "activation.npy"), np.ones((6, 2), "float32"))
    >>> tree = covdist.open_log(folder)
    >>> dict(tree["fc1"].sizes)
    {'sample': 6, 'unit': 2}
    >>> float(tree["fc1/activation"].sum())
    12.0
    """
    options: dict[str, Any] = {"follow_links": follow_links, "concat": concat, "storage_options": storage_options}
    nodes = log_nodes(path, missing_chunks=missing_chunks, **options)
    opened = tree(nodes)
    called = str(_place(path, None)) if isinstance(path, str | os.PathLike) else type(path).__name__
    opened.encoding["source"] = called
    unreadable = unread(nodes)
    if unreadable:
        if not any(node.data_vars for node in opened.subtree):
            raise next(iter(unreadable.values()))
        warnings.warn(f"{called}: {listed(unreadable)}; the other arrays are there.", stacklevel=2)
    return opened


def log_nodes(
    path: str | os.PathLike[str] | Store,
    *,
    missing_chunks: str = "raise",
    follow_links: bool = False,
    concat: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, LogNode]:
    """Return the nodes of a log by path, of which ``open_log`` makes a tree."""
    one_of("missing_chunks", missing_chunks, ("raise", "fill"))
    follow_links, concat = flag("follow_links", follow_links), None if concat is None else flag("concat", concat)
    given = path if isinstance(path, str | os.PathLike) else _behind(path, storage_options)
    if isinstance(given, str | os.PathLike):
        place = _place(given, storage_options)
        with visiting(place) if isinstance(place, Url) else nullcontext():
            nodes = read(place, missing_chunks, follow_links)
    else:
        place, nodes = type(path).__name__, given(missing_chunks)
    if not any(nodes.values()):
        raise LogError(f"{place} holds no arrays: record something into it first, or name another path.")
    name = os.path.splitext(last_name(place))[0] or "log"
    found = described(joined(as_one(nodes, name, concat)))
    if not any(node.entries for node in found.values()):
        raise next(iter(unread(found).values()))
    return found


def _behind(store: Any, options: Mapping[str, Any] | None) -> str | Callable[[str], Nodes]:
    """Return the path of a store, or what reads its headers; DataError if it is none."""
    found = behind(store)
    if found is None:
        raise DataError(
            f"path is {type(store).__name__}, expected the path or URL of a log: pass that, or what is in memory to "
            "covdist.moments and the other readings."
        )
    if options:
        raise DataError(f"storage_options are for URLs, and path is a {type(store).__name__}: leave them out.")
    return found


def _place(path: str | os.PathLike[str], options: Mapping[str, Any] | None) -> str:
    """Return the path or address that is to be opened, which messages may show."""
    place = path_of(path)
    if place.startswith(_LOCAL):
        return unquote(urlsplit(place).path)
    return Url(place, options) if is_url(place) else str(Path(place))


def unread(nodes: Mapping[str, LogNode]) -> dict[str, LogError]:
    """Return why arrays of a log cannot be read, by their paths."""
    return {
        f"{path}/{name}".lstrip("/"): one.error for path, node in nodes.items() for name, one in node.unreadable.items()
    }


def listed(unreadable: Mapping[str, LogError]) -> str:
    """Name arrays that cannot be read, each with its reason."""
    said = [f"{shown(path)} cannot be read ({str(error).rstrip('.')})" for path, error in unreadable.items()]
    return "; ".join(said[:_LISTED]) + (f"; nor can {len(said) - _LISTED:,} more" if len(said) > _LISTED else "")

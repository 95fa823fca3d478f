"""Zarr, versions 2 and 3: an array, a group or a tree of groups, in a folder, a zip file or behind a URL.

Workers that read plain chunk files import this package, and are to import no zarr for that.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from io import BufferedReader
from typing import Any

from covdist.logs.paths import exists, is_url, open_file
from covdist.logs.source import Nodes, Source
from covdist.logs.zarr.files import MARKERS

READS = "Zarr (version 2 or 3), also zipped or behind a URL"
RANK = 0


def recognises(path: str) -> bool:
    """Return whether there is Zarr metadata in the folder, behind the URL, or in the zip file, or this is damaged."""
    if path.endswith(".zip") and not is_url(path) and not os.path.isdir(path):
        try:
            with BufferedReader(open_file(path, follow_links=True)) as file, zipfile.ZipFile(file) as archive:
                return not set(MARKERS).isdisjoint(archive.namelist())
        except zipfile.BadZipFile:
            return True  # which reading it says
        except (OSError, ValueError):
            return False
    return exists(path, MARKERS)


def read(path: str, missing_chunks: str, follow_links: bool) -> Nodes:
    """Read the metadata of all arrays below the path; chunks are neither read nor listed."""
    from covdist.logs.zarr.reading import read_nodes

    return read_nodes(path, missing_chunks, follow_links)


def behind(value: Any) -> str | Callable[[str], Nodes] | None:
    """Return the path of a store that zarr opened, else what reads its metadata; None if the value is not a store."""
    if "zarr" not in sys.modules:
        return None
    from covdist.logs.zarr.carried import path_or_carried
    from covdist.logs.zarr.reading import read_nodes

    found = path_or_carried(value)
    return found if found is None or isinstance(found, str) else partial(read_nodes, found, follow_links=False)


def adopt(value: Any) -> Source | None:
    """Return a source for an array that zarr or xarray opened, where it reads in half the time."""
    if "zarr" not in sys.modules:
        return None
    from covdist.logs.zarr.opened import source_of_opened

    return source_of_opened(value)

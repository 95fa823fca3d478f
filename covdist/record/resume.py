"""Reads the tracks of an existing log, also after a crash of its recorder."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from covdist.errors import ResultError
from covdist.record.column import METADATA, Column
from covdist.record.track import Track
from covdist.storage.place import Place

FORMAT = 1  # the root's attribute "covdist"


def check_root(place: Place, path: object) -> None:
    """Raise ResultError unless a recorder has begun this log."""
    root = place.get(METADATA)
    version = json.loads(root).get("attributes", {}).get("covdist") if root else None
    if version != FORMAT:
        raise ResultError(
            f"{path} is no log of format {FORMAT} that a Recorder began (found {version!r}): give a new path."
        )


def read_tracks(place: Place, chunk_bytes: int) -> dict[tuple[str, str], Track]:
    """Return the tracks by node and dim, each cut to the length of its shortest array."""
    arrays: dict[tuple[str, str], list[tuple[Column, int]]] = {}
    for key in sorted(name for name in place.walk() if name.endswith(f"/{METADATA}")):
        metadata = json.loads(place.get(key) or b"{}")
        if metadata.get("node_type") == "array":
            path = key.removesuffix(f"/{METADATA}")
            column = _column(place, path, metadata)
            node = path.rpartition("/")[0]
            arrays.setdefault((node, column.dims[0]), []).append((column, metadata["shape"][0]))
    tracks = {key: _track(place, key, columns, chunk_bytes) for key, columns in arrays.items()}
    return {key: track for key, track in tracks.items() if track.members}


def _column(place: Place, path: str, metadata: dict[str, Any]) -> Column:
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    return Column(
        place, path, tuple(metadata["dimension_names"]), np.dtype(metadata["data_type"]), tuple(chunk[1:]),
        chunk[0], metadata["attributes"].get("covdist_marks"),
    )  # fmt: skip


def _track(place: Place, key: tuple[str, str], columns: list[tuple[Column, int]], chunk_bytes: int) -> Track:
    track = Track(place, *key, math.gcd(*(column.chunk_rows for column, _ in columns)), chunk_bytes)
    track.length = track.stored = min(length for _, length in columns)
    for column, length in columns:
        if column.coordinate:
            track.marks[column.coordinate] = column
        else:
            track.members[column.path.rpartition("/")[2]] = column
        column.resume(track.length)
        if length != track.length:
            # Before a chunk is rewritten, so that no reader takes its new rows for forgotten ones.
            column.commit()
    return track

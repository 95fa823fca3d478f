"""Cuts the arrays of a log that is being recorded to the rows that all along a dim have, their steps included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeGuard

from covdist.logs.joining.ranks import MARKS
from covdist.logs.source import Unreadable
from covdist.logs.stamps import Stamp
from covdist.logs.zarr.metadata import ArrayMetadata

Found: TypeAlias = tuple[str, ArrayMetadata | Unreadable, Stamp | None]  # path, and the stamp of the metadata if known


def with_shared_rows(found: Sequence[Found]) -> Iterator[Found]:
    """Yield arrays of which those that a recorder wrote along one dim are as long as the shortest of them.

    It counts new rows in the metadata of one array after the other: a kill, or a look, may come in between. Coordinates
    come first, and before there are rows of an array they label nothing and are left out.
    """
    lengths: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
    marked, labelled = set(), set()
    damaged = {path.rpartition("/")[0] for path, metadata, _ in found if isinstance(metadata, Unreadable)}
    for path, metadata, _ in found:
        if _recorded(metadata):
            lengths[along := _along(path, metadata)].append(metadata.shape[0])
            if MARKS in metadata.attributes:
                marked.add(along)
            else:
                labelled.add(along)
    for path, metadata, stamp in found:
        if _recorded(metadata) and (along := _along(path, metadata)) in marked:
            if path and along not in labelled and along[0] not in damaged:
                continue
            metadata = metadata._replace(shape=(min(lengths[along]), *metadata.shape[1:]))
        yield path, metadata, stamp


def _recorded(metadata: ArrayMetadata | Unreadable) -> TypeGuard[ArrayMetadata]:
    return isinstance(metadata, ArrayMetadata) and metadata.recorded and bool(metadata.shape)


def _along(path: str, metadata: ArrayMetadata) -> tuple[str, str | None]:
    """Return the layer of an array, and the dim along which it grows."""
    return path.rpartition("/")[0], metadata.dims[0] if metadata.dims else None

"""The root of a recorded log: which version of the format it has, and whether several ranks write to it."""

from __future__ import annotations

import json
import os
from typing import Any

from covdist.errors import ResultError
from covdist.record.claim import Claim
from covdist.record.column import METADATA, removed
from covdist.storage.place import Place

FORMAT = 1  # the root's attribute "covdist"
RANKS = "covdist_ranks"  # the root's attribute of a log with ranks


def begin_root(root: Place, path: str | os.PathLike[str], rank: int | None) -> None:
    """Write it unless it is there; ResultError if it is not a recorder's, or one's with ranks where this has none."""
    if not root.exists():
        root.begin(METADATA, group({"covdist": FORMAT, **({} if rank is None else {RANKS: True})}))
    found = root.get(METADATA)
    attributes = json.loads(found).get("attributes", {}) if found else {}
    version, ranks = attributes.get("covdist"), attributes.get(RANKS, False)
    if version != FORMAT:
        raise ResultError(
            f"{path} is not a log of format {FORMAT} that a Recorder began (found {version!r}): give a new path."
        )
    if ranks != (rank is not None):
        kind, wanted = ("several ranks", "pass rank=") if ranks else ("a single writer", "leave out rank=")
        raise ResultError(f"{path} is a log of {kind}, and rank is {rank}: {wanted}, or give a new path.")


def check_root(root: Place) -> None:
    """Raise ResultError if the log has been removed."""
    if root.get(METADATA) is None:
        raise removed(repr(root))


def check_held(claim: Claim, root: Place) -> None:
    """Raise ResultError if another recorder has taken the log over, or it has been removed; looks now and then."""
    if claim.check(now=False):
        check_root(root)


def group(attributes: dict[str, Any]) -> bytes:
    """Return the metadata of a group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}).encode()

"""Job directories that were kept: what they asked, and how they come to lie where a test has unpacked them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c

CHUNKS = 5_200  # each a row, few of them written: a plan takes 0.2 ms for each, and so cuts four shards
SHARDS = 4


class Asked(NamedTuple):
    """A question, and the checkpoints that the driver left."""

    log: str
    options: dict[str, Any]
    held: tuple[str, ...] = ()


MOST = ("0-0-1", "0-1-2", "0-3-4")
PATCHY = {"layer": "fc1", "var": "gradient", "missing_chunks": "fill"}

JOBS = {
    "finished": Asked("small", {"var": "activation"}, ("0-0-1", "1-0-1")),
    # The first layer is done, and of the second not all shards that come first.
    "half": Asked("patchy.zarr", {**PATCHY, "layer": "*", "var": "input"}, (*MOST, "0-2-3", "0-0-4", "1-0-1", "1-2-3")),
    "groups": Asked("patchy.zarr", {**PATCHY, "by": "epoch"}, MOST),
    "cross": Asked("patchy.zarr", {**PATCHY, "against": "input"}, MOST),
    "variances": Asked("patchy.zarr", {**PATCHY, "max_columns": 0}, MOST),
    "pairwise": Asked("patchy.zarr", {**PATCHY, "layer": "fc2", "missing": "pairwise"}, MOST),
    # Of the first pass and twelve iterations what there is to go back to, and of the thirteenth two shards merged:
    # states of so many columns are kept by twos.
    "maxent": Asked(
        "holes.zarr",
        {"missing": "maxent", "missing_chunks": "fill"},
        ("0-0-4", "0-0-4-11", "0-0-2-12", "0-2-4-12", "0-0-4-12", "0-0-2-13"),
    ),
}


def content(file: Path) -> dict[str, Any]:
    """Read a file of JSON that holds its own checksum."""
    found: dict[str, Any] = json.loads(file.read_text())
    assert found.pop("crc32c") == _crc(found)
    return found


def put(file: Path, found: Mapping[str, Any]) -> None:
    file.write_text(json.dumps({**found, "crc32c": _crc(found)}, indent=1) + "\n")


def _crc(found: Mapping[str, Any]) -> str:
    return f"{google_crc32c.value(json.dumps(found, sort_keys=True).encode()):08x}"


def name_of(manifest: Mapping[str, Any]) -> str:
    """Return the job's id: what was asked, the plan and the input have made it."""
    text = json.dumps([{**manifest["asked"], "output": None}, manifest["plan"], manifest["input"]], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def move(job: Path, log: str) -> None:
    """Make of a job one of the same log at another place, as if it had begun there."""
    manifest = content(job / "manifest.json")
    before = manifest["job"]
    assert before == name_of(manifest)
    files = manifest["input"]["files"]
    files[log] = files.pop(manifest["asked"]["log"])
    manifest["asked"]["log"] = log
    manifest["job"] = name_of(manifest)
    put(job / "manifest.json", manifest)
    if (job / "result.json").exists():
        put(job / "result.json", {**content(job / "result.json"), "job": manifest["job"]})
    for state in (job / "states").iterdir():
        framed = state.read_bytes()[:-4].replace(before.encode(), manifest["job"].encode(), 1)
        state.write_bytes(framed + google_crc32c.value(framed).to_bytes(4, "little"))

"""``Directory``: all files of a job, each present as a whole or not at all.

manifest.json       the question, the plan, the fingerprint of the input, versions
lease/000001.json   who drives the job, one file per term; the highest term counts
states/0-4-8        the state of tree 0, shards 4 to 8, exclusive: description, bytes, crc32c
states/0-4-8-2      the same in round 2 of a tree that is folded repeatedly
progress.json       how far the current owner is
events.jsonl        the history, one event per line
cancel/000001.json  a request to end that term
result.json         where the result is; exists only when it is complete

Other names are not ours and stay as they are; a folder in place of a file is set aside as NAME.xxxxxxxx.aside.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypedDict, cast

from covdist.errors import JobError
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.jobs.permitted import permitted
from covdist.results.load import JOB_RESULT
from covdist.storage.checksum import checksummed, from_json, to_json, verified
from covdist.storage.kinds import of_kind
from covdist.storage.lease import Lease
from covdist.storage.owners import Owners
from covdist.storage.place import Place, place_at
from covdist.storage.secrets import clean, clean_text, clean_texts, known_secrets

_FORMAT = 1
_MANIFEST, _RESULT, _PROGRESS, _EVENTS = "manifest.json", "result.json", "progress.json", "events.jsonl"
_OWN = {_MANIFEST, _RESULT, _PROGRESS, _EVENTS, JOB_RESULT, "lease", "states", "cancel"}
_PROGRESS_KIND = {
    **dict.fromkeys(["status?", "owner?", "reason?"], str),
    **dict.fromkeys(["per_second?", "seconds_left?"], float | int | None),
    **dict.fromkeys(["shards?", "folded?", "term?", "round?", "folds_started?", "held_at_start?", "running?"], int),
}  # fmt: skip
_NEEDED = {"job", "asked", "plan", "input"}
_PACKAGES = ("covdist", "dask", "distributed", "numpy", "scipy", "zarr")
_log = logging.getLogger(__name__)


class Manifest(TypedDict):
    format: int
    job: str
    asked: dict[str, Any]
    plan: list[list[int]]
    input: dict[str, Any]
    versions: dict[str, str]


class ShardCounts(TypedDict):
    """The part of a job's progress that a progress bar shows."""

    status: str
    shards: int
    folded: int


class Progress(ShardCounts, total=False):
    time: float
    term: int
    owner: str
    reason: str
    round: int
    folds_started: int
    held_at_start: int
    running: int
    per_second: float
    seconds_left: float | None


class Directory:
    """A job's files at a local path or URL. Picklable; never shows or writes fsspec's storage options."""

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, object] | None = None, place: Place | None = None
    ):
        self._place = place_at(path, options) if place is None else place
        self.path = clean_text(os.fspath(path))
        self._secrets = known_secrets(dict(options or {}))
        self.owners = Owners(self._place, self.path, self._driven)

    def __repr__(self) -> str:
        return f"<job directory {self.path}>"

    def _driven(self, owner: str, seconds: int) -> JobError:
        return JobError(
            f"the job in {self.path} is driven by {owner}: watch it with `covdist status`, or cancel it; should "
            f"that driver be dead, its lease ends in {seconds} seconds"
        )

    # ---- the question

    def ask_to_cancel(self) -> bool:
        """Ask the current driver to stop; return whether there is one."""
        lease = self.owners.current()
        if lease is None or lease.released:
            return False
        self._place.put(_cancel(lease), b"{}\n")
        return True

    def cancelled(self, lease: Lease) -> bool:
        """Return whether the driver that holds a lease has been asked to stop."""
        return self._place.get(_cancel(lease)) is not None

    def begin(
        self, job: str, question: Mapping[str, Any], trees: Iterable[MergeTree], input_now: Mapping[str, Any]
    ) -> None:
        """Write the manifest without credentials, unless the same job has one here; refuse where another has."""
        content = {
            "format": _FORMAT, "job": job, "asked": self._clean(question),
            "plan": [[tree.shards, tree.fan_in, tree.keep] for tree in trees],
            # Its keys are names of arrays and files, of which a "token_embedding" is no credential.
            "input": clean_texts(input_now, self._secrets), "versions": dict(versions()),
        }  # fmt: skip
        if self._place.create(_MANIFEST, to_json(content)):
            _log.debug("%s: job %s begins", self.path, job)
            return
        before = self.manifest()
        if before["job"] != job:
            raise JobError(
                f"{self.path} holds job {before['job']}, not {job}: choose another directory, or resume that job"
            )

    def check_vacant(self) -> None:
        """Raise JobError where things lie that are no job's; hidden ones, of systems and editors, do not count."""
        names = [name for name in self._place.names("") if not name.startswith(".") and not name.endswith(".aside")]
        if foreign := [name for name in names if name not in _OWN]:
            more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
            raise JobError(
                f"{self.path} is no job directory, but holds {foreign[0]}{more}: choose a new directory, or one "
                "that is empty"
            )

    @property
    def begun(self) -> bool:
        return self._place.get(_MANIFEST) is not None

    def manifest(self) -> Manifest:
        data = self._place.get(_MANIFEST)
        if data is None:
            raise JobError(
                f"{self.path} is not a job directory, it has no manifest.json: pass what `covdist submit` gave"
            )
        content = from_json(data)
        if content is None or content.get("format") != _FORMAT or not content.keys() >= _NEEDED:
            raise JobError(
                f"manifest.json in {self.path} is damaged, or not of format {_FORMAT}: submit to another directory"
            )
        return cast(Manifest, {"versions": {}, **content})

    def trees(self) -> list[MergeTree]:
        return [MergeTree(number, *sizes) for number, sizes in enumerate(self.manifest()["plan"])]

    # ---- states

    def save(self, job: str, node: Node, state: bytes) -> None:
        """Write a checkpoint; drivers that race write the same bytes."""
        self._place.put(f"states/{node.name}", checksummed({"job": job, "node": node.name}, state))

    def load(self, job: str, node: Node) -> memoryview | None:
        """Return a checkpoint of this job, None where it is missing, torn or damaged."""
        data = self._place.get(f"states/{node.name}")
        match verified(data):
            case description, state if description == {"job": job, "node": node.name}:
                return state
        if data is not None:
            _log.debug("%s: checkpoint %s is damaged, or of another job", self.path, node.name)
        return None

    def saved(self) -> set[Node]:
        """Return the checkpoints by their names, other names are not ours; only ``load`` verifies them."""
        return {node for name in self._place.names("states") if (node := Node.named(name)) is not None}

    def forget(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._place.remove(f"states/{node.name}")

    # ---- for observers

    def note(self, events: Iterable[Mapping[str, object]]) -> None:
        """Append to the history."""
        lines = [json.dumps(self._clean(event)) for event in events]
        for line in lines:
            _log.debug("%s: %s", self.path, line)
        if lines:
            self._place.append(_EVENTS, "".join(f"{line}\n" for line in lines).encode())

    @permitted()
    def events(self) -> list[dict[str, Any]]:
        """Return the history without lines that a crash has cut short."""
        events = []
        for line in (self._place.get(_EVENTS) or b"").decode(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):  # the second of what is nested too deeply
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def set_progress(self, progress: Progress) -> None:
        self._place.put(_PROGRESS, to_json(self._clean(progress)))

    def progress(self) -> Progress:
        """Return the last progress written, empty before the first, and where it is damaged."""
        found = from_json(self._place.get(_PROGRESS)) or {}
        try:
            of_kind(found, _PROGRESS_KIND, _PROGRESS)
        except ValueError as error:
            _log.debug("%s: %s", self.path, error)
            return {}  # type: ignore[typeddict-item]
        numbers = [each for each in found.values() if isinstance(each, int | float)]
        return cast(Progress, found if all(0 <= each < math.inf for each in numbers) else {})

    def finish(self, job: str, result: Mapping[str, object]) -> None:
        """Record that the result is complete: the last step of a job."""
        self._place.put(_RESULT, to_json({**self._clean(result), "job": job}))

    def result(self, job: str) -> dict[str, Any] | None:
        """Return the content that ``finish`` was given, None while this job has no complete result."""
        content = from_json(self._place.get(_RESULT))
        if content is None or content.get("job") != job:
            return None
        return content if "result" not in content or self._place.get(f"{content['result']}/zarr.json") else None

    def _clean(self, content: Mapping[str, object]) -> dict[str, Any]:
        return clean(content, self._secrets)


@cache
def versions() -> Mapping[str, str]:
    """Return the versions that a state's bytes may depend on."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def _cancel(lease: Lease) -> str:
    return f"cancel/{lease.term:06d}.json"

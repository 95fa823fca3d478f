"""``Directory``: all that a job leaves behind; every file is there whole or not at all.

manifest.json       what was asked, the plan, the fingerprint of the input, versions
lease/000001.json   who drives the job, a file per term; the highest term counts
states/0-4-8        the state of tree 0, shards 4 to 8, exclusive: its description, its bytes, a crc32c
states/0-4-8-2      the same of round 2, where the shards are folded again and again
progress.json       how far the current owner has come
events.jsonl        what happened, a line each
cancel/000001.json  somebody wants that term to stop
result.json         where the result is; exists only when it is complete
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from covdist.errors import JobError
from covdist.jobs.directory.owners import Owners
from covdist.jobs.directory.secrets import clean, known_secrets
from covdist.jobs.machine.tree import MergeTree, Node
from covdist.storage.checksum import checksummed, from_json, to_json, verified
from covdist.storage.place import Place, place_at

_FORMAT = 1
_MANIFEST, _RESULT, _PROGRESS, _EVENTS = "manifest.json", "result.json", "progress.json", "events.jsonl"
_PACKAGES = ("covdist", "dask", "distributed", "numpy", "scipy", "zarr")


class Directory:
    """A job's files. Picklable; shows no storage options.

    Parameters
    ----------
    path : str or Path
        Local path or URL.
    options : mapping, optional
        Storage options for fsspec. They are used, and never written.
    place : Place, optional
        Used in place of the one that ``path`` names.

    Attributes
    ----------
    owners : Owners
        Who drives the job.
    """

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, Any] | None = None, place: Place | None = None
    ):
        self._place = place_at(path, options) if place is None else place
        self.path = str(clean(os.fspath(path)))
        self._secrets = known_secrets(dict(options or {}))
        self.owners = Owners(self._place, self.path)

    def __repr__(self) -> str:
        return f"<job directory {self.path}>"

    # ---- what was asked

    def begin(self, job: str, asked: Mapping[str, Any], shapes: Iterable[MergeTree], found: Mapping[str, Any]) -> None:
        """Write the manifest, unless the same job's is there already.

        Parameters
        ----------
        job : str
            As ``job_id`` makes it.
        asked : mapping
            JSON-like; credentials in it are left out.
        shapes : iterable of Shape
        found : mapping
            Fingerprint of the input.

        Raises
        ------
        JobError
            If another job's manifest is there.
        """
        plan = [[shape.shards, shape.fan_in, shape.keep] for shape in shapes]
        content = {
            "format": _FORMAT,
            "job": job,
            "asked": asked,
            "plan": plan,
            "input": found,
            "versions": dict(versions()),
        }
        if self._place.create(_MANIFEST, to_json(self._clean(content))):
            return
        before = self.manifest()
        if before["job"] != job:
            raise JobError(
                f"{self.path} holds job {before['job']}, not {job}: choose another directory, or resume that job"
            )

    @property
    def begun(self) -> bool:
        """Whether there is a manifest, of whatever job."""
        return self._place.get(_MANIFEST) is not None

    def manifest(self) -> dict[str, Any]:
        """Return what ``begin`` wrote.

        Raises
        ------
        JobError
            If there is nothing, or it is damaged.
        """
        data = self._place.get(_MANIFEST)
        if data is None:
            raise JobError(f"{self.path} is no job directory, it has no manifest.json: pass what `covdist submit` gave")
        content = from_json(data)
        if content is None or content.get("format") != _FORMAT:
            raise JobError(
                f"manifest.json in {self.path} is damaged, or not of format {_FORMAT}: submit to another directory"
            )
        return content

    def shapes(self) -> list[MergeTree]:
        """Return the trees of the plan."""
        return [MergeTree(tree, *numbers) for tree, numbers in enumerate(self.manifest()["plan"])]

    # ---- states

    def save(self, job: str, node: Node, state: bytes) -> None:
        """Write a checkpoint; drivers that race write the same bytes."""
        self._place.put(f"states/{node.name}", checksummed({"job": job, "node": node.name}, state))

    def load(self, job: str, node: Node) -> memoryview | None:
        """Return a checkpoint of this job, or nothing where it is missing, torn or damaged."""
        found = verified(self._place.get(f"states/{node.name}"))
        return found[1] if found is not None and found[0] == {"job": job, "node": node.name} else None

    def saved(self) -> set[Node]:
        """Return the checkpoints there are by their names; only ``load`` tells whether one is whole."""
        return {Node.named(name) for name in self._place.names("states")}

    def forget(self, nodes: Iterable[Node]) -> None:
        """Remove checkpoints that are of no more use."""
        for node in nodes:
            self._place.remove(f"states/{node.name}")

    # ---- for those who watch

    def note(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add to the events."""
        text = "".join(json.dumps(self._clean(dict(line))) + "\n" for line in lines)
        if text:
            self._place.append(_EVENTS, text.encode())

    def events(self) -> list[dict[str, Any]]:
        """Return the events; a line cut short by a crash is left out."""
        found = []
        for line in (self._place.get(_EVENTS) or b"").decode(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
        return found

    def set_progress(self, progress: Mapping[str, Any]) -> None:
        """Replace what ``progress`` returns."""
        self._place.put(_PROGRESS, to_json(self._clean(progress)))

    def progress(self) -> dict[str, Any]:
        """Return the last progress there is, empty before the first."""
        return from_json(self._place.get(_PROGRESS)) or {}

    def finish(self, job: str, result: Mapping[str, Any]) -> None:
        """Say that the result is complete; the last thing a driver does."""
        self._place.put(_RESULT, to_json({**self._clean(result), "job": job}))

    def result(self, job: str) -> dict[str, Any] | None:
        """Return what ``finish`` was given, or nothing while there is no complete result of this job."""
        found = from_json(self._place.get(_RESULT))
        return found if found is not None and found.get("job") == job else None

    def _clean(self, content: Mapping[str, Any]) -> dict[str, Any]:
        return clean(dict(content), self._secrets)


@cache
def versions() -> Mapping[str, str]:
    """Return the versions that decide what a state looks like and how it is computed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""``read_manifest``: what a job was asked, checked and named anew, whoever wrote or edited its manifest."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from covdist.errors import JobError, shown
from covdist.folding.selection import Selection
from covdist.jobs.directory.directory import Directory, Manifest, versions
from covdist.jobs.directory.fingerprint import job_id
from covdist.storage.kinds import of_kind

_DEFAULTS: dict[str, Any] = {"missing_chunks": "raise", "output": None}
_KNOWN = {"log", "selection", "follow_links", "concat", *_DEFAULTS}
_FILES = {"count": int, "names": str, "sample": {str: list}}
_MANIFEST = {
    "asked": {
        "log": str, "selection": dict, "missing_chunks?": str, "output?": str | None, "follow_links?": bool,
        "concat?": bool | None,
    },
    "plan": [(int, int, int)],
    "input": {"arrays": {str: dict}, "files": {str: _FILES}},
    "versions": {str: str},
}  # fmt: skip
_OPTIONS = {field.name for field in fields(Selection)}


def read_manifest(directory: Directory) -> Manifest:
    """Return the manifest, with the id that follows from its content.

    After an edit that is another id than its checkpoints and its result bear, so that these are made again.
    """
    found = directory.manifest()
    try:
        of_kind(found, _MANIFEST, "it")
        _check_plan(found["plan"])
    except ValueError as error:
        raise JobError(
            f"manifest.json in {directory.path} does not say what to fold as covdist {versions()['covdist']} "
            f"expects it ({error}), {_writer(found)}: resume it with that version, or submit to another directory"
        ) from error
    asked, plan = found["asked"], found["plan"]
    if unknown := sorted([*(asked.keys() - _KNOWN), *(asked["selection"].keys() - _OPTIONS)]):
        raise JobError(
            f"manifest.json in {directory.path} asks for {', '.join(unknown)}, which covdist {versions()['covdist']} "
            f"does not know, {_writer(found)}: resume it with that version, or submit to another directory"
        )
    job = job_id({**asked, "output": None}, plan, found["input"])
    return {**found, "asked": {**_DEFAULTS, **asked}, "job": job}


def _check_plan(plan: list[list[int]]) -> None:
    if any(size < 1 for tree in plan for size in tree):
        raise ValueError(f"it.plan is {shown(str(plan))}, expected trees of at least one shard")


def _writer(manifest: Manifest) -> str:
    writers: Any = manifest["versions"]
    known = isinstance(writers, dict) and "covdist" in writers
    return f"and was written by covdist {writers['covdist'] if known else 'of an unknown version'}"

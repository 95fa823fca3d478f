"""``read_manifest``: what a job was asked, checked and named anew, whoever wrote or edited its manifest."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from covdist.errors import JobError
from covdist.folding.selection import Selection
from covdist.jobs.directory.directory import Directory, Manifest, versions
from covdist.jobs.directory.fingerprint import job_id

_DEFAULTS: dict[str, Any] = {"missing_chunks": "raise", "output": None}
_KNOWN = {"log", "selection", "follow_links", "concat", *_DEFAULTS}
_OPTIONS = {field.name for field in fields(Selection)}


def read_manifest(directory: Directory) -> Manifest:
    """Return the manifest, with the id that follows from its content.

    After an edit that is another id than its checkpoints and its result bear, so that these are made again.
    """
    found = directory.manifest()
    match found:
        case {
            "asked": {"log": str(), "selection": dict(options)} as asked,
            "plan": list(plan),
            "input": {"arrays": dict(arrays), "files": dict(files)},
        } if all(map(_sizes, plan)) and all(isinstance(facts, dict) for facts in (*arrays.values(), *files.values())):
            unknown = sorted([*(asked.keys() - _KNOWN), *(options.keys() - _OPTIONS)])
        case _:
            raise JobError(
                f"manifest.json in {directory.path} does not say what to fold as covdist {versions()['covdist']} "
                f"expects it, {_writer(found)}: resume it with that version, or submit to another directory"
            )
    if unknown:
        raise JobError(
            f"manifest.json in {directory.path} asks for {', '.join(unknown)}, which covdist {versions()['covdist']} "
            f"does not know, {_writer(found)}: resume it with that version, or submit to another directory"
        )
    job = job_id({**asked, "output": None}, plan, found["input"])
    return {**found, "asked": {**_DEFAULTS, **asked}, "job": job}


def _sizes(tree: object) -> bool:
    return isinstance(tree, list) and len(tree) == 3 and all(isinstance(size, int) and size >= 0 for size in tree)


def _writer(manifest: Manifest) -> str:
    return f"and was written by covdist {manifest['versions'].get('covdist', 'of an unknown version')}"

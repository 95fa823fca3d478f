"""A job's result lies in the job's folder, also where that is on an object store."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]

from covdist.results.load import JOB_RESULT
from covdist.storage.retry import patiently


@contextmanager
def written(job: str) -> Iterator[Path]:
    """Yield where to write the result of a job, which is there once the block has ended."""
    if "://" not in job:
        place = Path(job) / JOB_RESULT
        shutil.rmtree(place, ignore_errors=True)  # of a driver that died before it could say that this is whole
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / JOB_RESULT
        system, target = _remote(job)
        for file in (Path(folder) / JOB_RESULT).rglob("*"):
            if file.is_file():
                inside = file.relative_to(Path(folder) / JOB_RESULT).as_posix()
                patiently(partial(system.pipe_file, f"{target}/{inside}", file.read_bytes()))


@contextmanager
def fetched(job: str) -> Iterator[Path]:
    """Yield where the result of a job can be read within the block."""
    if "://" not in job:
        yield Path(job) / JOB_RESULT
        return
    with tempfile.TemporaryDirectory() as folder:
        system, root = _remote(job)
        system.invalidate_cache()
        for name in system.find(root):
            file = Path(folder) / JOB_RESULT / name.removeprefix(f"{root}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(patiently(partial(system.cat_file, name)))
        yield Path(folder) / JOB_RESULT


def deliver(result: Path, output: str | os.PathLike[str]) -> None:
    """Copy a result to where the user wants it, unless there is something."""
    target = Path(output)
    if target.exists():
        return
    place = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        shutil.copytree(result, place)
        os.rename(place, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _remote(job: str) -> tuple[Any, str]:
    system, target = fsspec.core.url_to_fs(f"{job}/{JOB_RESULT}")
    return system, target.rstrip("/")

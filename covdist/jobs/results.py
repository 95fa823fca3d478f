"""A job's result lies in the job's folder, also where that is on an object store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from covdist.results.load import JOB_RESULT
from covdist.results.store import whole
from covdist.storage.place import place_at


@contextmanager
def written(job: str) -> Iterator[Path]:
    """Yield the path to write a job's result to; it is part of the job once the block has ended."""
    if "://" not in job:
        result = Path(job) / JOB_RESULT
        if result.is_dir() and not result.is_symlink():
            shutil.rmtree(result, ignore_errors=True)  # of a driver that died before the result was complete
        else:
            result.unlink(missing_ok=True)
        yield result
        return
    with tempfile.TemporaryDirectory() as folder:
        result, target = Path(folder) / JOB_RESULT, place_at(f"{job}/{JOB_RESULT}")
        yield result
        for file in result.rglob("*"):
            if file.is_file():
                target.put(file.relative_to(result).as_posix(), file.read_bytes())


@contextmanager
def fetched(job: str) -> Iterator[Path]:
    """Yield a path that holds a job's result for as long as the block runs."""
    if "://" not in job:
        yield Path(job) / JOB_RESULT
        return
    with tempfile.TemporaryDirectory() as folder:
        result, source = Path(folder) / JOB_RESULT, place_at(f"{job}/{JOB_RESULT}")
        for name in source.walk():
            file = result / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.get(name) or b"")
        yield result


def deliver(result: Path, output: str | os.PathLike[str]) -> None:
    """Copy a result to ``output``, unless that exists."""
    target = Path(output)
    if target.exists():
        return
    with whole(target) as place:
        shutil.copytree(result, place)

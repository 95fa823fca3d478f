"""A preload for workers: each writes down the shards that it has folded to their end."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

_PLACE = "COVDIST_TESTS_FOLDED"


class Folded(WorkerPlugin):  # type: ignore[misc]
    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        if start == "executing" and finish == "memory" and str(key).startswith("fold-"):
            with open(os.environ[_PLACE], "a") as file:
                file.write(f"{key}\n")


async def dask_setup(worker: Any) -> None:
    await worker.plugin_add(Folded())


def settings(place: Path) -> dict[str, str]:
    """The environment in which workers write to ``place``."""
    return {_PLACE: str(place), "DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{Path(__file__).resolve()}"]'}


def counted(place: Path) -> Counter[str]:
    """How often each shard was folded, whoever drove."""
    return Counter(line.rsplit("-", 2)[0] for line in place.read_text().splitlines())

"""A preload for workers: they write down the shards that they fold, and fold no more of them than they are let.

So a job that is to be stopped on its way has not ended by then, however quick the machine is.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import Any

from distributed import get_worker

from covdist.rows import fold as shard

_PLACE = "COVDIST_TESTS_FOLDED"


def dask_setup(worker: Any) -> None:
    folded, folds = shard.folded, Folds(Path(os.environ[_PLACE]))

    @wraps(folded)
    def noted(*arguments: Any) -> Any:
        folds.begin()
        state = folded(*arguments)
        folds.end()
        return state

    shard.folded = noted


class Folds:
    """The folds of all workers that run in this environment, whether anybody waits for them or not."""

    def __init__(self, place: Path, most: int | None = None):
        self._begun, self._ended, self._held = place / "begun", place / "ended", place / "held"
        self.environment = {
            _PLACE: str(place), "DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{Path(__file__).resolve()}"]'
        }  # fmt: skip
        if not place.exists():
            place.mkdir()
            self._begun.touch()
            self._ended.touch()
        if most is not None:
            self.hold(most)

    # ---- of tests

    def hold(self, most: int) -> None:
        """Let so many folds begin in all; others wait for their release."""
        self._held.with_name("next").write_text(f"{most}")
        self._held.with_name("next").replace(self._held)

    def release(self) -> None:
        self._held.unlink()

    def begun(self) -> int:
        """How many folds have begun, those included that wait."""
        return self._begun.stat().st_size

    def ended(self) -> Counter[str]:
        """How often each shard was folded, whoever drove."""
        return Counter(line.rsplit("-", 2)[0] for line in self._ended.read_text().splitlines())

    # ---- of workers

    def begin(self) -> None:
        with self._begun.open("ab", buffering=0) as file:
            file.write(b".")
            number = file.tell()  # of the system, which writes one after the other
        while number > self._most():
            time.sleep(0.01)

    def _most(self) -> float:
        try:
            return int(self._held.read_text())
        except FileNotFoundError:
            return float("inf")

    def end(self) -> None:
        with self._ended.open("a") as file:
            file.write(f"{get_worker().get_current_task()}\n")

"""Covariance, variance and gradient statistics of neural-network logs, reduced once and read many times."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "open_log": "covdist.logs.opening",
    "Moments": "covdist.results.moments",
    "load": "covdist.results.load",
    "submit": "covdist.jobs.submitting",
    "Job": "covdist.jobs.job",
    "Recorder": "covdist.record.recorder",
    "CovdistError": "covdist.errors",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `import covdist` and `covdist --help` stay quick; a reading is found by its file's name.
    if name.startswith("_"):
        raise AttributeError(f"module 'covdist' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES.get(name, f"covdist.readings.{name}")), name)
    except ModuleNotFoundError as error:
        if error.name != f"covdist.readings.{name}":
            raise
        raise AttributeError(f"module 'covdist' has no attribute {name!r}") from None

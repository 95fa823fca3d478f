"""One file here is one contender: a module that names a ``PEER``. Nothing else lists them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.data import Log

EXACT, FLOAT32 = 1e-10, 1e-6  # what double and single precision may differ by, relative to sigma_i sigma_j


class Skipped(Exception):
    """The contender cannot do this here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """``statistics`` maps "cov" or "var" to a function from a log's path to the population result.

    The function uses the current dask client, or with ``alone`` a fresh process and all cores, where
    ``prepare`` does what the time shall not contain, as the start of the cluster is for the others.
    ``refuses`` tells why the contender cannot be asked for a log at all.
    """

    name: str
    statistics: Mapping[str, Callable[[Path], np.ndarray]]
    alone: bool = False
    prepare: Callable[[], object] = lambda: None
    tolerance: float = EXACT
    refuses: Callable[[Log], str | None] = lambda log: None


def find_peers() -> dict[str, Peer]:
    """Return the contenders by module name, in its order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: load_peer(name) for name in names}


def load_peer(module: str) -> Peer:
    return importlib.import_module(f"{__name__}.{module}").PEER

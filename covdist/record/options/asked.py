"""``Asked``: what a recorder was asked for, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeVar

import numpy as np

from covdist.errors import DataError
from covdist.given import names, one_of, told, whole
from covdist.record.options.dtypes import float_dtype
from covdist.record.shards import MOST
from covdist.record.values import as_bytes, as_step

T = TypeVar("T")
ByName: TypeAlias = T | Mapping[str, T] | None  # one value for all arrays, or one by pattern
Named = tuple[tuple[str, T], ...]  # by pattern; the first that fits counts


@dataclass(frozen=True)
class Asked:
    """How arrays are cut into chunks, and what is recorded of them."""

    chunk_bytes: int
    chunk: int | None
    shard: int | None
    per_step: tuple[str, ...]
    room: int  # bytes of memory
    dtype: Named[np.dtype]
    every: Named[int]
    units: Named[int | tuple[int, ...]]
    project: Named[int]
    seed: int
    max_bytes: int | None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Asked:
        """Return the options that the keywords of a ``Recorder`` mean; DataError where one is wrong."""
        most = given["max_bytes"]
        return cls(
            chunk_bytes=whole("chunk_bytes", given["chunk_bytes"]),
            chunk=None if given["chunk"] is None else whole("chunk", given["chunk"]),
            shard=None if given["shard"] is None else whole("shard", given["shard"], most=MOST),
            per_step=names("per_step", given["per_step"]),
            room=as_bytes(given["memory"]) * 3 // 4,
            dtype=_named(given["dtype"], float_dtype),
            every=_named(given["every"], lambda value: whole("every", value)),
            units=_named(given["units"], _units),
            project=_named(given["project"], lambda value: whole("project", value)),
            seed=whole("seed", given["seed"], 0),
            max_bytes=None if most is None else as_bytes(most, "max_bytes"),
        )


def of_name(patterns: Named[T], name: str) -> T | None:
    """Return what the first pattern that fits a name says."""
    return next((value for pattern, value in patterns if fnmatchcase(name, pattern)), None)


def _named(given: Any, check: Callable[[Any], T]) -> Named[T]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        given = {"*": given}
    return tuple((str(pattern), check(value)) for pattern, value in given.items())


def _units(value: Any) -> int | tuple[int, ...]:
    if getattr(value, "ndim", 1) and isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes):
        found = tuple(whole("units", each, 0) for each in value)
        if not found or len(set(found)) < len(found):
            raise DataError(f"units must be different numbers of units, at least one, found {told(value)}.")
        return found
    return whole("units", value)


def check_mode(mode: str, rank: int | None, from_step: int | None) -> None:
    """Raise DataError where a log cannot be begun or continued so."""
    one_of("mode", mode, ("x", "a"))
    if from_step is not None:
        as_step(from_step, "from_step")
        if mode != "a":
            raise DataError(f'from_step={from_step} forgets rows of a log that is continued: pass mode="a" with it.')
    if rank is not None:
        whole("rank", rank, 0)

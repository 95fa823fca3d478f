"""What file names count: ``step_0100``, ``activation_0007``, ``0003``, ``part-00001-of-00005``."""

from __future__ import annotations

import re
from typing import NamedTuple

_COUNTERS = (
    "global_step", "step", "epoch", "iteration", "iter", "batch", "sample", "clip", "chunk", "shard", "part", "file",
    "rank", "worker", "example", "image", "row",
)  # fmt: skip
_COUNTED = re.compile(rf"(?:^|(?<=[^a-z]))({'|'.join(_COUNTERS)})[-_.= ]*([0-9]+)(?:-of-([0-9]+))?(?![0-9])", re.I)
_LAST = re.compile(r"([-_.= ]*)([0-9]+)(?:-of-([0-9]+))?$")
_LAYERS = re.compile(
    r"(?:^|[^a-z])(?:layers?|blocks?|modules?|stages?|encoders?|decoders?|heads?|h|fc|conv(?:[0-9]d)?|linear|dense|hidden|"
    r"attn|attention|mlp|ffn|norm|ln|bn|relu|gelu|lstm|gru|rnn|pool|res|proj|unit|neuron)s?$",
    re.I,
)
# Spark and pyarrow give all parts that one of their calls writes the same mark, and a number before or after it.
_MARKED = re.compile(
    r"^(?:part-([0-9]+)[-_])?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})(?:-([0-9]+))?(?:[-._].*)?$"
)
_OF_SHARDS = ("data",)  # by which Hugging Face's save_to_disk calls its files, whatever they hold
_LARGEST = 2**63 - 1  # beyond, digits are a name of their own, such as one of a random run
_PADDED = 3  # digits: a number with a zero before it that has fewer may name a layer


class Numbered(NamedTuple):
    """A file name without its number, what the number counts, and how many there are to be, where it says so.

    ``mark`` is what tells the parts that a program wrote at one time from those of another.
    """

    name: str
    counter: str
    number: int
    total: int | None = None
    mark: str = ""


def numbered(stem: str, *, any_number: bool = False) -> Numbered | None:
    """Return what a file's name counts; None if it has no number, or one that may name a layer, as ``fc2`` does.

    With ``any_number`` a number counts, whatever it may name.
    """
    if marked := _MARKED.match(stem):
        return Numbered("", "part", int(marked[1] or marked[3] or 0), mark=marked[2])
    found = list(_COUNTED.finditer(stem))
    if found and int(found[-1][2]) <= _LARGEST:
        last = found[-1]
        name = (stem[: last.start()].rstrip("-_.= ") + "_" + stem[last.end() :].lstrip("-_.= ")).strip("_")
        return Numbered(name, last[1].lower(), int(last[2]), int(last[3]) if last[3] else None)
    ending = _LAST.search(stem)
    if ending is None or int(ending[2]) > _LARGEST:
        return None
    name, digits, total = stem[: ending.start()], ending[2], ending[3]
    if total and name in _OF_SHARDS:
        return Numbered("", "file", int(digits), int(total))
    counts = total or ((ending[1] or _is_padded(digits)) and not _LAYERS.search(name))
    if name and not (any_number or counts):
        return None
    return Numbered(name, "file", int(digits), int(total) if total else None)


def _is_padded(digits: str) -> bool:
    return digits.startswith("0") and len(digits) >= _PADDED


def natural(stem: str) -> tuple[tuple[int, str | int], ...]:
    """Return a key that sorts names as people do, ``clip_2`` before ``clip_10``."""
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", stem))

"""``Names``: the paths of a log that are taken, by arrays, by layers above them, and by their coordinates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from covdist.record.track import join, mark_name

Paths = tuple[set[str], set[str], set[str]]  # arrays, layers above them, coordinates that they have or may get


class Names:
    """Paths, each taken by one thing only; a call of ``clash`` or ``add`` looks at its own layers alone."""

    def __init__(self) -> None:
        self._taken: Paths = (set(), set(), set())
        self._variables: dict[str, set[str]] = {}  # by node
        self._marks: dict[str, set[str]] = {}

    def clash(self, arrays: Collection[str], marks: Collection[str]) -> str | None:
        """Return the first path that would be two things with these arrays and marks, None if there is none."""
        more = self._paths(arrays, marks)
        found = {
            path
            for kind, one in enumerate(more)
            for other_kind, others in enumerate(zip(self._taken, more, strict=True))
            if kind != other_kind
            for other in others
            for path in one & other
        }
        return min(found, default=None)

    def add(self, arrays: Iterable[str], marks: Collection[str]) -> None:
        """Take the paths of arrays that have no clash."""
        more = self._paths(arrays, marks)
        for taken, paths in zip(self._taken, more, strict=True):
            taken.update(paths)
        for node, variables in _by_node(more[0]).items():
            self._variables.setdefault(node, set()).update(variables)
            self._marks.setdefault(node, set()).update(marks)

    def _paths(self, arrays: Iterable[str], marks: Collection[str]) -> Paths:
        paths, given = set(arrays), set(marks)
        coordinates: set[str] = set()
        for node, new in _by_node(paths).items():
            known = self._marks.get(node, set())
            variables = new if given <= known else new | self._variables.get(node, set())
            coordinates.update(join(node, mark_name(dim, mark)) for dim in _dims(variables) for mark in given | known)
        return paths, {upper for path in paths for upper in uppers(path)}, coordinates


def uppers(path: str) -> list[str]:
    """Return the layers that a path lies in, from the top."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _by_node(arrays: Iterable[str]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in arrays:
        node, _, variable = path.rpartition("/")
        found.setdefault(node, set()).add(variable)
    return found


def _dims(variables: set[str]) -> list[str]:
    return [dim for kind in ("step", "sample") for dim in (kind, *(f"{each}_{kind}" for each in variables))]

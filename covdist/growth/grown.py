"""What has come to a log since a result was made from it; or the sentence that says what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from covdist.errors import DataError, ResultError, shown
from covdist.folding.grouping import keys
from covdist.folding.request import policy, rows_as_they_are
from covdist.folding.selection import Chosen, Selection, wanted
from covdist.growth.made_from import MadeFrom, Nodes, OldArray, old_array
from covdist.growth.new_rows import NewRows, Ranges, old_and_new
from covdist.growth.old_rows import OldRows, parts_of
from covdist.logs.nodes import LogNode
from covdist.results.labels import Bins
from covdist.results.moments import Moments

Key = tuple[str, str]  # the path of a node, and the name of an array


@dataclass(frozen=True)
class Grown:
    """The arrays of a log, of which a result holds some rows."""

    chosen: Chosen  # all, by what the next result calls them
    before: dict[Key, str]  # what the result calls those that it holds
    ranges: dict[Key, Ranges] = field(default_factory=dict)  # the new rows of those, also of what they are set against

    @classmethod
    def of(cls, nodes: Nodes, made: MadeFrom, result: str) -> Grown:
        """Compare a log with what a result was made from; ResultError if rows that it holds are not there as before."""
        chosen = _chosen(nodes, made.selection, result)
        old = {sides[0].array: (called, sides) for called, sides in made.arrays.items()}
        found = cls(chosen, {})
        for (path, name), array in _told_by_parts(nodes, chosen, old).items():
            called, sides = old.pop(array)
            found.before[path, name] = called
            for side in sides:
                own = name if side is sides[0] else side.array.rpartition("/")[2]
                found.ranges[path, own] = _new_rows(nodes[path], path, own, side, made.selection, result)
        if old:
            for path, name in chosen:
                nodes[path].check(name)
            raise ResultError(
                f"{result} holds rows of {', '.join(map(shown, list(old)[:3]))}, which the log no longer has or never "
                "had: pass the log that it was made from"
            )
        return found

    def new(self) -> Chosen:
        """Return the arrays that have rows to fold."""
        return {key: called for key, called in self.chosen.items() if key not in self.before or self.ranges[key]}

    def check(self, nodes: Nodes, states: Mapping[str, Moments], selection: Selection) -> None:
        """Raise ResultError where one of the states of old rows and that of new rows do not add up."""
        for path, name in self.new().keys() & self.before.keys():
            ranges, node = self.ranges[path, name], nodes[path]
            ends = len(ranges) == 1 and ranges[0].stop == node.entries[name].source.shape[0]
            array, state = f"{path}/{name}".strip("/"), states[self.before[path, name]]
            _check_folded_so(array, state, selection)
            _check_continued(array, node.dims[name][0], state, selection, ends)

    def nodes(self, nodes: Nodes) -> dict[str, NewRows]:
        """Return the nodes of the log with the new rows alone."""
        by_path: dict[str, dict[str, Ranges]] = {path: {} for path in nodes}
        for (path, name), ranges in self.ranges.items():
            by_path[path][name] = ranges
        return {path: NewRows(node, by_path[path]) for path, node in nodes.items()}


def _chosen(nodes: Nodes, selection: Selection, result: str) -> Chosen:
    try:
        return wanted(nodes, selection)
    except DataError as error:
        raise ResultError(
            f"{result} was made of arrays that the log no longer has, or has under other names ({error}): pass the log "
            "that it was made from, or make a new result"
        ) from error


def _told_by_parts(nodes: Nodes, chosen: Chosen, old: Mapping[str, tuple[str, tuple[OldArray, ...]]]) -> dict[Key, str]:
    """Return what arrays that a result holds were called, by what they are now.

    That of one file, ``act_0``, is a part of another, ``act``, when more files have come.
    """
    found = {key: full for key in chosen if (full := "/".join(key).strip("/")) in old}
    others = old.keys() - found.values()
    alone = {old[each][1][0].parts[0].name: each for each in others if len(old[each][1][0].parts) == 1}
    for path, name in chosen if alone else ():
        if (path, name) not in found and name in nodes[path].entries:
            held = alone.keys() & parts_of(nodes[path].entries[name].source)
            if len(held) == 1:
                found[path, name] = alone[held.pop()]
    return found


def _new_rows(node: LogNode, path: str, name: str, old: OldArray, selection: Selection, result: str) -> Ranges:
    """Return the ranges of rows that a result does not hold."""
    node.check(name)
    if name not in node.entries:
        raise ResultError(
            f"{result} holds rows of {old.array}, which the log no longer has: pass the log it is made from"
        )
    source, known = node.entries[name].source, {part.name: part.rows for part in old.parts}
    parts = parts_of(source)
    there = {part: parts[part].shape[0] if part in parts else 0 for part in known}
    about = {
        "dtype": (old.dtype, str(source.dtype)), "shape of a row": (old.row, source.shape[1:]),
        "number of rows": (old.rows, min(old.rows, sum(min(there[part], known[part]) for part in known))),
    }  # fmt: skip
    lost = [part for part in known if part not in parts]
    for what, (before, now) in about.items():
        if before != now:
            gone = f" ({shown(lost[0])} is not there)" if lost else ""
            raise _changed(old.array, result, f"their {what} was {before} and is {now}{gone}")
    now = old_array(node, path, name, selection, known, by_values=bool(old.parts and old.parts[-1].values))
    if now.decoded != old.decoded:
        raise _changed(old.array, result, "the attributes by which they are decoded are others")
    for before, after in zip(old.parts, now.parts, strict=True):
        if not before.are(after):
            raise _changed(old.array, result, _how(before, after))
    (groups, _, steps), (old_groups, _, old_steps) = now.labels.partition("-"), old.labels.partition("-")
    if groups != old_groups:
        raise _changed(old.array, result, "what they are grouped by has other values")
    joined_since = old.array != now.array
    if (old_steps or joined_since) and steps != old_steps:
        raise _changed(old.array, result, "the steps that tell what they weigh are others")
    return old_and_new(parts, known)[1]


def _how(before: OldRows, after: OldRows) -> str:
    if before.files:
        same = before.described == after.described
        return "files that hold them were written to" if same else "the array was begun anew"
    told = "old ones have other values" if before.values else "it does not tell which"
    return f"the file that holds {shown(before.name)} was written anew, and {told}"


def _changed(array: str, result: str, how: str) -> ResultError:
    return ResultError(
        f"rows of {shown(array)} have changed since {result} was made of them, {how}: make a new result by "
        "`covdist run LOG -o RESULT`"
    )


def _check_folded_so(array: str, state: Moments, selection: Selection) -> None:
    """Raise ResultError where the options of a state are not those that its result remembers."""
    told, halflife = state.layout.provenance, selection.halflife
    asked = {"missing": selection.missing, "inf": selection.inf, "precision": selection.precision}
    for option, value in {**asked, "halflife": None if halflife is None else str(halflife)}.items():
        if told.get(option) != value:
            raise ResultError(
                f"the rows of {shown(array)} were folded with {option}={told.get(option)!r}, where the result says "
                f"that {option}={value!r} was asked for, so one of them was changed: make a new result of all rows"
            )


def _check_continued(array: str, dim: str, state: Moments, selection: Selection, ends: bool) -> None:
    """Raise ResultError where a state of old rows and one of new rows do not add up to that of all.

    ``dim`` is the one along which the array has grown; ``ends`` tells whether all new rows come after the others.
    """
    chosen, several, why = policy(selection.missing), keys(selection.by), None
    samples = (selection.dim,) if isinstance(selection.dim, str) else selection.dim or (dim,)
    if state.matrix is not None:
        why = "a matrix in tiles does not add up"
    elif chosen.strategy is not None or chosen.stream is not rows_as_they_are:
        why = f"missing={selection.missing!r} looks at old rows again when new ones come"
    elif selection.blocks is not None:
        why = f"blocks={selection.blocks} are equal parts of all rows"
    elif selection.by is not None and not several:
        why = "by was one value for each row, which new rows lack"
    elif any(isinstance(each, Bins) and isinstance(each.bins, int) for each in several):
        why = "bins by their number depend on all rows, where bins by their edges or of a width do not"
    elif dim not in samples:
        why = f"it has grown along {dim!r}, which is not a sample dim"
    elif state.layout.state.ordered and (not ends or dim != samples[0]):
        why = f"a {state.layout.kind} state needs the order of the rows, and some of the new ones come before others"
    if why is not None:
        raise ResultError(f"{shown(array)} has new rows, but {why}: make a new result of all rows")

"""``FewRows``: the rows of groups that have so few that these take less memory than the groups' states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from covdist.errors import CovdistError
from covdist.kernel.threads import shared
from covdist.kernel.workspace import Workspaces
from covdist.numerics.accumulator import Options
from covdist.numerics.blas import single_thread
from covdist.numerics.nonfinite import all_finite
from covdist.numerics.ordinary import height_of
from covdist.numerics.screening import widen
from covdist.numerics.weights import Vector, checked
from covdist.state.base import StateType

_TAKEN = 1 << 12  # rows at a time


@dataclass(frozen=True)
class Folding:
    """How the rows of a group are folded; called, it makes an accumulator."""

    kind: StateType
    widths: tuple[int, ...]
    options: Options
    few: int  # so many rows take no more memory, as float64, than the matrices of their state

    @classmethod
    def of(cls, kind: StateType, widths: Sequence[int], options: Options = Options()) -> Folding:
        shapes = [(field.triangle, *field.shape(widths)[-2:]) for field in kind.FIELDS.values() if len(field.axes) == 2]
        cells = 0 if kind.ordered else sum(height * width // (1 + half) for half, height, width in shapes)
        return cls(kind, tuple(widths), options, int(cells // max(1, sum(widths[: kind.sides]))))

    @property
    def height(self) -> int:
        """How many rows its accumulators look at together."""
        return height_of(self.widths, self.kind.cost(*self.widths).least_rows)

    def __call__(self) -> Any:
        return self.kind.accumulator(*self.widths, options=self.options)

    def accepts(self, blocks: Sequence[np.ndarray], weights: Iterable[Vector]) -> bool:
        """Return whether rows can wait to be folded: none is refused, and files can hold them as they are."""
        if any(block.dtype.itemsize > 8 for block in blocks):  # long double
            return False
        try:
            for each in weights:
                each is None or checked(each)
            if not all(map(all_finite, blocks)):
                self.options.missing([widen(block) for block in blocks], self.options.inf)
        except CovdistError:
            return False
        return True


def plainly(block: np.ndarray) -> np.ndarray:
    """Return rows in a dtype of numpy's own, values unchanged: bfloat16 as float32."""
    return widen(block) if block.dtype.isbuiltin == 2 else block


@dataclass(frozen=True, eq=False)
class FewRows:
    """Rows as they came, by group in ascending order of the codes, and within one in the order in which they came."""

    folding: Folding
    by: np.ndarray  # the group code of each row
    blocks: tuple[np.ndarray, ...]  # (rows, columns), one a side
    vectors: Mapping[str, np.ndarray]  # weights, one a row
    _workspaces: Workspaces = field(default_factory=Workspaces, repr=False)

    @classmethod
    def of(cls, folding: Folding, by: np.ndarray, blocks: Sequence[np.ndarray], vectors: Mapping[str, Any]) -> FewRows:
        """Sort rows by group; those of no group are left out."""
        order = _order(by)
        order = order[np.searchsorted(by[order], 0) :]
        given = {name: vector[order] for name, vector in vectors.items() if vector is not None}
        return cls(folding, by[order].astype(np.int64), tuple(_taken(block, order) for block in blocks), given)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the folding, by name; ``FewRows.of_arrays`` returns the same again."""
        rows = {f"rows_{side}": block for side, block in enumerate(self.blocks)}
        return {"by": self.by, **rows, **self.vectors}

    @classmethod
    def of_arrays(cls, folding: Folding, arrays: Mapping[str, np.ndarray]) -> FewRows:
        vectors = dict(arrays)
        by, blocks = vectors.pop("by"), [vectors.pop(f"rows_{side}") for side in range(folding.kind.sides)]
        if any(len(each) != len(by) for each in (*blocks, *vectors.values())):
            raise ValueError(f"{len(by)} group codes for {[len(each) for each in (*blocks, *vectors.values())]} rows")
        return cls(folding, by, tuple(blocks), vectors)

    @classmethod
    def none(cls, folding: Folding) -> FewRows:
        blocks = tuple(np.empty((0, width)) for width in folding.widths[: folding.kind.sides])
        return cls(folding, np.empty(0, np.int64), blocks, {})

    def __len__(self) -> int:
        return len(self.by)

    @cached_property
    def _runs(self) -> dict[int, slice]:
        codes, starts = np.unique(self.by, return_index=True)
        stops = np.append(starts, len(self.by))[1:]
        runs = zip(starts.tolist(), stops.tolist(), strict=True)
        return dict(zip(codes.tolist(), (slice(*run) for run in runs), strict=True))

    def codes(self) -> list[int]:
        return list(self._runs)

    def sizes(self) -> np.ndarray:
        """Return how many rows each group has, in the order of the codes."""
        return np.array([run.stop - run.start for run in self._runs.values()], np.int64)

    def many(self, folded: Collection[int]) -> list[int]:
        """Return the codes of those ``folded`` elsewhere, and of those that have more than few rows."""
        few = self.folding.few
        return [code for code, run in self._runs.items() if code in folded or run.stop - run.start >= few]

    def state(self, code: int) -> Any:
        return self._folded(self._runs[code])

    def whole(self) -> Any:
        """Return the state of all rows."""
        return self._folded(slice(None))

    def _folded(self, rows: slice) -> Any:
        accumulator = self.folding()
        accumulator.workspace = self._workspaces.take()
        accumulator.add(*(block[rows] for block in self.blocks), **{name: v[rows] for name, v in self.vectors.items()})
        self._workspaces.give_back(accumulator.workspace)
        return accumulator.state()

    def states(self, codes: Sequence[int]) -> dict[int, Any]:
        """Return the states of some groups, folded by the threads at hand."""

        def folded(some: Iterable[int]) -> dict[int, Any]:
            return {code: self.state(code) for code in some}

        with single_thread():
            return {
                code: state
                for found in shared(folded, codes, sum(block.size for block in self.blocks))
                for code, state in found.items()
            }

    def alike(self, other: FewRows) -> bool:
        """Return whether rows of both can be kept together."""
        mine, others = (
            (each.folding, [block.dtype for block in each.blocks], each.vectors.keys()) for each in (self, other)
        )
        return not len(self) or not len(other) or mine == others

    def joined(self, other: FewRows) -> FewRows:
        """Return the rows of both, which are alike."""
        if not len(self) or not len(other):
            return self if len(self) else other
        blocks = [np.concatenate(pair) for pair in zip(self.blocks, other.blocks, strict=True)]
        vectors = {name: np.concatenate([vector, other.vectors[name]]) for name, vector in self.vectors.items()}
        return FewRows.of(self.folding, np.concatenate([self.by, other.by]), blocks, vectors)

    def recoded(self, codes: np.ndarray) -> FewRows:
        """Return the same rows under the codes ``codes[code]``; those where it is negative are left out."""
        return FewRows.of(self.folding, codes[self.by], self.blocks, self.vectors)

    def gathered(self, groups: Mapping[int, Sequence[int]]) -> FewRows:
        """Return under each code the rows of some groups, in their order; a group's may come under several."""
        runs, order = self._runs, np.arange(len(self))
        rows = {code: [order[runs[each]] for each in some if each in runs] for code, some in groups.items()}
        by = np.repeat(list(rows), [sum(map(len, parts)) for parts in rows.values()])
        taken = np.concatenate([order[:0], *(part for parts in rows.values() for part in parts)])
        vectors = {name: vector[taken] for name, vector in self.vectors.items()}
        return FewRows.of(self.folding, by.astype(np.int64), [block[taken] for block in self.blocks], vectors)

    def without(self, codes: Collection[int]) -> FewRows:
        """Return the rows of other groups."""
        kept = ~np.isin(self.by, list(codes))
        vectors = {name: vector[kept] for name, vector in self.vectors.items()}
        return FewRows(self.folding, self.by[kept], tuple(block[kept] for block in self.blocks), vectors)


def _order(by: np.ndarray) -> np.ndarray:
    """Return the places of codes in ascending order; numpy counts those of 16 bits, in a tenth of the time."""
    short = np.iinfo(np.int16)
    narrow = by.astype(np.int16) if by.max(initial=0) <= short.max and by.min(initial=0) >= short.min else by
    return np.argsort(narrow, kind="stable")


def _taken(block: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return rows in another order, copied by the threads at hand."""
    found = np.empty((len(order), *block.shape[1:]), block.dtype)

    def take(starts: Iterable[int]) -> None:
        for start in starts:
            part = slice(start, start + _TAKEN)
            block.take(order[part], axis=0, out=found[part], mode="clip")  # the others copy once more

    shared(take, range(0, len(order), _TAKEN), found.size)
    return found

"""``Together``: several states of the same rows, folded in one pass over the same deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from covdist.errors import DataError, MergeError
from covdist.kernel.library import NONE
from covdist.numerics.accumulator import Cost, Counted, Options, RowsAccumulator, finish_one, finish_two
from covdist.numerics.columns import Columns
from covdist.numerics.segments import OpenProduct, Product, Segments, is_kernel_product
from covdist.numerics.shifted_columns import Deviations, ShiftedColumns
from covdist.state.base import ColumnState, Fields
from covdist.state.named import Named, state_type


@dataclass(frozen=True)
class Together:
    """The type of states side by side, all of x, or all of x and y.

    Rows are screened once and shifted once for all of them. A combined state has the answers of all its parts.
    """

    states: tuple[Any, ...]  # types, each of which sums products of deviations
    name: ClassVar[str] = "together"
    BY_OPTION: ClassVar[bool] = True
    ordered: ClassVar[bool] = False

    def __init__(self, states: Sequence[Named]):
        types = tuple(state_type(each) for each in states)
        if len({kind.sides for kind in types}) != 1:
            found = ", ".join(kind.name for kind in types) or "none"
            raise DataError(f"states together are all of x, or all of x and y, found {found}: leave some out")
        apart = [kind.name for kind in types if not hasattr(kind, "product")]
        if apart:
            raise DataError(f"{', '.join(apart)} cannot be folded together with others: fold it by itself")
        object.__setattr__(self, "states", types)

    @property
    def sides(self) -> int:
        """Those of each part."""
        return int(self.states[0].sides)

    @property
    def FIELDS(self) -> Fields:
        """Those of all parts; equal names hold equal values."""
        fields: dict[str, Any] = {}
        for number, kind in enumerate(self.states):
            for name, field in kind.FIELDS.items():
                path, *also = (f"parts.{number}.{path}" for path in (field.path, *field.also))
                if name in fields:
                    fields[name] = fields[name]._replace(also=(*fields[name].also, path, *also))
                else:
                    fields[name] = field._replace(path=path, also=tuple(also))
        return fields

    def empty(self, *widths: int) -> Combined:
        return Combined(tuple(kind.empty(*widths) for kind in self.states))

    def accumulator(self, *widths: int, options: Options = Options()) -> RowsAccumulator:
        products = [kind.product(*widths, options) for kind in self.states]
        folds = [(slice(None), Segments(widths, _Products(products), partial(self.empty, *widths)))]
        return RowsAccumulator(widths, self.cost(*widths).least_rows, folds, _finish, options)

    def cost(self, *widths: int) -> Cost:
        costs = [kind.cost(*widths) for kind in self.states]
        state_bytes, row_flops, least_rows, tile_columns, merged_bytes = zip(*costs, strict=True)
        return Cost(sum(state_bytes), sum(row_flops), max(least_rows), max(tile_columns), sum(merged_bytes))


class Combined(NamedTuple):
    """States of the same rows."""

    parts: tuple[Any, ...]

    def merge(self, other: Combined) -> Combined:
        if list(map(type, self.parts)) != list(map(type, other.parts)):
            raise MergeError(f"cannot merge {self} with {other}: both must hold the same states")
        return Combined(tuple(a.merge(b) for a, b in zip(self.parts, other.parts, strict=True)))

    def side(self, number: int) -> ColumnState:
        return self.parts[0].side(number)

    def __getattr__(self, answer: str) -> Any:
        if not answer.startswith("_"):
            for part in self.parts:
                if hasattr(type(part), answer):
                    return getattr(part, answer)
        raise AttributeError(answer)

    def __repr__(self) -> str:
        return f"states of {', '.join(type(part).__name__ for part in self.parts)}"


@dataclass
class _Products:
    each: Sequence[Product]

    def add(self, sides: Sequence[Deviations]) -> None:
        for product in self.each:
            product.add(sides)

    def open(self) -> OpenProduct | None:
        opened = [product.open() if is_kernel_product(product) else None for product in self.each]
        kept = [each for each in opened if each is None or each.kept != NONE]
        return kept[0] if len(kept) == 1 else None if kept else opened[0]

    def close(self, shifted: Sequence[ShiftedColumns], columns: Sequence[Columns]) -> Combined:
        return Combined(tuple(product.close(shifted, columns) for product in self.each))


def _finish(counted: Counted, states: list[Combined]) -> Combined:
    finish = finish_one if len(counted.censuses) == 1 else finish_two
    return Combined(tuple(finish(counted, [part]) for part in states[0].parts))

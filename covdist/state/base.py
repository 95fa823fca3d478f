"""The states, and how their fields are read, rebuilt and scaled.

A *state* is all that is kept of some rows: a small, immutable tuple of numbers and float64 arrays. The state of all
rows comes of the states of parts by ``merge``. For every state

- ``merge`` is pure, and ``empty`` is its identity, bit for bit, from the left and from the right;
- rows cut anywhere (empty pieces included) and merged give the same up to rounding; in any order, unless the type is
  ``ordered``: then neighbours merge, the earlier rows on the left;
- states of other widths, or of other parameters, refuse to merge with a MergeError that names both;
- what must survive a tree of merges (rows left out, zeros, special values) is a field.

tests/state/test_laws.py holds each type that stands in this folder to these laws.

A *state type* makes states. A type without parameters is the class of its states; one with parameters is an instance of
a frozen dataclass with the same attributes, such as ``Lagged(lag=3)``. What a state can answer (``covariance``,
``variance``, ...) are methods: a state that cannot answer lacks the method.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import Any, Literal, NamedTuple, Protocol, Self, cast

import numpy as np

from covdist.numerics import packed
from covdist.numerics.accumulator import Cost, Options, RowsAccumulator, finish_one, finish_two
from covdist.numerics.columns import NO_EXPONENT, common_unit
from covdist.numerics.filled_block import Block
from covdist.numerics.segments import BlockFold, Segments
from covdist.numerics.weights import Vector, unit_of

# What a field tells of: of values, as far as they weigh something; of all rows, whatever they weigh; of the weights
# themselves, which stay when all rows lie at the mean; or of the power of two in which weights count.
Subject = Literal["values", "all rows", "weights", "weight unit"]


class Field(NamedTuple):
    """One number or array of a state, as it is labelled and written."""

    path: str  # attributes that lead to it, such as "columns.mean"
    axes: tuple[int, ...] = ()  # 0: the columns of x; 1: those of y, or of x again where there is no y; 2, 3: again
    dtype: type = np.float64
    of: Subject = "values"
    extensive: int = 0  # the power of a common factor of all weights that the value grows with; 0 where it does not
    triangle: bool = False  # kept as one triangle of a symmetric matrix, see ``covdist.numerics.packed``
    also: tuple[str, ...] = ()  # further paths that hold the same value
    leading: tuple[str, int] | None = None  # name and length of an axis of its own, before the others
    default: int | None = None  # of a field that is only written where it says something else
    least: float = -math.inf  # of the values; of those of a triangle on the diagonal
    most: float = math.inf  # where it is finite, no value is NaN

    def shape(self, widths: Sequence[int]) -> tuple[int, ...]:
        """Return the shape for so many columns a side."""
        leading = () if self.leading is None else self.leading[1:]
        return *leading, *(widths[min(axis % 2, len(widths) - 1)] for axis in self.axes)

    def holds(self, values: np.ndarray) -> bool:
        """Return whether values, also those of several states along a first axis, are such as a state has."""
        if self.triangle:
            values = np.diagonal(values, axis1=-2, axis2=-1)
        if self.most < math.inf and values.size:
            return bool(self.least <= values.min() and values.max() <= self.most)
        return self.least == -math.inf or not (values < self.least).any()


Fields = Mapping[str, Field]


class State(Protocol):
    """Immutable and mergeable; answers are further methods."""

    def merge(self, other: Self, /) -> Self: ...  # the state of the rows of both
    def side(self, number: int, /) -> ColumnState: ...  # of single columns of x (0) or y (1)


class ColumnState(State, Protocol):
    """A state that answers for single columns; arrays have the shape (columns,)."""

    def rows(self) -> np.ndarray: ...  # that hold a value, int64
    def zeros(self) -> np.ndarray: ...  # how many values are zero, int64
    def mean(self) -> np.ndarray: ...  # NaN where there is no value
    def mean_low(self) -> np.ndarray: ...  # what the float64 of the mean leaves out, about 16 more digits
    def variance(self, ddof: float) -> np.ndarray: ...  # DataError where ``ddof`` leaves nothing to divide by
    def deviation(self, ddof: float) -> np.ndarray: ...  # standard deviation, right also where variances underflow


class Accumulator(Protocol):
    """Folds blocks of rows, one a side, in place; mutable, lives inside one task."""

    least_rows: int

    def add(self, *blocks: Block, frequency: Vector = None, reliability: Vector = None) -> None: ...
    def state(self) -> State: ...  # of all rows so far


class StateType(Protocol):
    """Makes states of so many columns a side."""

    @property
    def name(self) -> str: ...  # in files, messages and on the command line
    @property
    def sides(self) -> int: ...  # 1: x; 2: x and y
    @property
    def ordered(self) -> bool: ...  # whether merging needs the order of the rows
    @property
    def FIELDS(self) -> Fields: ...  # by the names that labelled arrays and files have

    # ``*widths: int``, the columns of each side; mypy takes no other signature for one that states narrow.
    def empty(self, *widths: Any, **none: Any) -> State: ...  # the state of no rows, the identity of ``merge``
    def accumulator(self, *widths: Any, **options: Any) -> Accumulator: ...
    def cost(self, *widths: Any, **none: Any) -> Cost: ...  # of folding, for the plan


Described = dict[Literal["of", "least", "most"], Any]
ALL_ROWS: Described = {"of": "all rows", "least": 0}
WEIGHTS: Described = {"of": "weights", "least": 0.0, "most": sys.float_info.max}
UNITS: Described = {"least": 2 * NO_EXPONENT, "most": 1200}  # exponents of two near those of values, or of no value

SCALARS: Fields = {
    "count": Field("rows", (), np.int64, **ALL_ROWS),
    "skipped": Field("skipped", (), np.int64, **ALL_ROWS),
    "weight": Field("weight", (), np.float64, extensive=1, **WEIGHTS),
    "weight2": Field("weight2", (), np.float64, extensive=2, **WEIGHTS),
    "weight_unit": Field("weight_unit", (), np.int64, "weight unit", default=0, least=-(2**31), most=2**31),
}
_VECTORS: Fields = {
    "mean": Field("mean"),
    "mean_low": Field("mean_low"),
    "squares": Field("squares", extensive=1, least=0),
    "exponent": Field("exponent", dtype=np.int64, **UNITS),
    **{name: Field(f"census.{name}", dtype=np.int64, **ALL_ROWS) for name in ("zeros", "subnormals", "nans", "infs")},
}


def column_fields(sides: int = 1, count: str = "count") -> Fields:
    """Return the fields of ``columns``, and with two sides of ``columns_y``; ``count`` names that of the rows."""
    fields = {}
    for name, field in SCALARS.items():
        also = (f"columns_y.{field.path}",) if sides == 2 else ()
        fields[count if name == "count" else name] = field._replace(path=f"columns.{field.path}", also=also)
    for side, suffix in enumerate(("", "_y")[:sides]):
        for name, field in _VECTORS.items():
            fields[name + suffix] = field._replace(path=f"columns{suffix}.{field.path}", axes=(side,))
    return fields


def segments(kind: Any, *widths: int, options: Options) -> Segments:
    """Return what folds blocks into states of a type that has a ``product``."""
    return Segments(widths, kind.product(*widths, options), partial(kind.empty, *widths))


def fold_whole(fold: BlockFold, widths: Sequence[int], least_rows: int, options: Options) -> RowsAccumulator:
    """Return the accumulator of a state whose columns are folded together."""
    finish = finish_one if len(widths) == 1 else finish_two
    return RowsAccumulator(widths, least_rows, [(slice(None), fold)], finish, options)


# ---- fields of states


def get(state: State, path: str) -> Any:
    """Follow a path of attributes; a number is the place in a tuple."""
    return _getter(path)(state)


@cache
def _getter(path: str) -> Callable[[Any], Any]:
    return partial(_followed, path.split(".")) if any(map(str.isdigit, path.split("."))) else attrgetter(path)


def _followed(names: Sequence[str], found: Any) -> Any:
    for name in names:
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def stacked(kind: StateType, states: Sequence[State]) -> Any:
    """Return one state whose arrays have those of several states of the same widths along a first axis of their own.

    Numbers in which all agree stay what they are.
    """
    values: dict[str, Any] = {}
    for field in kind.FIELDS.values():
        for path in (field.path, *field.also):
            found = [get(state, path) for state in states]
            if not (field.axes or field.leading):
                values[path] = found[0] if found.count(found[0]) == len(found) else np.array(found)
            else:
                values[path] = np.asarray(found[0])[None] if len(found) == 1 else np.array(found)
    return _replaced(states[0], values)


def unstacked(stack: Any, number: int | np.ndarray) -> Any:
    """Return one of the states in a stack; of several numbers those in a stack of their own."""
    if isinstance(stack, np.ndarray):
        return stack[number]
    if not isinstance(stack, tuple):
        return stack
    parts = [unstacked(part, number) for part in stack]
    return type(stack)(*parts) if hasattr(stack, "_fields") else tuple(parts)


def numbers(kind: StateType, state: State) -> tuple[Any, ...]:
    """Return the fields of a state that are single numbers."""
    return tuple(get(state, field.path) for field in kind.FIELDS.values() if not (field.axes or field.leading))


def field_value(state: State, field: Field, rows: slice = slice(None)) -> np.ndarray:
    """Return a field; of a matrix some rows. Of a ``stacked`` state, those of all, with all rows."""
    value = get(state, field.path)
    if field.triangle:
        size = packed.order(value)
        return packed.rows(value, size, *rows.indices(size)[:2])
    return np.asarray(value)[rows] if len(field.axes) == 2 else np.asarray(value)


def stored_bytes(kind: StateType, widths: Sequence[int]) -> int:
    """Return the bytes of a state's fields in a file, where matrices are square."""
    return _stored_bytes(cast(Hashable, kind), tuple(widths))


@lru_cache(maxsize=1024)
def _stored_bytes(kind: Any, widths: tuple[int, ...]) -> int:
    return 8 * sum(math.prod(field.shape(widths)) for field in kind.FIELDS.values() if field.default is None)


def rebuilt(kind: StateType, widths: Sequence[int], arrays: Mapping[str, np.ndarray]) -> State:
    """Return the state whose fields are ``arrays``."""
    values: dict[str, Any] = {}
    for name, field in kind.FIELDS.items():
        shape, given = field.shape(widths), arrays.get(name)
        value: Any = np.full(shape, field.default) if given is None else np.reshape(given, shape)
        value = np.asarray(value, field.dtype)
        if field.triangle:
            value = packed.pack(value)
        elif value.ndim == 0:
            value = value.item()
        values |= dict.fromkeys((field.path, *field.also), value)
    return _replaced(kind.empty(*widths), values)


def scaled(kind: StateType, state: State, factor: float) -> State:
    """Return the state of the same rows with all weights times ``factor``."""
    if factor == 0.0:
        return _weightless(kind, state)
    power = unit_of(factor)
    near_one = math.ldexp(factor, -power)
    values: dict[str, Any] = {}
    for field in kind.FIELDS.values():
        for path in (field.path, *field.also):
            if field.extensive:
                values[path] = get(state, path) * near_one**field.extensive
            elif field.of == "weight unit":
                values[path] = get(state, path) + power
    return _replaced(state, values)


def _weightless(kind: StateType, state: State) -> State:
    """Return the state of as many rows that weigh nothing, which some types neither count nor keep."""
    fields = [field for field in kind.FIELDS.values() if field.of == "all rows"]
    paths = [path for field in fields for path in (field.path, *field.also)]
    empty = kind.empty(*(len(state.side(number).rows()) for number in range(kind.sides)))
    return cast(State, _replaced(empty, {path: get(state, path) for path in paths}))


def without_spread(state: Any) -> Any:
    """Return the state of as many rows, all at the mean."""
    if (parts := getattr(state, "parts", None)) is not None:  # of states together
        return state._replace(parts=tuple(map(without_spread, parts)))
    paths = [field.path for field in state.FIELDS.values() if field.extensive and field.of == "values"]
    return _replaced(state, {path: get(state, path) * 0.0 for path in paths})


def in_one_unit(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two states of a type with weights counted in one unit, as merging takes them."""
    unit = common_unit(a.columns, b.columns)
    return _within(a, unit), _within(b, unit)


def _within(state: Any, unit: int) -> Any:
    if (shift := state.columns.weight_unit - unit) == 0:
        return state
    values: dict[str, Any] = {}
    for field in state.FIELDS.values():
        for path in (field.path, *field.also):
            if field.extensive:
                values[path] = np.ldexp(get(state, path), shift * field.extensive)
            elif field.of == "weight unit":
                values[path] = unit
    return _replaced(state, values)


def _replaced(state: Any, values: Mapping[str, Any]) -> Any:
    """Return a nested tuple with other values at some paths."""
    inner: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for path, value in values.items():
        head, _, rest = path.partition(".")
        inner[head][rest] = value
    changed = {head: below[""] if "" in below else _replaced(get(state, head), below) for head, below in inner.items()}
    if type(state) is tuple:
        return tuple(changed.get(str(place), value) for place, value in enumerate(state))
    return state._replace(**changed)


# ---- answers


def of_no_columns(kind: StateType) -> State:
    """Return a state that shows which answers those of a type have."""
    return kind.empty(*(0,) * kind.sides)


def can_answer(kind: StateType, answer: str) -> bool:
    """Return whether states of a type have an answer."""
    held: Any = kind  # every type is hashable
    return _can_answer(held, answer)


@cache
def _can_answer(kind: Any, answer: str) -> bool:
    return callable(getattr(of_no_columns(kind), answer, None))


def ask(state: State, answer: str, *arguments: Any) -> Any:
    """Return a state's answer; a function, so that it travels to workers."""
    return getattr(state, answer)(*arguments)


def ask_rows(state: State, rows: slice, answer: str, *arguments: Any) -> Any:
    """Return some rows of a matrix that a state answers with."""
    return getattr(state, answer)(rows, *arguments)


def of_columns(state: State, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function says of the state of single columns of x."""
    return function(state.side(0), *arguments)


def merged(a: State, b: State) -> State:
    """Return the state of the rows of both; a function, so that it travels to workers."""
    return a.merge(b)

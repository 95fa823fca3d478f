"""Answers of many groups at once, without an object for each: of few rows, or of states in a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from covdist.errors import DataError
from covdist.kernel.groups import Runs, fold_columns, fold_matrices, matrices_of
from covdist.kernel.library import compiled
from covdist.numerics.columns import Columns, divisor
from covdist.numerics.ordinary import moments_of, runs_of
from covdist.state.base import ask, ask_rows, get, of_columns
from covdist.state.few_rows import FewRows
from covdist.state.grouped import Grouped
from covdist.state.named import stackable
from covdist.state.stacked import Stacked
from covdist.state.variances import Variances

_OF_COLUMNS = {field.path for field in Variances.FIELDS.values()}  # what single columns tell, matrices aside
Answers = tuple[np.ndarray, list[int]]  # one for each code, and the codes of those that are still to be asked


def answers(
    state: Grouped, shape: tuple[int, ...], function: Callable[..., Any], arguments: Sequence[Any]
) -> Answers | None:
    """Return what ``function(state, *arguments)`` does for each code; None where groups are asked one by one."""
    if (source := _source(state)) is None:
        return None
    if function is ask_rows and arguments[0] == slice(0, shape[-1]) and arguments[1] in ("covariance", "correlation"):
        found = np.empty(shape)
        return found, _left(shape, source.matrices(found, *arguments[2:]))
    if (function is of_columns and arguments[0] is ask) or (function is get and arguments[0] in _OF_COLUMNS):
        return _of_columns(source, shape, function, arguments)
    return None


def _source(state: Grouped) -> _OfRows | _OfStates | None:
    if isinstance(state.folded, Stacked):
        return _OfStates(state.folded) if compiled() else None
    few = state.few
    if few is None or not len(few) or few.vectors or few.folding.options.precision != "high":
        return None
    block, sizes = few.blocks[0], few.sizes()
    offsets = (np.cumsum(sizes) - sizes) * block.strides[0]
    runs = runs_of(block, offsets, sizes, block.shape[1], few.folding.height)
    return _OfRows(few, runs) if runs is not None and stackable(few.folding.kind) else None


class _OfRows:
    """Groups of few rows, each folded straight into its answer."""

    def __init__(self, few: FewRows, runs: Runs):
        self._codes, self._runs = np.array(few.codes()), runs

    def matrices(self, found: np.ndarray, ddof: float | None = None) -> np.ndarray:
        """Write covariances, or correlations where there is no ``ddof``; return the codes of which they are right."""
        runs, codes = self._runs, self._codes
        divisors = np.full(len(codes), np.nan)
        if ddof is not None:
            divisors = runs.rows - ddof * runs.rows / runs.rows
            some = divisors > 0  # others have none, as each says when it is asked
            runs, divisors, codes = runs.some(some), divisors[some], codes[some]
        return codes[fold_matrices(runs, divisors, found, codes).ordinary]

    def columns(self) -> Iterator[tuple[np.ndarray, Columns]]:
        """Yield codes, and their columns' moments along a first axis: those of as many rows have the same weights."""
        folded = fold_columns(self._runs)
        for rows in np.unique(self._runs.rows[folded.ordinary]).tolist():
            which = (self._runs.rows == rows) & folded.ordinary
            yield self._codes[which], moments_of(folded, which, rows)


class _OfStates:
    """States in a stack; its methods are those of ``_OfRows``."""

    def __init__(self, stack: Stacked):
        self._stack = stack

    def matrices(self, found: np.ndarray, ddof: float | None = None) -> np.ndarray:
        state, codes = self._stack.together, self._stack.codes
        columns: Columns = state.columns
        try:
            divisors = np.full(len(codes), np.nan if ddof is None else divisor(columns, ddof))
        except DataError:
            return codes[:0]
        matrices_of(state.triangle, columns.squares, divisors, found, codes)
        return codes if ddof is None else codes[~columns.exponent.any(axis=-1)]

    def columns(self) -> Iterator[tuple[np.ndarray, Columns]]:
        yield self._stack.codes, self._stack.together.columns


def _of_columns(
    source: _OfRows | _OfStates, shape: tuple[int, ...], function: Callable[..., Any], arguments: Sequence[Any]
) -> Answers | None:
    parts = []
    for codes, columns in source.columns():
        with suppress(DataError):
            parts.append((codes, np.asarray(function(Variances(columns), *arguments))))
    if not parts:
        return None
    found = np.empty(shape, parts[0][1].dtype)
    for codes, part in parts:
        found[codes] = part
    return found, _left(shape, np.concatenate([codes for codes, _ in parts]))


def _left(shape: tuple[int, ...], answered: np.ndarray) -> list[int]:
    codes: list[int] = np.setdiff1d(np.arange(shape[0]), answered).tolist()
    return codes

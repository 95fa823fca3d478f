"""``Pair``: two states of the same columns, side by side, as a reading of both asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from covdist.errors import DataError
from covdist.folding.grouping import BLOCK
from covdist.numerics.matrices.gaussians import Gaussians, step_between
from covdist.readings.estimates.shrink import asking_for, estimate_of
from covdist.readings.rows.whiten import check_method
from covdist.results.deferred import Deferred, Function, apply
from covdist.results.labels import Attrs, Axis, Groups
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.results.reading import check_moments
from covdist.state.grouped import Grouped


class Beside(NamedTuple):
    """States side by side; those without groups stand beside each group of the others."""

    states: tuple[Any, ...]

    def group(self, code: int) -> Beside:
        return Beside(tuple(each.group(code) if isinstance(each, Grouped) else each for each in self.states))

    @property
    def folded(self) -> dict[int, Any]:
        """No states that could answer at once: groups are asked one by one."""
        return {}

    @property
    def few(self) -> None:
        """No rows that could be folded at once."""

    @property
    def inner(self) -> Any:
        return next(each.inner for each in self.states if isinstance(each, Grouped))


class Pair(NamedTuple):
    """Two states, or the promise of them, and their names."""

    axis: Axis  # their columns
    deferred: Deferred  # of ``Beside``

    @classmethod
    def of(cls, m_a: Moments, m_b: Moments, what: str, shrink: str | None = None) -> Pair:
        """Bring two states with a matrix together; DataError where they are not of the same columns and groups."""
        check_method(shrink)
        for each in (m_a, m_b):
            check_moments(each, what)
            asking_for(each, shrink)
        return cls.of_any(m_a, m_b, what)

    @classmethod
    def of_any(cls, m_a: Moments, m_b: Moments, what: str) -> Pair:
        """Bring two states of any kind together; DataError where they are not of the same columns and groups."""
        for each in (m_a, m_b):
            check_moments(each, what)
        check_columns(m_a.layout, m_b.layout, what)
        groups = common_groups(m_a.layout, m_b.layout, what)
        parts = [_whole(each.deferred) for each in (m_a, m_b)]
        return cls(m_a.layout.axes[0], Deferred((apply(beside, *parts),), m_a.layout.widths, groups))

    def read(
        self, function: Function, axes: Sequence[Axis], *arguments: object, name: str, attrs: Attrs = None
    ) -> xr.DataArray:
        """Label what ``function(beside, *arguments)`` returns, once a group; NaN for a group that has no answer."""
        return self.deferred.read(function, axes, *arguments, name=name, attrs=attrs)


def _whole(state: Deferred) -> Any:
    """Return one state, or the promise of one, of all columns."""
    if len(state.parts) == 1:
        return state.parts[0]
    return apply(partial(_joined, widths=state.widths), *state.parts)


def _joined(*parts: Any, widths: tuple[int, ...]) -> object:
    return Deferred(parts, widths).joined()


def beside(*states: Any) -> Beside:
    return Beside(states)


def gaussians(both: Beside, ddof: float, shrink: str | None = None) -> Gaussians:
    """Return the Gaussians that have the means and covariances of two states."""
    a, b = (each.side(0) for each in both.states)
    covariances = (estimate_of(each, ddof, shrink) for each in both.states)
    return Gaussians(step_between((a.mean(), a.mean_low()), (b.mean(), b.mean_low())), *covariances)


def answer_of(both: Beside, answer: str, ddof: float, shrink: str | None = None) -> np.ndarray:
    return np.asarray(getattr(gaussians(both, ddof, shrink), answer)())


def check_columns(a: Layout, b: Layout, what: str) -> None:
    advice = "fold the same columns of both, under the same names"
    if [(axis.dim, axis.size) for axis in a.axes] != [(axis.dim, axis.size) for axis in b.axes]:
        first, second = (" × ".join(map(str, each.axes)) for each in (a, b))
        raise DataError(f"{what} takes two states of the same columns, m_a is of {first} and m_b of {second}: {advice}")
    for axis, other in zip(a.axes, b.axes, strict=True):
        for name in axis.coords.keys() & other.coords.keys():
            _check_labels(name, axis.coords[name], other.coords[name], f"{advice}, in the same order", what)


def _check_labels(name: str, mine: np.ndarray, others: np.ndarray, advice: str, what: str) -> None:
    differ = (mine != others) & ~((mine != mine) & (others != others))  # NaN names what NaN does
    if np.any(differ):
        place = int(np.argmax(differ))
        raise DataError(
            f"{what} takes two states of the same columns, but along {name!r} m_a has {mine[place]} where m_b has "
            f"{others[place]}: {advice}"
        )


def common_groups(a: Layout, b: Layout, what: str, named: tuple[str, str] = ("m_a", "m_b")) -> Groups | None:
    """Return the groups of both, or of the one that has some; DataError where both have others."""
    if a.groups is None or b.groups is None:
        return a.groups or b.groups
    if not a.groups.same(b.groups):
        raise DataError(
            f"{what} takes the same groups of both, {named[0]} has {a.groups.size} {a.grouped()} and {named[1]} "
            f"{b.groups.size} {b.grouped()}: choose one by m.sel(...), or join them by m.merge({b.groups.dim!r})"
        )
    return a.groups


def has_blocks(m: Moments) -> bool:
    groups = m.layout.groups
    return groups is not None and BLOCK in (groups.levels or (groups.dim,))


def figures(
    pair: Pair, function: Function, about: Mapping[str, str], *arguments: object, **attrs: object
) -> xr.Dataset:
    """Return the numbers that ``function(beside, *arguments)`` gives for each name in ``about``, with their meaning."""
    field = Axis("field", len(about))
    found = pair.read(function, [field], *arguments, name="figures")
    arrays = {
        name: found.isel(field=place).rename(name).assign_attrs(long_name=long_name, units="1")
        for place, (name, long_name) in enumerate(about.items())
    }
    return xr.Dataset(arrays, attrs=attrs)

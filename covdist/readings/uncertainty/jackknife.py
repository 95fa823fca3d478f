"""Standard error, bias and confidence interval of any reading, by leaving out one block of rows after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from covdist.errors import DataError, MergeError, shown
from covdist.folding.grouping import BLOCK
from covdist.readings.windows.rolling import HELD, all_but_each
from covdist.results.deferred import Deferred
from covdist.results.labels import Groups
from covdist.results.layout import Layout
from covdist.results.moments import Moments
from covdist.results.reading import reading
from covdist.state.grouped import Grouped

_PARTS = {
    "value": "{}", "error": "standard error of {}", "bias": "bias of {}", "lower": "lower limit of {}",
    "upper": "upper limit of {}",
}  # fmt: skip
_UNITS = 600  # subnormals times 2.0**600 have squares, and steps of 1 beside them too
Reading = str | Callable[[Moments], xr.DataArray | xr.Dataset]


@reading
def jackknife(
    m: Moments, /, reading: Reading, *arguments: Any, level: float = 0.95, dim: str = BLOCK, **options: Any
) -> xr.Dataset:
    """Value, standard error, bias and confidence interval of a reading, by delete-one-block jackknife.

    Parameters
    ----------
    m : Moments
        With groups by blocks of rows, as ``covdist.moments(x, dim=..., blocks=32)`` makes them; where there are other
        groups beside them, each has its own errors.
    reading : str or callable
        A reading by its name, such as "corr", or a function of moments, such as
        ``lambda m: m.spectrum(3)["eigenvalue"]``.
    *arguments, **options
        Those of the reading, such as ``ddof=1``.
    level : float
        Of the interval, 0.95 by default.
    dim : str
        The name of the blocks: another coordinate, such as an epoch, may take their place.

    Returns
    -------
    Dataset
        float64 ``value``, that of all rows; ``error``, its standard error; ``bias``, how far it lies too high on
        average; ``lower`` and ``upper``, ``value`` ± ``error`` times Student's t of as many degrees of freedom as there
        are blocks less 1. Of a reading that gives several arrays each has these behind its name, such as
        ``eigenvalue_error``. Lazy where ``m`` is; reads no rows.

    Raises
    ------
    MergeError
        If ``m`` has no blocks, or its state depends on the order of the rows.
    DataError
        If there are fewer than two blocks, or the reading is none that gives arrays.

    Notes
    -----
    The delete-m_j jackknife of Busing, Meijer and van der Leeden (1999), Delete-m jackknife for unequal m, which is
    that of Quenouille (1956) and Tukey (1958) where blocks are of equal size. Rows may depend on each other over
    lengths that are short beside a block (Künsch 1989). Of weighted rows the weights are the sizes.

    Examples
    --------
    >>> import numpy as np, covdist
    >>> x = np.random.default_rng(0).normal(size=(3200, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    >>> found = covdist.moments(x, blocks=32).jackknife("corr")
    >>> bool(found["lower"][0, 1] < 0.6 < found["upper"][0, 1])
    True
    >>> round(float(found["error"][0, 1]), 3)  # (1 - 0.6²) / √3200 is 0.011
    0.012
    """
    check_level(level)
    layout, blocks = blocks_of(m, dim, "jackknife")
    read = partial(_read, reading=reading, arguments=arguments, options=options)
    value, weights = read(m.merge(dim)), weights_of(layout, blocks, dim)
    values = {"": value} if isinstance(value, xr.DataArray) else {str(name): each for name, each in value.items()}
    sums = {name: _LeftOut(each, weights, dim) for name, each in values.items()}
    for number, one in enumerate(_all_but_each(layout, blocks)):
        try:
            left = read(one)
        except DataError as error:  # which would be taken for one about all rows
            raise DataError(f"without the rows of {dim} {number}, {error}") from None
        for name, each in sums.items():
            each.add(number, left[name] if name else left)
    arrays = {
        f"{name}_{part}" if name else part: array
        for name, each in sums.items()
        for part, array in each.estimated(level).items()
    }
    called = value.name if isinstance(value, xr.DataArray) else getattr(reading, "__name__", reading)
    return xr.Dataset(arrays, attrs={"reading": str(called or "value"), "level": level, "blocks": len(blocks)})


read = jackknife


class _LeftOut:
    """Sums over the blocks of how far an array moves when each is left out: no more than a few arrays are held.

    Of pseudo-values value + scale · step, with scale = 1 / share - 1, differences stay exact where those would cancel;
    and steps are counted from the first one, since of a biased reading all of them are long and nearly equal.
    """

    def __init__(self, value: xr.DataArray, weights: xr.DataArray, dim: str):
        self._value, self._name = value, str(value.name or "value")
        along = [each for each in value.dims if each in weights.dims]
        weights = weights.sum([each for each in weights.dims if each != dim and each not in along])
        sizes = [weights.sizes[each] if each in along else 1 for each in value.dims]
        given: Any = weights.transpose(dim, *along).data.reshape(-1, *sizes)  # as blocks of the array's shape, or of 1
        count = (given > 0).sum(axis=0)
        self._some, self._count = (given > 0) & (count > 1), np.where(count > 1, count, np.nan)
        share = np.where(self._some, given / np.where(count > 1, given.sum(axis=0), 1.0), 0.5)
        self._rest, self._scale = np.where(self._some, 1 - share, 0.0), np.where(self._some, 1 / share - 1, 0.0)
        usual = np.where(self._some, share / (1 - share), 0.0).sum(axis=0) / self._count  # 1 / scale on average
        self._usual, self._unusual = usual, np.where(self._some, 1 - self._scale * usual, 0.0)
        self._first: Any = None
        self._unit: Any = 0  # steps count times 2**-unit, so that their squares neither vanish nor overflow
        self._sums: list[Any] = [0.0] * 4

    def add(self, number: int, left: xr.DataArray) -> None:
        """Take the array of all rows but those of a block."""
        step = _known(self._value.data) - _known(left.transpose(*self._value.dims).data)
        if self._first is None:
            self._unit = np.clip(np.frexp(np.maximum(np.abs(self._value.data), np.abs(step)))[1], -_UNITS, _UNITS)
            self._first = np.ldexp(step, -self._unit)
        step = np.ldexp(step, -self._unit)
        step = np.where(self._some[number], step - self._first, 0.0)
        scaled = step * self._scale[number]
        terms = step * self._rest[number], scaled, step * scaled, step * self._unusual[number]
        self._sums = [total + term for total, term in zip(self._sums, terms, strict=True)]

    def estimated(self, level: float) -> dict[str, xr.DataArray]:
        """Return value, error, bias and limits."""
        value, first, (moved, scaled, squared, off) = self._value.data, self._first, self._sums
        bias = -(moved + first * self._rest.sum(axis=0))
        about = first * (1 - self._rest.sum(axis=0) * self._usual) - moved * self._usual  # first + bias · usual
        total = squared + 2 * (about * scaled + bias * off) + about**2 * self._scale.sum(axis=0)
        total = total + 2 * about * bias * self._unusual.sum(axis=0)
        total = total + bias**2 * (self._unusual**2 / np.where(self._some, self._scale, 1.0)).sum(axis=0)
        bias = np.ldexp(bias + 0 * self._count, self._unit)
        error = np.ldexp(np.sqrt(np.maximum(total, 0.0) / self._count), self._unit)
        half = error * stdtrit(self._count - 1, (1 + level) / 2)
        units = {"units": self._value.attrs["units"]} if "units" in self._value.attrs else {}
        return {
            key: self._labelled(one, {"long_name": text.format(self._name), **units}).rename(key)
            for (key, text), one in zip(_PARTS.items(), (value, error, bias, value - half, value + half), strict=True)
        }

    def _labelled(self, data: Any, attrs: dict[str, str]) -> xr.DataArray:
        return xr.DataArray(data, self._value.coords, self._value.dims, attrs=attrs)


def _known(values: Any) -> Any:
    """Return NaN in place of infinity: how far it moves is unknown."""
    return np.where(np.isinf(values), np.nan, values)


def check_level(level: object) -> None:
    if not (isinstance(level, float) and 0 < level < 1):
        raise DataError(f"level={level!r} is not a share of cases: pass a number between 0 and 1, such as 0.95")


def blocks_of(m: Moments, dim: str, what: str) -> tuple[Layout, Sequence[Deferred]]:
    """Return the state of each block, with groups by what else there is, and the layout of those."""
    groups = m.layout.groups
    if groups is None or dim not in (groups.levels or (groups.dim,)):
        raise MergeError(
            f"{what} needs groups by {dim!r}, this state has {m.layout.grouped()}: fold the rows with "
            "covdist.moments(x, dim=..., blocks=32)"
        )
    m.merge(dim)  # refuses what depends on the order of rows
    if not groups.levels:
        left, takers = None, [partial(Grouped.group, code=code) for code in range(groups.size)]
    else:
        labels, own = np.unique(groups.values[dim], return_inverse=True)
        left, codes = groups.without(dim, np.ones(groups.size, bool))
        takers = [partial(Grouped.regrouped, codes=np.where(own == number, codes, -1)) for number in range(len(labels))]
    if len(takers) < 2:
        raise DataError(f"{what} needs two or more of {dim!r}, found {len(takers)}: fold the rows with more blocks")
    blocks = _BlocksInTurn(m.deferred, takers, left)
    held = m.deferred.lazy or len(blocks) <= HELD
    return replace(m.layout, groups=left), list(blocks) if held else blocks


class _BlocksInTurn(Sequence[Deferred]):
    """The states of blocks, made when they are asked for: of few rows all take more memory than their rows."""

    def __init__(self, deferred: Deferred, takers: Sequence[Callable[..., Any]], groups: Groups | None):
        self._deferred, self._takers, self._groups = deferred, takers, groups

    def __len__(self) -> int:
        return len(self._takers)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return _BlocksInTurn(self._deferred, self._takers[place], self._groups)
        return self._deferred.map(self._takers[place])._replace(groups=self._groups)


def weights_of(layout: Layout, blocks: Sequence[Deferred], dim: str) -> xr.DataArray:
    """Return the sum of the weights of each block's rows, their number where they have none."""
    return xr.concat([block.read(_weight, (), name="weight") for block in blocks], dim)


def _weight(state: Any) -> np.ndarray:
    columns = state.columns
    return np.asarray(np.ldexp(columns.weight, columns.weight_unit))


def _all_but_each(layout: Layout, blocks: Sequence[Deferred]) -> Iterator[Moments]:
    for one in all_but_each(blocks):
        yield Moments(one, layout)


def _read(m: Moments, reading: Reading, arguments: Sequence[Any], options: Any) -> Any:
    function = getattr(m, reading, None) if isinstance(reading, str) else reading
    if not callable(function):
        raise DataError(f"there is no reading {shown(repr(reading))}: pass the name of one, or a function of moments")
    found = function(*arguments, **options) if isinstance(reading, str) else function(m, *arguments, **options)
    if not isinstance(found, xr.DataArray | xr.Dataset):
        raise DataError(
            f"jackknife takes a reading that gives arrays, {shown(repr(reading))} gives a {type(found).__name__}: pass "
            "a function, such as lambda m: m.spectrum(3)['eigenvalue']"
        )
    return found.astype(np.float64)

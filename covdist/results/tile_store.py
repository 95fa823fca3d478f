"""Tiles on disk: those on and above the diagonal; the others are mirrored when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize
from dask.delayed import Delayed
from dask.typing import Key
from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from covdist.engine.bands import Band
from covdist.errors import ResultError
from covdist.numerics.columns import divisor
from covdist.numerics.correlation import correlation_of, covariance_of, own_correlations
from covdist.results.arrays import CHECKED, stored_array
from covdist.results.deferred import Deferred
from covdist.results.labels import Axis
from covdist.results.pieces import array_in_pieces
from covdist.results.store import undamaged
from covdist.state.cross import Cross
from covdist.state.variances import Tiled
from covdist.storage.kinds import of_kind

_LOST = -(2**15)  # where a chunk of exponents is not there; in older results 0, as where all of them are 0
_ABOUT = "scatter holds the tiles on and above the diagonal; the tiles below are their transposes and not stored"


def edges(columns: int, side: int) -> list[tuple[int, int]]:
    """Return where each row of tiles starts and stops."""
    return [(start, min(start + side, columns)) for start in range(0, columns, side)]


def tiles_of(band: Band, side: int) -> Iterator[tuple[int, int]]:
    """Yield the tiles of a band that lie on or above the diagonal, by row and column of tiles."""
    for i in range(band.start // side, -(-band.stop // side)):
        for j in range(max(i, band.first // side), -(-band.last // side)):
            yield i, j


def tiled(
    name: str,
    columns: int,
    side: int,
    upper: Callable[[int, int], tuple[object, ...]],
    beside: Mapping[Key, object],
    *dependencies: Delayed,
) -> da.Array:
    """Return a symmetric matrix in tiles: the task ``upper(i, j)`` makes those with i <= j; ``beside`` are others."""
    sizes = tuple(stop - start for start, stop in edges(columns, side))
    pairs = _upper(len(sizes))
    tasks: dict[Key, object] = {**beside, **{(name, i, j): upper(i, j) for i, j in pairs}}
    tasks |= {(name, j, i): (_transposed, (name, i, j)) for i, j in pairs if i != j}
    return array_in_pieces(name, tasks, (sizes, sizes), dependencies)


def _upper(rows: int) -> list[tuple[int, int]]:
    """Return the tiles on and above the diagonal."""
    return list(combinations_with_replacement(range(rows), 2))


def _transposed(tile: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tile.T)


def scatter_tile(state: Cross, band: Band, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Return a copy of a tile of a band's matrix; exactly symmetric, with the columns' squares, on the diagonal."""
    down, across = inside(rows, band.start), inside(columns, band.first)
    tile = state.rectangle[down, across].copy()
    shift = (state.columns_y.exponent - column_exponents(state, band))[across]
    if shift.any():
        tile = np.ldexp(tile, shift)
    if rows == columns:
        upper = np.triu(tile, 1)
        tile = upper + upper.T
        np.fill_diagonal(tile, state.columns.squares[down])
    return tile


def inside(ends: tuple[int, int], start: int) -> slice:
    return slice(ends[0] - start, ends[1] - start)


def covariance_tile(
    ddof: float, band: Band, rows: tuple[int, int], columns: tuple[int, int], state: Cross
) -> np.ndarray:
    """Return a tile of the covariance."""
    down = state.columns.exponent[inside(rows, band.start)]
    across = column_exponents(state, band)[inside(columns, band.first)]
    return covariance_of(scatter_tile(state, band, rows, columns), divisor(state.columns, ddof), down, across)


def correlation_tile(band: Band, rows: tuple[int, int], columns: tuple[int, int], state: Cross) -> np.ndarray:
    """Return a tile of the correlation."""
    roots, roots_y = np.sqrt(state.columns.squares), np.sqrt(state.columns_y.squares)
    roots_y = np.ldexp(roots_y, state.columns_y.exponent - column_exponents(state, band))
    across = _with_rows(roots_y, roots, band)[inside(columns, band.first)]
    return _correlation(
        scatter_tile(state, band, rows, columns), roots[inside(rows, band.start)], across, rows == columns
    )


def _correlation(tile: np.ndarray, roots: np.ndarray, roots_y: np.ndarray, on_diagonal: bool) -> np.ndarray:
    correlation_of(tile, roots, roots_y)
    if on_diagonal:
        np.fill_diagonal(tile, own_correlations(roots))
    return tile


def column_exponents(state: Cross, band: Band) -> np.ndarray:
    """Return one exponent a column of a band."""
    return _with_rows(state.columns_y.exponent, state.columns.exponent, band)


def _with_rows(across: np.ndarray, down: np.ndarray, band: Band) -> np.ndarray:
    """Return one value a column: columns that are rows too have those of the rows."""
    found = across.copy()
    own = max(band.first, band.start), min(band.last, band.stop)
    if own[0] < own[1]:
        found[inside(own, band.first)] = down[inside(own, band.start)]
    return found


def create(group: zarr.Group, bands: Sequence[Band], side: int, dims: Sequence[str]) -> None:
    """Make the arrays that ``write_band`` fills."""
    make: Callable[..., object] = partial(group.create_array, **CHECKED)
    width = bands[-1].last
    make("scatter", shape=(width, width), chunks=(side, side), dtype="f8", fill_value=np.nan, dimension_names=dims)
    bands_of = {"shape": (len(bands), width), "chunks": (1, width), "dimension_names": ["band", dims[1]]}
    make("exponents", dtype="i2", fill_value=_LOST, **bands_of)
    group.attrs[Tiled.name] = {"side": side, "bands": [list(band) for band in bands], "about": _ABOUT}


class _Begun(LocalStore):
    """A folder that is not made again, where it was removed since the result is given up."""

    async def _open(self, *, mode: object = None) -> None:
        await Store._open(self)

    async def set(self, key: str, value: Buffer) -> None:
        self.root.stat()
        await super().set(key, value)


def write_band(place: str, number: int, band: Band, side: int, state: Cross) -> None:
    """Write a band's tiles one by one, and the powers of two its columns are scaled by."""
    group = zarr.open_group(_Begun(place), mode="r+")
    # Opened again they would leave out tiles of nothing but NaN.
    scatter, exponents = (stored_array(group, name).with_config(CHECKED["config"]) for name in ("scatter", "exponents"))
    cuts = edges(scatter.shape[0], side)
    for i, j in tiles_of(band, side):
        scatter[slice(*cuts[i]), slice(*cuts[j])] = scatter_tile(state, band, cuts[i], cuts[j])
    scales = np.zeros((1, scatter.shape[0]), np.int16)
    scales[0, band.first : band.last] = column_exponents(state, band)
    scales[0, band.start : band.stop] = state.columns.exponent
    exponents[number : number + 1] = scales


class StoredTiles:
    """The matrix of a stored result."""

    def __init__(self, group: zarr.Group, columns: int):
        said: Any = of_kind(group.attrs[Tiled.name], {"side": int, "bands": [[int]]}, Tiled.name)
        self._place = str(_path(group))
        self._side, self._columns = said["side"], columns
        self._bands = [Band(*band) for band in said["bands"]]
        scatter, exponents = self._arrays(group)
        side = len(edges(self._columns, self._side))
        count = side * (side + 1) // 2
        if lost := count - scatter.nchunks_initialized:
            raise ValueError(f"scatter lacks {lost} of its {count} tiles")
        if exponents.fill_value != 0 and (lost := exponents.nchunks - exponents.nchunks_initialized):
            raise ValueError(f"exponents lacks {lost} of its {exponents.nchunks} chunks")
        if any(not 0 <= edge <= columns for band in self._bands for edge in band):  # of tiles without number
            raise ValueError(f"its bands {said['bands']} do not lie within {columns} columns")
        if {tile for band in self._bands for tile in tiles_of(band, self._side)} != set(_upper(side)):
            raise ValueError(f"its bands {said['bands']} do not cover {side} rows of tiles")

    def cov(self, columns: Deferred, ddof: float) -> da.Array:
        return self._tiles("cov", _covariance_read, np.asarray(divisor(columns.parts[0].columns, ddof)), ddof)

    def corr(self, columns: Deferred) -> da.Array:
        found = columns.parts[0].columns
        return self._tiles("corr", _correlation_read, np.stack([np.sqrt(found.squares), found.exponent]))

    def _tiles(self, name: str, read: Callable[..., np.ndarray], given: np.ndarray, *about: object) -> da.Array:
        """Return the array whose tiles ``read(rows, columns, stored, scales of the band)`` returns."""
        cuts = edges(self._columns, self._side)
        numbers = {tile: n for n, band in enumerate(self._bands) for tile in tiles_of(band, self._side)}
        with undamaged(self._place):
            name = f"{name}-{tokenize(self._place, Path(self._place).stat().st_mtime_ns, *about)}"
            scatter, exponents = self._arrays(zarr.open_group(self._place, mode="r"))
        beside: dict[Key, object] = {f"stored-{name}": _Stored(Path(self._place), scatter, exponents, given)}

        def upper(i: int, j: int) -> tuple[object, ...]:
            return partial(read, slice(*cuts[i]), slice(*cuts[j])), f"stored-{name}", (f"scales-{name}", numbers[i, j])

        beside |= {(f"scales-{name}", n): (_Stored.scales, f"stored-{name}", n) for n in range(len(self._bands))}
        return tiled(name, self._columns, self._side, upper, beside)

    def _arrays(self, group: zarr.Group) -> tuple[zarr.Array[Any], zarr.Array[Any]]:
        """Return the tiles and the exponents of a group; ValueError where they are others."""
        scatter, exponents = stored_array(group, "scatter"), stored_array(group, "exponents")
        _check(scatter, (self._columns, self._columns), (self._side, self._side), "f8")
        _check(exponents, (len(self._bands), self._columns), (1, self._columns), "i2")
        return scatter, exponents

    def written(self, columns: Deferred, axes: tuple[Axis, Axis], group: zarr.Group) -> Deferred:
        raise ResultError(f"{self._place} holds its matrix in tiles on disk: copy that folder instead of saving anew")


def _path(found: zarr.Group | zarr.Array[Any]) -> Path:
    return Path(str(found.store_path).removeprefix("file://"))


def _check(array: zarr.Array[Any], shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str) -> None:
    if (array.shape, array.chunks, array.dtype) != (shape, chunks, np.dtype(dtype)):
        found = f"{array.dtype} of shape {array.shape} in chunks of {array.chunks}"
        raise ValueError(f"{array.path} is {found}, expected {dtype} of shape {shape} in chunks of {chunks}")


@dataclass(frozen=True)
class _Stored:
    """Arrays opened once, which takes as long as reading a tile, and numbers of all columns."""

    place: Path
    scatter: zarr.Array[Any]
    exponents: zarr.Array[Any]
    columns: np.ndarray

    def scales(self, number: int) -> np.ndarray:
        """Return a band's exponents."""
        return self._chunk(self.exponents, slice(number, number + 1), slice(None))[0]

    def tile(self, down: slice, across: slice) -> np.ndarray:
        return self._chunk(self.scatter, down, across)

    def _chunk(self, array: zarr.Array[Any], *place: slice) -> np.ndarray:
        """Return what lies in one chunk; ResultError where it is lost or changed."""
        key = array.metadata.encode_chunk_key(
            tuple((each.start or 0) // size for each, size in zip(place, array.chunks, strict=True))
        )
        with undamaged(self.place):
            self.place.stat()
            if not (_path(array) / key).is_file() and array.fill_value != 0:  # zarr takes it for the fill value
                raise ValueError(f"{array.path} lacks {key}")
            return np.asarray(array[place])


def _covariance_read(down: slice, across: slice, stored: _Stored, scales: np.ndarray) -> np.ndarray:
    tile = stored.tile(down, across)
    return covariance_of(tile, float(stored.columns), scales[down].astype(np.int64), scales[across].astype(np.int64))


def _correlation_read(down: slice, across: slice, stored: _Stored, scales: np.ndarray) -> np.ndarray:
    roots = np.ldexp(stored.columns[0], stored.columns[1].astype(np.int64) - scales)
    return _correlation(stored.tile(down, across), roots[down], roots[across], down == across)

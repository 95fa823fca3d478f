"""Any dask array, piece by piece, is its numpy value; its work is done once."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import pairwise, product
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.logs.dask_arrays import to_dask
from covdist.rows.stream import stream

from .fake import FakeSource

VALUES = np.random.default_rng(0).normal(size=(24, 6, 4))
CUBE = da.from_array(VALUES, chunks=(7, 4, 3))
FLAT = da.from_array(VALUES[:, :, 0], chunks=(5, 6))
STORED = FakeSource((24, 6, 4), (7, 4, 3))


def _twice(block: np.ndarray) -> np.ndarray:
    return 2 * block


ARRAYS: dict[str, da.Array] = {
    "from_array": CUBE,
    "one chunk": CUBE.rechunk(-1),
    "sliced": CUBE[3:20:2, 1:, ::-1],
    "taken": CUBE[[5, 3, 3, 20]],
    "cast": CUBE.astype("f2"),
    "masked": da.where(CUBE > 0, CUBE, 0),
    "random": da.random.default_rng(0).normal(size=(24, 6, 4), chunks=(5, 3, 4)),
    "map_blocks": CUBE.map_blocks(_twice),
    "transposed": CUBE.transpose(2, 0, 1),
    "rechunked": CUBE.rechunk((5, 6, 2)),
    "overlapping": da.overlap.overlap(FLAT, depth={0: 1, 1: 0}, boundary="reflect")[:, :, None],
    "centred": CUBE - CUBE.mean(axis=0),
    "concatenated": da.concatenate([CUBE, CUBE + 1]),
    "stacked": da.stack([FLAT, FLAT * 2], axis=2),
    "broadcast": da.broadcast_to(FLAT[:, :, None], (24, 6, 4)),
    "zeros": da.zeros((9, 4, 4), chunks=2),
    "empty chunks": da.concatenate([CUBE[:0], CUBE, CUBE[:0]]),
    "of an open file": da.from_array(zarr.array(VALUES, chunks=(7, 4, 3)), chunks=(7, 4, 3)),
    "a log": to_dask(STORED),
    "a sliced log": to_dask(STORED)[2:20, :, 1:],
    "a log's float64": to_dask(STORED).astype("f8"),
    "a log's columns": to_dask(STORED)[:, 1:5],
    "a log's last chunk of columns": to_dask(STORED)[:, 4:],
    "a log's columns from the last": to_dask(STORED)[:, ::-1],
    "a log's columns, its rows from the last": to_dask(STORED)[:21][::-1, 1:5],
    "a log's columns cut twice": to_dask(STORED)[:, 1:][:, :3],
    "a vector": FLAT[:, 0][:, None, None],
}
each_array = pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)


def pieces_of(array: Any, ndim: int, start: int, stop: int) -> list[np.ndarray]:
    """Pieces of a stretch of rows, copied: each is valid until the next one only."""
    found = stream(array, ndim)
    if not found.collections:
        return [piece.copy() for piece in found.part(start, stop).pieces()]
    blocks = dask.get(dict(found.collections[0].__dask_graph__()), found.keys(start, stop))
    return [piece.copy() for piece in found.part(start, stop).pieces(list(blocks))]


def in_chunk_order(array: da.Array, ndim: int) -> np.ndarray:
    """Rows in the order of the chunks of the leading axes."""
    values = array.compute(scheduler="synchronous")
    edges = [np.concatenate([[0], np.cumsum(axis)]) for axis in array.chunks[:ndim]]
    cells = product(*(pairwise(axis) for axis in edges))
    width = int(np.prod(array.shape[ndim:]))
    parts = [values[tuple(slice(*ends) for ends in cell)] for cell in cells]
    return np.concatenate([part.reshape(int(np.prod(part.shape[:ndim])), width) for part in parts])


@each_array
@pytest.mark.parametrize("ndim", [1, 2])
def test_pieces_are_the_values(array, ndim):
    expected = in_chunk_order(array, ndim)
    found = pieces_of(array, ndim, 0, len(expected))
    np.testing.assert_array_equal(np.concatenate(found), expected)
    assert found[0].dtype == array.dtype


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(ARRAYS)), st.sampled_from([1, 2]), st.data())
def test_any_stretch_of_rows(name, ndim, data):
    expected = in_chunk_order(ARRAYS[name], ndim)
    start = data.draw(st.integers(0, len(expected) - 1))
    stop = data.draw(st.integers(start + 1, len(expected)))
    found = pieces_of(ARRAYS[name], ndim, start, stop)
    np.testing.assert_array_equal(np.concatenate(found), expected[start:stop])


@each_array
def test_bounds_and_width(array):
    found = stream(array, 1)
    np.testing.assert_array_equal(found.bounds, np.concatenate([[0], np.cumsum(array.chunks[0])]))
    assert found.width == array.shape[1] * array.shape[2]
    largest = max(array.chunks[0]) * found.width * array.dtype.itemsize
    assert found.piece_bytes >= largest


@pytest.mark.parametrize("name", ["masked", "transposed", "a log", "a sliced log", "random"])
def test_a_part_travels(name):
    part = pickle.loads(cloudpickle.dumps(stream(ARRAYS[name], 1).part(0, 3)))
    np.testing.assert_array_equal(
        np.concatenate([piece.copy() for piece in part.pieces()]), in_chunk_order(ARRAYS[name], 1)[:3]
    )


class CountingSource(FakeSource):
    """Counts how often each chunk is read."""

    def __init__(self, *of: Any):
        super().__init__(*of)
        self.read: Counter[tuple[int, ...]] = Counter()

    def read_chunk(self, index: tuple[int, ...], buffer: np.ndarray | None = None) -> np.ndarray:
        self.read[index] += 1
        return super().read_chunk(index, buffer)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (slice(0, 3), slice(3, 6)),
        (slice(3, 6), slice(0, 3)),
        (slice(1, 4), slice(2, 6)),
        (slice(0, 6), slice(5, 6)),
        (slice(0, 6), slice(0, 6)),
    ],
)
@pytest.mark.parametrize("trailing", [(), (2,)])
def test_a_chunk_that_holds_columns_of_both_sides_is_read_once(x, y, trailing):
    source = CountingSource((24, 6, *trailing), (7, 6, *trailing))
    log, values, sample = to_dask(source), source.values().astype("f8"), slice(None)
    found = np.asarray(covdist.cov(log[sample, x], log[sample, y]).compute(scheduler="synchronous"))
    assert source.read == {(i, *(0 for _ in source.shape[1:])): 1 for i in range(4)}
    sides = [(side - side.mean(0)).reshape(24, -1) for side in (values[:, x], values[:, y])]
    expected = (sides[0].T @ sides[1] / 24).reshape(found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("x", "y"), [(slice(0, 2), slice(4, 6)), (slice(0, 1), slice(3, 4))])
def test_columns_with_others_between_them_are_read_by_themselves(x, y):
    source = CountingSource((24, 6), (7, 3))
    log, values = to_dask(source), source.values().astype("f8")
    found = np.asarray(covdist.cov(log[:, x], log[:, y]).compute(scheduler="synchronous"))
    sides = [side - side.mean(0) for side in (values[:, x], values[:, y])]
    np.testing.assert_allclose(found, sides[0].T @ sides[1] / 24, rtol=1e-10, atol=1e-12)


SHARING = {
    "plain": lambda x: x,
    "sliced": lambda x: x[2:],
    "rechunked": lambda x: x.rechunk((6, 4)),
    "cut smaller": lambda x: x.rechunk((3, 4)),
    "overlapping": lambda x: da.overlap.overlap(x, depth={0: 1, 1: 0}, boundary="none"),
    "centred": lambda x: x - x.mean(axis=0),
    "differences": lambda x: da.diff(x, axis=0),
}


@pytest.mark.parametrize("change", SHARING.values(), ids=SHARING)
def test_no_chunk_is_made_twice(change):
    made: Counter[int] = Counter()

    def make(block_info: Any = None) -> np.ndarray:
        start, stop = block_info[None]["array-location"][0]
        made[start] += 1
        return np.arange(start * 4.0, stop * 4.0).reshape(-1, 4) ** 1.5

    x = change(da.map_blocks(make, chunks=((7, 7, 7, 3), (4,)), dtype="f8", meta=np.empty((0, 4))))
    assert not made
    found = covdist.cov(x).compute(scheduler="synchronous")
    assert set(made.values()) == {1}
    assert len(made) == 4
    np.testing.assert_allclose(found, np.cov(x.compute(scheduler="synchronous").T, ddof=0), rtol=1e-10)


def graph_of(x: da.Array) -> dict[Any, Any]:
    return dict(covdist.moments(x).__dask_graph__())


def test_a_log_of_many_chunks_is_a_small_graph():
    graph = graph_of(to_dask(FakeSource((1_000_000, 4), (10, 4))))
    assert len(graph) <= 2000
    assert len(cloudpickle.dumps(graph)) < 1_000_000


def test_any_array_of_many_chunks_is_few_tasks():
    graph = graph_of(da.zeros((20_000, 4), chunks=(1, 4)))
    assert len(graph) <= 2000

"""Rows that are filled shard by shard are those of the whole array, for any chunks, cuts and order."""

from __future__ import annotations

from itertools import pairwise

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covdist.errors import NonFiniteError
from covdist.numerics.filled_block import FilledBlock, rows_of
from covdist.numerics.interpolation import InterpolationOptions, NearestValue, filled
from covdist.rows.filled import FilledStream
from covdist.rows.neighbours import between
from covdist.rows.stream import stream
from tests.readings.containers import chunkings, thorough

HOWS = st.builds(
    InterpolationOptions,
    st.sampled_from(["linear", "previous", "nearest"]),
    st.sampled_from(["keep", "nearest"]),
    st.sampled_from(["raise", "missing"]),
    st.sampled_from([1.0, 4.0, np.inf]),
    st.just(0.0),
    st.just(0.0),
)


@st.composite
def gappy(draw: st.DrawFn) -> np.ndarray:
    """Draw rows with single holes and gaps of any length, in some columns or in all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(size=(draw(st.integers(1, 60)), draw(st.integers(1, 5)))).astype(draw(st.sampled_from(["f4", "f8"])))
    x[rng.random(x.shape) < draw(st.sampled_from([0.0, 0.1, 0.6]))] = np.nan
    for start, stop, column in draw(st.lists(st.tuples(*[st.integers(0, 60)] * 2, st.integers(0, 5)), max_size=4)):
        x[min(start, stop) : max(start, stop), column % x.shape[1] if column < 5 else slice(None)] = np.nan
    return x


def expected(x: np.ndarray, places: np.ndarray, how: InterpolationOptions) -> np.ndarray:
    nothing = NearestValue.none(x.shape[1:])
    return filled(x, places, nothing, nothing, how)


@thorough
@given(st.data(), gappy(), HOWS)
def test_any_cut_in_any_order_fills_as_the_whole(data, x, how):
    n = len(x)
    places = data.draw(st.sampled_from([range(n), np.cumsum(1 + np.arange(n) % 3) / 4]))
    at = between(places, 0, n)
    how = InterpolationOptions(how.kind, how.ends, how.inf, how.max_gap, at[0], at[-1])
    array = data.draw(st.sampled_from([x, da.from_array(x, chunks=(data.draw(chunkings(n)), 2))]))
    rows = FilledStream(stream(array, 1), places, how, "token")
    inner = data.draw(st.sets(st.sampled_from([int(b) for b in rows.bounds])))
    cuts = list(pairwise(sorted({0, n, *inner})))
    (one,) = rows.ready()
    found = {}
    for start, stop in data.draw(st.permutations(cuts)):
        if data.draw(st.booleans()):  # another worker takes over
            one = cloudpickle.loads(cloudpickle.dumps(one))
        blocks = []
        for block in rows.part(start, stop).blocks([one], data.draw(st.integers(1, 8))):
            before = block.before if isinstance(block, FilledBlock) else block
            blocks.append((rows_of(block).copy(), before.copy()))
        found[start] = blocks
    parts = [block for start, _ in cuts for block in found[start]]
    assert np.concatenate([made for made, _ in parts]).tobytes() == expected(x, at, how).tobytes()
    assert np.concatenate([before for _, before in parts]).tobytes() == x.tobytes()


class Counted:
    """Rows of an array in a log of small chunks, and how many were read."""

    def __init__(self, x: np.ndarray, chunk: int):
        self.x, self.read = x, 0
        self.stream = stream(da.from_array(x, chunks=(chunk, -1)).map_blocks(self._see), 1)

    def _see(self, block: np.ndarray) -> np.ndarray:
        self.read += len(block)
        return block


def read_in_shards(x: np.ndarray, *, chunk: int = 100, shard: int = 2_000) -> float:
    """Return how often each row is read where one worker fills shard after shard."""
    counted = Counted(x, chunk)
    counted.read = 0
    n = len(x)
    rows = FilledStream(
        counted.stream, range(n), InterpolationOptions("linear", "nearest", "raise", np.inf, 0.0, n - 1.0), "token"
    )
    (around,) = rows.ready()
    for start in range(0, n, shard):
        for _ in rows.part(start, start + shard).blocks([around], 1):
            pass
    return counted.read / n


def test_without_holes_each_row_is_read_once():
    assert read_in_shards(np.ones((20_000, 3))) == 1


def test_with_short_gaps_little_more_is_read():
    x = np.random.default_rng(0).normal(size=(20_000, 3))
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    assert read_in_shards(x) < 1.3


@pytest.mark.parametrize("where", [np.s_[:, 1], np.s_[:15_000, 1], np.s_[7_000:, 1], np.s_[3_000:17_000, :2]])
def test_a_gap_over_many_shards_is_looked_through_once_each_way(where):
    x = np.random.default_rng(0).normal(size=(20_000, 3))
    x[where] = np.nan
    assert read_in_shards(x) < 3.2


def test_gaps_that_overlap_like_stairs_are_looked_through_together():
    x = np.random.default_rng(0).normal(size=(20_000, 200))
    for column in range(200):
        x[80 * column : 80 * column + 4_000, column] = np.nan
    assert read_in_shards(x) < 4.5


def test_infinity_is_named_by_its_row_side_and_column():
    x = np.ones((30, 2))
    x[13, 0], x[14, 1] = np.nan, np.inf
    how = InterpolationOptions("linear", "nearest", "raise", np.inf, 0.0, 29.0)
    rows = FilledStream(stream(da.from_array(x, chunks=(5, 2)), 1), range(30), how, "token", (1, 100))
    with pytest.raises(NonFiniteError) as caught:
        list(rows.part(10, 30).blocks(rows.ready(), 1))
    assert (caught.value.row, caught.value.side, caught.value.column) == (4, 1, 101)

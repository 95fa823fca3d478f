"""Copies past the caches and frames of chunks, beside NumPy's own and Zstandard's decoder."""

from ctypes import addressof
from itertools import permutations

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from covdist.kernel import copies
from covdist.kernel.library import compiled, place
from covdist.record.lent import Lent, Spot, copy_all
from covdist.record.options.dtypes import named_dtype

pytestmark = pytest.mark.skipif(not compiled(), reason="no kernel was compiled here")


@st.composite
def lent(draw) -> tuple[Lent, np.ndarray]:
    """Some rows of an array whose units lie last or, as channels, before its positions, and what they are."""
    units = st.one_of(st.integers(1, 40), st.sampled_from([256, 257, 700]))  # about the most that are turned at once
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 40), units))
    item = draw(st.sampled_from(["f2", "f4", "f8", "u1"]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 200, shape).astype(item)
    array = values if draw(st.booleans()) else np.moveaxis(np.moveaxis(values, -1, 1).copy(), 1, -1)
    rows = slice(draw(st.integers(0, 20)), draw(st.integers(0, 130)))
    return Lent(array)[rows], values.reshape(-1, shape[-1])[rows]


@given(st.lists(lent(), max_size=4))
@settings(deadline=None)
def test_rows_are_copied_wherever_they_lie(several):
    found = [np.full((len(rows) + 1, *rows.shape[1:]), 7, rows.dtype) for _, rows in several]
    copy_all([(each, to[:-1]) for (each, _), to in zip(several, found, strict=True)])
    for (_, rows), to in zip(several, found, strict=True):
        assert np.array_equal(to[:-1], rows)
        assert (to[-1] == 7).all()


@pytest.mark.parametrize("size", [1, 63, 65535, 65536, 65537, 200_003])
@pytest.mark.parametrize("at", [0, 1, 63])
def test_bytes_are_copied_however_many_there_are(size, at):
    values = np.random.default_rng(size).integers(0, 200, size + 5).astype("u1")
    found = np.full(at + size + 1, 7, "u1")
    copies.run(copies.numbers([copies.as_it_lies(place(found) + at, place(values) + 5, size)]))
    assert np.array_equal(found, [*[7] * at, *values[5:], 7])


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    st.permutations([0, 1, 2]),
    st.sampled_from(["f2", "f4", "f8", "u1"]),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_arrays_are_turned_however_they_lie(shape, axes, item, gap):
    """(rows, arrays, columns), to where the rows of each array lie one after the other."""
    values = np.random.default_rng(0).integers(0, 200, shape).astype(item).transpose(axes)
    rows, arrays, columns = values.shape
    found = np.full((arrays, rows * columns + gap), 7, item)
    transfer = copies.Transfer(place(found), place(values), values.itemsize, rows, arrays, columns, *values.strides)
    copies.turn(transfer, found.strides[0])
    assert np.array_equal(found[:, : rows * columns].reshape(arrays, rows, columns), values.swapaxes(0, 1))
    assert (found[:, rows * columns :] == 7).all()


def _all_patterns(dtype: str) -> np.ndarray:
    """All values of 16 bits; of float32 random ones, and all around where others round or lose them."""
    if dtype != "float32":
        return np.arange(1 << 16, dtype=np.uint16).view(named_dtype(dtype))
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    between = np.add.outer([0, 4095, 4096, 4097, -1], halves.astype(np.int64)), np.arange(1 << 17) * 0x8000 + 0x4000
    ties = [np.add.outer([-1, 0, 1], np.asarray(each).ravel()).ravel() for each in between]
    bits = np.concatenate([np.random.default_rng(0).integers(0, 1 << 32, 99_999), np.arange(99_999), *ties])
    return bits.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(("given", "dtype"), list(permutations(copies.FLOATS, 2)))
@pytest.mark.parametrize("offset", [0, 1])
def test_floats_are_rounded_as_numpy_rounds_them(given, dtype, offset):
    if "bfloat16" in (given, dtype):
        pytest.importorskip("ml_dtypes")
    values = _all_patterns(given)[offset:]
    found, lost = np.full(len(values) + 1, 7, named_dtype(dtype)), copies.RoundingLoss()
    copies.rounded(found[:-1].ctypes.data, dtype, values.ctypes.data, given, len(values), lost)
    exact = values.astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        expected = exact.astype(named_dtype(dtype))
    numbers = ~np.isnan(exact)
    whole = np.uint32 if dtype == "float32" else np.uint16
    assert np.array_equal(found[:-1][numbers].view(whole), expected[numbers].view(whole))
    assert np.isnan(found[:-1][~numbers]).all()
    assert found[-1] == 7
    over = np.isfinite(exact) & np.isinf(expected)
    assert (lost.over, lost.gone) == (over.sum(), ((exact != 0) & (expected == 0)).sum())
    if over.any():
        assert lost.largest == np.abs(exact[over]).max()


@given(
    st.integers(0, 300_000),
    st.one_of(st.integers(0, 300_000), st.sampled_from([0, 131_072, 131_073])),
    st.lists(st.integers(0, 300_000), max_size=4),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_frame_is_decoded_to_its_rows_and_zeros(nbytes, more, cuts, in_order):
    rows = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
    chunk = max(1, nbytes + more)
    memory = np.full(copies.frame_bytes(chunk) + 1, 9, np.uint8)
    frame = copies.Frame(place(memory), chunk, 0, 0)
    ends = sorted({nbytes, *(cut for cut in cuts if cut < nbytes)})
    pieces = list(zip([0, *ends], ends, strict=False))
    for start, stop in pieces if in_order else pieces[::-1]:
        to = copies.as_it_lies(start, place(rows) + start, stop - start, addressof(frame))
        copies.run(copies.numbers([to]))
        if in_order:
            copies.frame(frame, stop)  # as when rows are stored before their chunk is full
    length = copies.frame(frame, nbytes)
    body, checksum = memory[: length - 4].tobytes(), memory[length - 4 : length].tobytes()
    assert Zstd().decode(body) == rows.tobytes() + bytes(chunk - nbytes)
    assert google_crc32c.value(body) == int.from_bytes(checksum, "little")
    assert memory[-1] == 9


@given(lent(), st.integers(0, 3))
@settings(deadline=None)
def test_rows_are_copied_to_a_frame_wherever_they_lie(several, before):
    """Where other rows come before them, too, and more than a block."""
    given, rows = several
    at = before * 43_691
    memory = np.zeros(copies.frame_bytes(at + rows.nbytes + 1), np.uint8)
    frame = copies.Frame(place(memory), at + rows.nbytes + 1, at, 0)
    copy_all([(given, Spot(frame, at))])
    places = [copies.place_in_frame(at + i) for i in range(rows.nbytes)]
    assert memory[places].tobytes() == rows.tobytes()

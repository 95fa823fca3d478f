"""Arrays as bytes and back, bit for bit, and never by pickle."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from covdist.jobs.states import dump_arrays, load_arrays

numbers = hnp.arrays(
    st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?", "c16", ">f8"]), hnp.array_shapes(min_dims=0, min_side=0)
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.text(max_size=5), numbers, max_size=4))
def test_there_and_back(arrays):
    found = load_arrays(dump_arrays(arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.astype(found[name].dtype).tobytes()


def test_equal_arrays_are_equal_bytes_however_they_lie_in_memory():
    array = np.arange(12.0).reshape(3, 4)
    assert dump_arrays({"a": array}) == dump_arrays({"a": np.asfortranarray(array)}) == dump_arrays({"a": array * 1})


def test_numbers_become_arrays():
    assert load_arrays(dump_arrays({"count": 3}))["count"] == 3


def test_what_is_read_can_be_written_to():
    load_arrays(dump_arrays({"a": np.zeros(3)}))["a"][0] = 1


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([object()]), np.array(["2020"], "M8[Y]")])
def test_only_numbers(array):
    with pytest.raises(TypeError, match="only numbers"):
        dump_arrays({"a": array})


def headed(about: object, body: bytes = b"") -> bytes:
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"", b"12345678", b"\xff" * 40, headed({}), headed([1]), headed([{"name": "a"}]),
        headed([{"name": "a", "dtype": "O", "shape": [1], "at": 0}], bytes(8)),
        headed([{"name": "a", "dtype": "<f8", "shape": [9], "at": 0}], bytes(8)),
        headed([{"name": "a", "dtype": "<f8", "shape": [-1], "at": 0}], bytes(8)),
        headed([{"name": "a", "dtype": "<f8", "shape": [1], "at": 64}], bytes(8)),
    ],
)  # fmt: skip
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        load_arrays(data)

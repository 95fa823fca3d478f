"""Limits: set for a block, for all threads, and back afterwards whatever happens."""

from __future__ import annotations

import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

from covdist.errors import DataError
from covdist.limits import Limits, changed, limits


def test_changed_for_a_block_and_all_threads():
    with changed(transposed_bytes=5), changed(strip_columns=7), ThreadPoolExecutor(1) as pool:
        found = pool.submit(limits).result()
        assert (found.transposed_bytes, found.strip_columns) == (5, 7)
        assert found.npy_chunk_bytes == Limits().npy_chunk_bytes
    assert limits() == Limits()


def test_an_error_leaves_nothing_changed():
    with pytest.raises(RuntimeError), changed(transposed_bytes=5):
        raise RuntimeError
    assert limits() == Limits()


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_is_none(value):
    with pytest.raises(DataError, match="npy_chunk_bytes must be greater than 0"), changed(npy_chunk_bytes=value):
        pass
    assert limits() == Limits()


def test_an_unknown_limit():
    with pytest.raises(TypeError, match="no_such_limit"), changed(no_such_limit=1):
        pass


def test_every_limit_is_documented():
    named = re.findall(r"^    # .*\n    (\w+): (?:int|float) = ", inspect.getsource(Limits), re.MULTILINE)
    assert named == [field.name for field in fields(Limits)]

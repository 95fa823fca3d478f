"""Whatever lies in a tree of JAX, it is an array of numbers, or refused in one sentence that says where it lies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import covdist.record.jax as record
from covdist.errors import DataError

jax = pytest.importorskip("jax", reason="trees of JAX need jax, which has an environment of its own")
jnp = jax.numpy

ROWS = np.ones((4, 3))
ODD = [
    float("nan"), 3, "x", b"x", {1}, 1j, True, object(), int, np.array(["a"]), np.array([None, {}]), pd.DataFrame(ROWS),
    np.ma.masked_array(ROWS, ROWS > 3), np.datetime64("2020"), jax.random.key(0),
]  # fmt: skip
CALLS = [record.gradients, record.sample_gradients, record.activations]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_what_is_no_array_is_named(call, odd):
    for tree in ({"params": {"Dense_0": {"kernel": ROWS, "bias": odd}}}, {"Dense_0": {"bias": odd}}):
        with pytest.raises(DataError, match=r"Dense_0/bias is .*, expected an array of numbers"):
            call(tree)
    with pytest.raises(DataError, match=r"the tree is .*, expected an array of numbers"):
        call(odd)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int8, bool, jnp.complex64])
def test_numbers_of_any_kind_are_taken(call, dtype):
    for rows in (np.ones((4, 3)).astype(dtype), jnp.ones((4, 3), dtype)):
        ((_, found),) = jax.jit(call)({"fc": {"kernel": rows}}).items()
        assert found.dtype == dtype


def test_an_array_alone_is_the_root():
    assert {name: each.shape for call in CALLS for name, each in call(jnp.ones((4, 3))).items()} == {
        "gradient": (1, 12), "sample_gradient": (4, 3), "activation": (4, 3),
    }  # fmt: skip


def test_no_samples_have_no_rows():
    assert record.sample_gradients({"fc": {"kernel": jnp.ones((0, 3, 2))}})["fc/sample_gradient"].shape == (0, 6)


def test_samples_that_differ_are_refused():
    tree = {"fc": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones((5, 3))}}
    with pytest.raises(DataError, match=r"fc has gradients of 5 and 4 samples, expected as many in all"):
        record.sample_gradients(tree)


def test_outputs_that_differ_are_refused():
    with pytest.raises(DataError, match=r"rnn/activation has outputs of 3 and 2 units.*sow each under a name"):
        record.activations({"rnn": {"__call__": ((jnp.ones((4, 3)), jnp.ones((4, 2))),)}})


def test_names_that_cannot_be_sorted_are_refused():
    with pytest.raises(DataError, match=r"dict is no tree of JAX .*: name its parts by text"):
        record.gradients({1: ROWS, "b": ROWS})

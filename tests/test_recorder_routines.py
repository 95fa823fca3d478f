"""Calls of ``Recorder.log`` like earlier ones take a short way, and end where the long one does."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.errors import DataError
from covdist.logs.opening import open_log
from covdist.record.memory import populate
from covdist.record.recorder import Recorder
from covdist.record.routines import Routines

RNG = np.random.default_rng(0)


def usual(step: int, rows: int = 4) -> dict[str, np.ndarray]:
    return {
        "a/activation": np.full((rows, 3), step, "f4"),
        "a/label": np.full(rows, step),
        "a/gradient": np.full((2, 2), step, "f4"),
        "loss": np.array(step, "f8"),
    }


CALLS = {  # what follows six usual calls; the last three are usual again
    "fewer rows": lambda step: usual(step, 2),
    "no rows": lambda step: usual(step, 0),
    "an array less": lambda step: {name: data for name, data in usual(step).items() if name != "a/label"},
    "other lengths": lambda step: {**usual(step), "a/label": np.full(1, step)},
    "an array more": lambda step: {**usual(step), "a/z": np.full((4, 2), step, "f4")},
    "a layer more": lambda step: {**usual(step), "b/activation": np.full((4, 2), step, "f4")},
    "another order": lambda step: dict(reversed(usual(step).items())),
    "a wider dtype": lambda step: {**usual(step), "a/activation": np.full((4, 3), step + 0.1)},
    "a narrower dtype": lambda step: {**usual(step), "a/activation": np.full((4, 3), step, "f2")},
    "other bytes": lambda step: {**usual(step), "a/activation": np.full((4, 3), step, ">f4")},
    "whole numbers": lambda step: {**usual(step), "loss": step},
    "no arrays": lambda step: usual(step, 4) if step % 2 else {},
    "by column": lambda step: {**usual(step), "a/activation": np.asfortranarray(usual(step)["a/activation"])},
    "every other": lambda step: {**usual(step), "a/activation": usual(step, 8)["a/activation"][::2]},
}


def recorded(path: object, kind: str, reopened: bool) -> dict[str, np.ndarray]:
    options = {"chunk_bytes": 200}
    rec = Recorder(path, **options)
    for step in range(12):
        if reopened and step == 4:
            rec.close()
            rec = Recorder(path, mode="a", **options)
        rec.log(step, CALLS[kind](step) if 6 <= step < 9 else usual(step), epoch=step // 3)
    rec.close()
    return {
        variable: (array.dims, array.values)
        for node in open_log(path).subtree
        for name, array in node.ds.variables.items()
        for variable in [f"{node.path}/{name}"]
    }


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("kind", CALLS)
def test_the_short_way_ends_where_the_long_one_does(tmp_path, monkeypatch, kind, reopened):
    found = recorded(tmp_path / "short", kind, reopened)
    monkeypatch.setattr(Routines, "find", lambda *_: None)
    expected = recorded(tmp_path / "long", kind, reopened)
    assert found.keys() == expected.keys()
    for name, (dims, values) in expected.items():
        assert found[name][0] == dims
        assert found[name][1].dtype == values.dtype
        np.testing.assert_array_equal(found[name][1], values)


def test_most_calls_take_the_short_way(tmp_path, monkeypatch):
    ways = []
    find = Routines.find
    monkeypatch.setattr(Routines, "find", lambda self, *given: ways.append(find(self, *given)) or ways[-1])
    with Recorder(tmp_path / "log") as rec:
        for step in range(6):
            rec.log(step, usual(step))
            rec.log(step, {"b/activation": np.ones((2, 2))})
    assert [way is None for way in ways] == [True] * 2 + [False] * 10


def test_arrays_join_a_layer_that_has_no_rows_yet(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        for step, names in enumerate(("x", "x", "xy", "x", "xy")):
            rec.log(step, {f"a/{name}": np.empty((0, 2)) for name in names})
        for step in (5, 6):
            rec.log(step, {f"a/{name}": np.full((3, 2), step) for name in "xy"})
            rec.log(step, {"a/x": np.empty((0, 2))})
    log = open_log(tmp_path / "log")["a"]
    assert log["x"].dims[0] == log["y"].dims[0] == "sample"
    assert log["sample_step"].values.tolist() == [5] * 3 + [6] * 3


BAD = [
    ({"a/activation": np.zeros((4, 2), "f4")}, {"epoch": 0}, "rows of shape"),
    ({"a/label": np.zeros(4, complex)}, {"epoch": 0}, "dtype complex128"),
    ({"a/label": np.full(4, 0.5)}, {"epoch": "x"}, "epoch"),
    ({}, {"split": 1}, "with the coordinates"),
    ({}, {}, "with the coordinates"),
    ({"a": np.zeros(4)}, {"epoch": 0}, "a cannot be an array"),
]


@pytest.mark.parametrize(("arrays", "coordinates", "message"), BAD)
def test_what_is_refused_after_many_usual_calls(tmp_path, arrays, coordinates, message):
    with Recorder(tmp_path / "log") as rec:
        for step in range(4):
            rec.log(step, usual(step), epoch=0)
        with pytest.raises(DataError, match=message):
            rec.log(4, usual(4) | arrays, **coordinates)
        rec.log(4, usual(4), epoch=0)
    assert open_log(tmp_path / "log")["a/activation"].shape == (20, 3)


def test_steps_of_the_log_are_refused_after_usual_calls(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        rec.log(7, usual(7))
    with Recorder(tmp_path / "log", mode="a") as rec:
        for step in (8, 9):
            rec.log(step, usual(step))
        with pytest.raises(DataError, match="step 7 of a/activation is in the log already"):
            rec.log(7, usual(7))


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "i8", "f2", "f4", "f8", "U3"])
@pytest.mark.parametrize("rows", [1, 30, 3000])
def test_bytes_are_those_of_numpy(tmp_path, dtype, rows):
    width = () if dtype == "U3" else (40,)
    data = [RNG.integers(0, 2, (rows, *width)).astype(dtype) for _ in range(3)]
    with Recorder(tmp_path / "log") as rec:
        for step, each in enumerate(data):
            rec.log(step, {"a": each})
    np.testing.assert_array_equal(open_log(tmp_path / "log")["a"], np.concatenate(data))


def test_memory_that_is_had_ahead_keeps_its_bytes():
    for size in (0, 1, 4095, 4097, 1 << 20):
        memory = RNG.integers(0, 256, size, np.uint8)
        before = memory.copy()
        populate(memory[min(size, 5) :])
        np.testing.assert_array_equal(memory, before)


@pytest.mark.parametrize(("layers", "ahead"), [(1, True), (40, False)])
def test_memory_is_had_ahead_where_all_of_it_has_room(tmp_path, layers, ahead):
    rows = RNG.standard_normal((40, 250), "f4")
    with Recorder(tmp_path / "log", memory="1MiB", chunk_bytes=100_000) as rec:
        for layer in range(layers):  # each call with a new array, so that the first ones have large chunks
            rec.log(0, {f"l{layer}/a": rows})
        assert rec._writer.ahead == ahead
        for step in range(1, 3):
            rec.log(step, {f"l{layer}/a": rows + step for layer in range(layers)})
            assert rec._tracks.taken <= 1 << 20
    log, expected = open_log(tmp_path / "log"), np.concatenate([rows + step for step in range(3)])
    for layer in range(layers):
        np.testing.assert_array_equal(log[f"l{layer}/a"], expected)

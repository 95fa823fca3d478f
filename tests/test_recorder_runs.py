"""Coordinates are those of the calls, though they are put into their arrays many calls later."""

from __future__ import annotations

import numpy as np
import pytest

from covdist.errors import DataError
from covdist.logs.opening import open_log
from covdist.record.recorder import Recorder
from covdist.record.runs import MANY

STEPS = 200


def flushed(rec: Recorder, path: object) -> Recorder:
    rec.flush()
    return rec


def reopened(rec: Recorder, path: object) -> Recorder:
    rec.close()
    return Recorder(path, mode="a")


def refused(rec: Recorder, path: object) -> Recorder:
    with pytest.raises(DataError, match="no dtype holds"):
        rec.log(0, {"a/activation": np.zeros((2, 3))}, epoch="x")
    return rec


BETWEEN = {
    "nothing": lambda rec, path: rec,
    "a flush": flushed,
    "another recorder": reopened,
    "a refused call": refused,
}


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("chunk", [None, 7])
def test_coordinates_are_those_of_the_calls(tmp_path, chunk, between, alone):
    counts = np.random.default_rng(0).integers(0, 4, STEPS)
    epochs = np.where(np.arange(STEPS) < 100, np.arange(STEPS) // 9, 0.5)  # later ones need a wider dtype
    rec = Recorder(tmp_path / "log", chunk=chunk)
    for step, (count, epoch) in enumerate(zip(counts.tolist(), epochs.tolist(), strict=True)):
        if step % 90 == 50:
            rec = BETWEEN[between](rec, tmp_path / "log")
        arrays = {"a/activation": np.full((count, 3), step), "a/label": np.full(count, step), "loss": step}
        if alone and step == 70:  # from here on labels have a dim of their own
            arrays["a/label"] = np.full(count + 1, step)
        rec.log(step, arrays, epoch=int(epoch) if step < 100 else epoch)
    rec.close()
    layer, root = open_log(tmp_path / "log")["a"], open_log(tmp_path / "log")
    steps = np.repeat(np.arange(STEPS), counts)
    np.testing.assert_array_equal(layer["sample_step"], steps)
    np.testing.assert_array_equal(layer["sample_epoch"], epochs[steps])
    np.testing.assert_array_equal(layer["activation"], np.repeat(steps[:, None], 3, axis=1))
    np.testing.assert_array_equal(layer["label_sample_step" if alone else "sample_step"], layer["label"])
    np.testing.assert_array_equal(root["step"], np.arange(STEPS))
    np.testing.assert_array_equal(root["epoch"], epochs)


@pytest.mark.parametrize("text", [False, True])
def test_a_coordinate_may_be_changed_after_the_call(tmp_path, text):
    epoch, kinds = np.array("a0" if text else 0), []
    with Recorder(tmp_path / "log") as rec:
        for step in range(5):
            epoch[...] = f"a{step}" if text else step
            kinds.append(epoch.item())
            rec.log(step, {"a/activation": np.ones((2, 3))}, epoch=epoch)
    assert open_log(tmp_path / "log")["a/sample_epoch"].values.tolist() == np.repeat(kinds, 2).tolist()


def test_what_waits_for_its_coordinates_is_bounded(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        for step in range(STEPS):
            rec.log(step, {"loss": 0.5})
            assert not any(len(track._runs) >= MANY for track in rec._tracks.by_dim.values())


def test_values_that_come_many_times_in_a_row_take_few_bytes(tmp_path):
    with Recorder(tmp_path / "log") as rec:
        for step in range(2):
            rec.log(step, {"a/activation": np.ones((20_000, 3))}, epoch=step)
    for mark in ("sample_step", "sample_epoch"):
        sizes = [file.stat().st_size for file in (tmp_path / "log" / "a" / mark).glob("c*")]
        assert sizes
        assert max(sizes) < 500
        np.testing.assert_array_equal(open_log(tmp_path / "log")["a"][mark], np.repeat([0, 1], 20_000))

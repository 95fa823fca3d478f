"""Watches of several models beside each other, and after each other."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import covdist
from covdist.errors import DataError

torch = pytest.importorskip("torch", reason="hooks on torch models need torch, which has an environment of its own")

import covdist.record.torch as record  # noqa: E402

from .logged import Log  # noqa: E402

nn = torch.nn


def net(width=2):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU())


def train(model, watch, rows=4):
    model(torch.ones(rows, 3)).square().mean().backward()
    watch.step()


def steps(path, name="0/activation"):
    return covdist.open_log(path)[name].shape[0] // 4


@pytest.mark.parametrize("whole", [True, False])
def test_rows_of_two_models_are_not_mixed(tmp_path, whole):
    g, d = net(), net()
    with covdist.Recorder(tmp_path / "log") as recorder:
        rec = recorder if whole else Log()
        first, second = record.watch(g, rec), record.watch(d, rec, ("gradient",))
        train(g, first)
        for _ in range(2):
            with pytest.raises(DataError, match=r"0/gradient is recorded by another watch.*a Recorder of its own"):
                train(d, second)
        train(g, first)
        first.remove()
        train(d, second)
        second.remove()
    if whole:
        assert steps(tmp_path / "log") == 2
        assert len(covdist.open_log(tmp_path / "log")["0/gradient"]) == 3


def test_two_models_with_recorders_of_their_own(tmp_path):
    with covdist.Recorder(tmp_path / "g") as one, covdist.Recorder(tmp_path / "d") as other:
        g, d = net(), net(5)
        with record.watch(g, one) as first, record.watch(d, other) as second:
            for _ in range(3):
                train(g, first)
                train(d, second)
    assert [covdist.open_log(tmp_path / name)["0/activation"].shape for name in "gd"] == [(12, 2), (12, 5)]


def test_two_models_that_are_watched_as_one(tmp_path):
    g, d = net(), net()
    with (
        covdist.Recorder(tmp_path / "log") as rec,
        record.watch(nn.ModuleDict({"g": g, "d": d}), rec, ("activation",)) as watch,
    ):
        found = g(torch.ones(4, 3)), d(torch.ones(4, 3))
        watch.step()
    log = covdist.open_log(tmp_path / "log")
    for name, tensor in zip("gd", found, strict=True):
        np.testing.assert_array_equal(log[f"{name}/1/activation"], tensor.detach().numpy())


def test_names_that_differ_are_recorded_beside_each_other(tmp_path):
    model, other = net(), nn.ModuleDict({"other": net()})
    with covdist.Recorder(tmp_path / "log") as rec:
        first, second = record.watch(model, rec, ("activation",)), record.watch(model, rec, ("gradient",))
        third = record.watch(other, rec, layers="other/0")
        for step in range(2):
            rec.log(step, {"0/weight": np.ones(3)})
            train(model, first)
            second.step()
            train(other["other"], third)
        for each in (first, second, third):
            each.remove()
    assert steps(tmp_path / "log") == steps(tmp_path / "log", "other/0/activation") == 2


def again_after_removal(model, rec):
    with record.watch(model, rec) as watch:
        train(model, watch)
    with record.watch(model, rec) as watch:
        train(model, watch)


def a_copy_after_it(model, rec):
    with record.watch(model, rec) as watch:
        train(model, watch)
        twin = copy.deepcopy(model)
    with record.watch(twin, rec) as watch:
        train(twin, watch)


def a_handle_that_is_replaced(model, rec):
    watch = record.watch(model, rec)
    train(model, watch)
    watch = record.watch(model, rec)
    train(model, watch)


def a_handle_in_a_circle(model, rec):
    circle = {"watch": record.watch(model, rec)}
    circle["circle"] = circle
    train(model, circle["watch"])
    del circle
    watch = record.watch(model, rec)
    train(model, watch)


def a_handle_in_a_thread(model, rec):
    thread = threading.Thread(target=again_after_removal, args=(model, rec))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "use",
    [again_after_removal, a_copy_after_it, a_handle_that_is_replaced, a_handle_in_a_circle, a_handle_in_a_thread],
)
def test_watches_after_each_other(tmp_path, use):
    with covdist.Recorder(tmp_path / "log") as rec:
        use(net(), rec)
    assert steps(tmp_path / "log") == 2


def test_a_log_that_is_opened_again_takes_the_model_again(tmp_path):
    model = net()
    for mode, number in (("x", 0), ("a", 1)):
        rec = covdist.Recorder(tmp_path / "log", mode=mode)
        watch = record.watch(model, rec, start=number)
        train(model, watch)
        rec.close()
    assert steps(tmp_path / "log") == 2

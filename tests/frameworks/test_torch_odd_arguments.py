"""Whatever the hooks of torch are given in the place of an argument, they take it or refuse it in one sentence."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError

torch = pytest.importorskip("torch", reason="hooks of torch need torch, which has an environment of its own")
nn = torch.nn
from covdist.record import torch as record  # noqa: E402

ROWS = np.ones((4, 3))
ODD = [
    None, float("nan"), -1, 10**30, 1.5, "x", b"x", [1, 2], [[1], [2, 3]], {"a": 1}, {1}, 1j, object(), int, ROWS,
    np.array([None, {}]), np.ma.masked_array(ROWS, ROWS > 3), pd.DataFrame(ROWS), xr.Dataset({"a": ("x", ROWS[0])}),
    torch.ones(4, 3, dtype=torch.complex64), torch.tensor(2.0), torch.ones(4, 3, device="meta"),
]  # fmt: skip
X, Y = torch.ones(5, 3), torch.tensor([0, 1, 0, 1, 1])
LOSS = nn.functional.cross_entropy


class Log:
    def log(self, step, arrays, **coordinates):
        pass


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def trained(**options):
    model = net()
    watch = record.watch(model, Log(), **options)
    LOSS(model(X), Y).backward()
    return watch


def taken(door, wrong, *, but=()):
    """Return what of the odd is taken; all else raises one of covdist's errors."""
    found = []
    for each in wrong:
        with suppress(DataError):
            door(each)
            found.append(each)
    return [each for each in found if not any(each is one for one in but)]


DOORS = {
    "model": lambda odd: record.watch(odd, Log()),
    "rec": lambda odd: record.watch(net(), odd),
    "what": lambda odd: trained(what=odd),
    "layers": lambda odd: trained(layers=odd),
    "every": lambda odd: trained(every=odd),
    "what rows returns": lambda odd: trained(rows=lambda node, tensor: odd),
    "a model of samples": lambda odd: record.per_sample_gradients(odd, LOSS, X, Y),
    "a batch": lambda odd: record.per_sample_gradients(net(), LOSS, odd, Y),
    "targets": lambda odd: record.per_sample_gradients(net(), LOSS, X, odd),
    "layers of samples": lambda odd: record.per_sample_gradients(net(), LOSS, X, Y, odd),
    "what a loss returns": lambda odd: record.per_sample_gradients(net(), lambda found, target: odd, X, Y),
}
TAKEN = {"what rows returns": ODD[19:20], "what a loss returns": ODD[20:21]}
OPTIONAL = {
    "start": (lambda odd: trained(start=odd), (ODD[2],)),
    "scaler": (lambda odd: trained(scaler=odd), (None,)),
    "rows": (lambda odd: record.watch(net(), Log(), rows=odd), (None, int)),
    "a step": (lambda odd: trained().step(odd), (None, ODD[2])),
    "chunk_size": (lambda odd: record.per_sample_gradients(net(), LOSS, X, Y, chunk_size=odd), (None,)),
    "loss": (lambda odd: record.per_sample_gradients(net(), odd, X, Y), ()),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_none_is_refused(door):
    assert taken(DOORS[door], ODD, but=TAKEN.get(door, ())) == []


@pytest.mark.parametrize("door", OPTIONAL)
def test_and_what_may_be_left_out_is_taken_or_refused(door):
    call, good = OPTIONAL[door]
    wrong = [each for each in ODD if door != "loss" or each is not int]  # which fails by itself
    assert taken(call, wrong, but=good) == []


@pytest.mark.parametrize(("home", "starts"), {
    "lightning": lambda callback: callback.on_train_start(None, object()),
    "transformers": lambda callback: callback.on_train_begin(None, None, None, model=object()),
}.items())  # fmt: skip
def test_a_callback_refuses_when_it_is_made(home, starts):
    pytest.importorskip(home, reason=f"the callback of {home} needs it, which has an environment of its own")
    callback = __import__(f"covdist.record.{home}", fromlist=["Callback"]).Callback
    assert taken(callback, ODD) == []
    names = [each for each in ODD if isinstance(each, str | dict | xr.Dataset)]
    for option, good in {"what": (), "layers": names, "every": (), "start": (-1,), "scaler": (None,)}.items():
        assert taken(lambda odd, option=option: callback(Log(), **{option: odd}), ODD, but=good) == []
    with pytest.raises(DataError, match=r"layer is no option here: choose of what, layers, every"):
        callback(Log(), layer="fc*")
    with pytest.raises(DataError, match=r"model is a object, expected a torch.nn.Module"):
        starts(callback(Log()))


@pytest.mark.parametrize("scaler", [torch.amp.GradScaler, object(), 1024.0])
def test_a_scaler_is_one(scaler):
    with pytest.raises(DataError, match=r"expected a torch.amp.GradScaler: leave it out"):
        record.watch(net(), Log(), scaler=scaler)


def test_a_recorder_is_one():
    with pytest.raises(DataError, match=r"rec is a type, expected a recorder"):
        record.watch(net(), covdist.Recorder)


def test_batch_and_targets_have_the_same_samples():
    with pytest.raises(DataError, match=r"targets must have 5 samples, as the batch has, found 4"):
        record.per_sample_gradients(net(), LOSS, X, Y[:4])
    with pytest.raises(DataError, match=r"batch must be tensors with the samples .* found tensor\(\[\]"):
        record.per_sample_gradients(net(), LOSS, X[:0], Y[:0])


def test_a_wrong_step_loses_nothing():
    watch = trained()
    with pytest.raises(DataError, match=r"step is 'x', expected a whole number"):
        watch.step("x")
    watch.step(1)

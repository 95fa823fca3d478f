"""Layers with coordinates share what is made of a request, unless their coordinates are part of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import LogError
from covdist.folding import selection as selecting
from covdist.folding.fold import fold_request
from covdist.folding.selection import Selection, possible_requests, requests
from covdist.logs.opening import log_nodes

STEPS = np.cumsum(1.0 + np.arange(12) % 3)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the arrays whose requests are not made from another's."""
    names: list[str] = []
    make = selecting.make_request
    monkeypatch.setattr(selecting, "make_request", lambda x, *y, **o: names.append(str(x.name)) or make(x, *y, **o))
    return names


def layer(root: zarr.Group, number: int, **coordinates: Any) -> zarr.Group:
    """Add a layer, and its coordinates by name: dims and values."""
    group = root.create_group(f"g{number}")
    x = np.random.default_rng(number).normal(size=(12, 3))
    group.create_array("x", data=x, dimension_names=("step", "unit"))
    for name, (dims, values) in coordinates.items():
        group.create_array(name, data=values, dimension_names=dims)
    return group


def check(log: Path, selection: Selection) -> None:
    """Compare what all layers give together with what each gives in a log of its own."""
    nodes = log_nodes(log)
    for path, request in requests(nodes, selection).items():
        (alone,) = requests({path: nodes[path]}, selection).values()
        assert request.source == alone.source
        one, other = (fold_request(each).compute(scheduler="sync") for each in (request, alone))
        xr.testing.assert_identical(one.dataset, other.dataset)
        assert one.layout.provenance == other.layout.provenance


@pytest.mark.parametrize("units", [None, "tokens"])
def test_coordinates_of_rows_are_shared_as_they_say_nothing_of_columns(units, tmp_path, made):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(5):
        steps, epochs = STEPS + number, np.arange(12) // 4
        group = layer(root, number, step=(["step"], steps), epoch=(["step"], epochs), seed=([], np.array(number)))
        group["x"].attrs["coordinates"] = "epoch seed"
        if units:
            group["epoch"].attrs["units"] = units
    found = requests(log_nodes(tmp_path / "log.zarr"), Selection())
    assert made == (["g0/x"] if units is None else [f"g{number}/x" for number in range(5)])
    assert [request.source for request in found.values()] == [f"g{number}/x" for number in range(5)]
    check(tmp_path / "log.zarr", Selection())


def test_a_log_that_xarray_wrote_is_shared(tmp_path, made):
    for number in range(4):
        x = xr.DataArray(np.eye(12, 3) + number, dims=("step", "unit"), coords={"step": np.arange(12)}, name="x")
        x.to_zarr(tmp_path / "log.zarr", group=f"g{number}", mode="a", consolidated=False)
    assert len(requests(log_nodes(tmp_path / "log.zarr"), Selection())) == 4
    assert made == ["g0/x"]
    check(tmp_path / "log.zarr", Selection())


def test_what_a_recorder_wrote_is_shared(tmp_path, made):
    with covdist.Recorder(tmp_path / "log.zarr") as recorder:
        for step in range(6):
            recorder.log(step, {f"g{number}/activation": np.full((2, 3), step + number) for number in range(4)})
    assert len(requests(log_nodes(tmp_path / "log.zarr"), Selection())) == 4
    assert made == ["g0/activation"]
    check(tmp_path / "log.zarr", Selection())


def test_coordinates_of_columns_stay_those_of_each(tmp_path, made):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(3):
        layer(root, number, step=(["step"], STEPS), unit=(["unit"], np.arange(3) + 10 * number))
    found = requests(log_nodes(tmp_path / "log.zarr"), Selection())
    assert made == ["g0/x", "g1/x", "g2/x"]
    for number, request in enumerate(found.values()):
        assert request.layout().axes[0].coords["unit"].tolist() == [10 * number + i for i in range(3)]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(dim="unit"), Selection(dim=("step", "unit")), Selection(by="step"), Selection(halflife=3.0),
        Selection(missing="interpolate"), Selection(missing="drop"), Selection(missing="maxent"), Selection(var="step"),
        Selection(state="lagged(lag=2)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bare", [0, 4, None])
def test_all_is_as_it_is_alone(selection, bare, tmp_path):
    needed = selection.by or selection.halflife or selection.var
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(5):
        steps = {"step": (["step"], STEPS + number * np.arange(12))}
        group = layer(root, number, **(steps if needed or number != bare else {}))
        if selection.missing != "raise":
            group["x"][4:6, 1] = np.nan
    check(tmp_path / "log.zarr", selection)


@pytest.mark.parametrize("damage", [b"no chunk", b""])
def test_an_index_that_cannot_be_read_is_refused_by_its_name(damage, tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(5):
        layer(root, number, step=(["step"], STEPS))
    (tmp_path / "log.zarr" / "g3" / "step" / "c" / "0").write_bytes(damage)
    with pytest.raises(LogError, match="g3/step: chunk c/0 is damaged") as alone:
        requests(log_nodes(tmp_path / "log.zarr"), Selection(layer="g3"))
    found, refused = possible_requests(log_nodes(tmp_path / "log.zarr"), Selection())
    assert list(found) == ["g0", "g1", "g2", "g4"]
    assert str(refused["g3/x"]) in str(alone.value)

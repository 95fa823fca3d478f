"""Many small states share groups of a result, bit for bit and all or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import covdist
from covdist.errors import ResultError
from covdist.limits import changed
from covdist.results.labels import Axis
from covdist.results.saving import save

RNG = np.random.default_rng(0)
PHASE = np.array(["warm-up", "long", "été"])[RNG.integers(0, 3, 24)]
DAY = np.array(["2024-01-01", "2024-02-01"], "M8[ns]")[np.arange(24) % 2]


def values(columns: int) -> np.ndarray:
    return RNG.normal(size=(24, columns)) * RNG.choice([1e-200, 1, 1e8], columns)


def labelled(columns: int, first: int = 0) -> xr.DataArray:
    coords = {
        "unit": [f"{'u' * i}{i}" for i in range(first, first + columns)],
        "depth": ("unit", RNG.random(columns)),
        "phase": ("step", PHASE),
        "day": ("step", DAY),
    }
    return xr.DataArray(values(columns), dims=("step", "unit"), coords=coords, name="gradient")


MAKE = {
    "full": lambda i: covdist.moments(values(1 + i % 5)),
    "labelled": lambda i: covdist.moments(labelled(2 + i % 3, i), dim="step"),
    "dims of their own": lambda i: covdist.moments(values(3 + i % 2), dim=0).x,
    "cross": lambda i: covdist.moments(values(2), values(1 + i % 3)),
    "by text": lambda i: covdist.moments(labelled(2)[i % 3 :: 1 + i], dim="step", by="phase"),
    "by days": lambda i: covdist.moments(labelled(3), dim="step", by="day").x,
    "lagged": lambda i: covdist.moments(values(2), state=f"lagged(lag={1 + i % 2})"),
    "together": lambda i: covdist.moments(values(2), state=("full", "higher")),
    "one variable": lambda i: covdist.moments(labelled(3)[:, 1], dim="step"),
    "weighted": lambda i: covdist.moments(values(2), weights=RNG.random(24) * 1e-300),
}


def many(kinds: list[str], count: int = 6) -> dict[str, covdist.Moments]:
    return {f"{kind}/{i}": MAKE[kind](i) for i in range(count) for kind in kinds}


def files(place: Path) -> int:
    return sum(each.is_file() for each in place.rglob("*"))


def assert_same(found: object, stored: dict[str, covdist.Moments]) -> None:
    assert list(found) == list(stored)
    for node, one in stored.items():
        xr.testing.assert_identical(found[node].dataset, one.dataset)
        assert found[node].layout.provenance == one.layout.provenance
        assert found[node].layout.state == one.layout.state
        assert all(map(Axis.same, found[node].layout.axes, one.layout.axes))


@pytest.mark.parametrize("kinds", [*([kind] for kind in MAKE), list(MAKE)], ids=[*MAKE, "all"])
@changed(unpacked_states=2)
def test_a_round_trip_changes_no_bit(kinds, tmp_path):
    stored = many(kinds, 4 if len(kinds) == 1 else 3)  # of each kind more than stay unpacked
    save(stored, tmp_path / "m.zarr")
    found = covdist.load(tmp_path / "m.zarr")
    assert_same(found, stored)
    total = {node: one + stored[node] for node, one in found.items()}
    save(total, tmp_path / "twice.zarr")
    assert_same(covdist.load(tmp_path / "twice.zarr"), {node: one + one for node, one in stored.items()})


def test_a_result_of_many_states_has_few_files(tmp_path):
    for count in (20, 60):
        save(many(["full"], count), tmp_path / f"{count}.zarr")
    assert files(tmp_path / "60.zarr") == files(tmp_path / "20.zarr") < 40


def test_few_states_keep_groups_of_their_own(tmp_path):
    save(many(["full"], 16), tmp_path / "m.zarr")
    root = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert root.attrs["covdist"] == 1
    assert root["full/3/mean"].shape == (4,)
    save(many(["full"], 17), tmp_path / "more.zarr")
    assert zarr.open_group(tmp_path / "more.zarr", mode="r").attrs["covdist"] == 2


@changed(unpacked_states=2)
def test_a_layer_called_as_a_pack_is(tmp_path):
    stored = {f"packed-0/{i}": covdist.moments(values(2)) for i in range(4)}
    stored |= {"packed-0": covdist.moments(values(2)).x, "packed-1": covdist.moments(values(3)).x}
    save(stored, tmp_path / "m.zarr")
    assert_same(covdist.load(tmp_path / "m.zarr"), stored)


@changed(unpacked_states=2, pack_bytes=3000)
def test_a_pack_is_of_bounded_size(tmp_path):
    stored = many(["full"], 20)
    save(stored, tmp_path / "m.zarr")
    root = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert len(root.attrs["packed"]) > 1
    assert_same(covdist.load(tmp_path / "m.zarr"), stored)


def test_any_reader_of_zarr_sees_the_values_end_to_end(tmp_path):
    stored = many(["full"], 20)
    save(stored, tmp_path / "m.zarr")
    group = zarr.open_group(tmp_path / "m.zarr", mode="r")["packed-0"]
    np.testing.assert_array_equal(
        group["scatter"], np.concatenate([one.dataset["scatter"].values.ravel() for one in stored.values()])
    )


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def fewer(folder: Path) -> None:
    array = zarr.open_array(folder, mode="r+")
    array.resize((array.shape[0] - 1, *array.shape[1:]))


DAMAGED = {
    "a chunk cut off": ("mean/c/0", cut),
    "a flipped bit": ("mean/c/0", flipped),
    "a chunk gone": ("scatter/c/0", Path.unlink),
    "sizes changed": ("_sizes/c/0/0", flipped),
    "attributes changed": ("_attributes/c/0", flipped),
    "attributes gone": ("_attributes", shutil.rmtree),
    "an array gone": ("mean", shutil.rmtree),
    "metadata gone": ("zarr.json", Path.unlink),
    "a value less": ("mean", fewer),
    "a member less": ("_attributes", fewer),
    "an odd axis": ("zarr.json", lambda file: file.write_text(file.read_text().replace("0", "7"))),
}


@pytest.mark.parametrize(("place", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_pack_is_refused(place, damage, tmp_path):
    save(many(["full"], 20), tmp_path / "m.zarr")
    damage(tmp_path / "m.zarr" / "packed-0" / place)
    with pytest.raises(ResultError, match=r"m\.zarr is damaged .*restore it") as caught:
        covdist.load(tmp_path / "m.zarr")
    assert place == "zarr.json" or any(name in str(caught.value) for name in (place.partition("/")[0], "packed-0"))

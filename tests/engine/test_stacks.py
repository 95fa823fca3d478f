"""Arrays that are alike, folded side by side: bit for bit what each is when it is folded alone."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import NonFiniteError
from covdist.folding import stacks
from covdist.folding.batches import batches, folded_here
from covdist.folding.selection import Selection, requests
from covdist.folding.strategy import plans_of
from covdist.kernel.library import compiled
from covdist.logs.opening import log_nodes
from covdist.numerics.ordinary import fold_side_by_side
from covdist.rows.fold import fold

DTYPES = ("f8", "f4", "f2", "i1", "u2", "i4", "i8", "u8", "?", ">f4")


def same_bits(a: object, b: object) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same_bits, a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return type(a) is type(b) and repr(a) == repr(b)


def values(rng: np.random.Generator, number: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Rows of many kinds: far from zero, constant, huge, tiny, drifting, with zeros."""
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind in "iu":
        top = min(np.iinfo(dtype).max, 2**53 if number % 5 else 2**62)
        return rng.integers(0, top, shape).astype(dtype)
    large = 1e200 if dtype == "f8" else 1.0
    x = (x * [1.0, 1e-3, 1e4, 1e-30, large, 1e-310, 1][number % 7] + [0, 1e3, 0.1][number % 3]).astype(dtype)
    if number % 4 == 1:
        x[..., 0] = x.flat[0]
    if number % 4 == 2:
        x[::3] = 0
    return x


def check(chosen: dict) -> None:
    together = batches(chosen, list(plans_of(chosen).values()))
    assert together
    for batch in together:
        alone = [fold(*item) for item in batch.items()]
        found = pickle.loads(pickle.dumps(batch.folds().states()))  # as they travel
        assert all(same_bits(one, other) for one, other in zip(found, alone, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("state", ["full", "variances", "higher"])
def test_a_stack_has_the_bits_of_each_array(dtype, state, tmp_path):
    rng = np.random.default_rng(0)
    shapes = [(12, 2), (257, 3), (1, 4), (40, 17), (200, 2, 3), (30,), (30, 1), (9, 260), (3000, 7)]
    for at, shape in enumerate(shapes):
        for number in range(9):
            np.save(tmp_path / f"a{at}_{number}.npy", values(rng, number, shape, dtype))
    check(requests(log_nodes(tmp_path), Selection(state=state)))


@pytest.mark.parametrize("missing", ["drop", "pairwise", "propagate", "interpolate"])
def test_rows_that_are_missing_leave_the_bits_of_the_others(missing, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(30):
        x = rng.normal(size=(50, 4)).astype("f4")
        if number % 3 == 0:
            x[5, 1], x[7, 2] = np.nan, [np.inf, np.nan][missing in ("interpolate", "pairwise")]
        np.save(tmp_path / f"a{number}.npy", x)
    check(requests(log_nodes(tmp_path), Selection(missing=missing, inf="missing" if missing == "drop" else "raise")))


def test_a_value_that_is_missing_is_refused_by_its_place(tmp_path):
    for number in range(20):
        x = np.ones((50, 4))
        x[5, 1] = np.nan if number == 13 else 1
        np.save(tmp_path / f"a{number:02}.npy", x)
    chosen = requests(log_nodes(tmp_path), Selection())
    with pytest.raises(NonFiniteError, match="a13 holds nan at row 5, column 1"):
        folded_here(batches(chosen, list(plans_of(chosen).values())))


@pytest.mark.parametrize("chunks", [(40, 6), (7, 6), (40, 4), (13, 4)])
@pytest.mark.parametrize("rows", [40, 300])
def test_chunks_of_a_stack(rows, chunks, tmp_path):
    rng = np.random.default_rng(0)
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(20):
        x = rng.normal(size=(rows, 6)).astype("f4") + np.linspace(0, 1e4, rows, dtype="f4")[:, None]
        root.create_array(f"g{number}/x", data=x, chunks=chunks)
    check(requests(log_nodes(tmp_path / "log.zarr"), Selection()))


def test_arrays_of_many_recorded_chunk_sizes_share_a_stack(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    with covdist.Recorder(tmp_path / "log.zarr", memory="1MiB") as recorder:
        for step in range(5):
            recorder.log(step, {f"g{number}/x": rng.normal(size=(4, 6)).astype("f4") for number in range(20)})
    chosen = requests(log_nodes(tmp_path / "log.zarr"), Selection())
    assert len({id(plan) for plan in plans_of(chosen).values()}) > 1
    check(chosen)
    if compiled():
        monkeypatch.setattr(stacks, "fold", None)
        assert len(folded_here(batches(chosen, list(plans_of(chosen).values())))) == 20


def test_decoded_arrays_are_folded_alone(tmp_path):
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(6):
        x = root.create_array(f"g{number}/x", data=np.arange(24, dtype="i2").reshape(12, 2) + number, chunks=(5, 2))
        x.attrs.update({"scale_factor": 0.5, "_FillValue": 3} if number % 2 else {})
    check(requests(log_nodes(tmp_path / "log.zarr"), Selection(missing="drop")))


def test_groups_and_weights_are_folded_alone_and_fast_products_together(tmp_path):
    rng = np.random.default_rng(0)
    root = zarr.open_group(tmp_path / "log.zarr", mode="w")
    for number in range(5):
        group = root.create_group(f"g{number}")
        group.create_array("x", data=rng.normal(size=(40, 6)), dimension_names=("step", "unit"))
        group.create_array("step", data=np.arange(40) // 8, dimension_names=("step",))
    nodes = log_nodes(tmp_path / "log.zarr")
    for selection in (Selection(by="step"), Selection(halflife=3.0), Selection(precision="fast"), Selection()):
        check(requests(nodes, selection))


@pytest.mark.skipif(not compiled(), reason="numpy folds one by one")
def test_ordinary_arrays_are_folded_in_one_go(tmp_path, monkeypatch):
    for number in range(20):
        np.save(tmp_path / f"a{number:02}.npy", np.random.default_rng(number).normal(size=(50, 4)))
    monkeypatch.setattr(stacks, "fold", None)
    chosen = requests(log_nodes(tmp_path), Selection())
    found = folded_here(batches(chosen, list(plans_of(chosen).values())))
    for path, one in found.items():
        x = np.load(tmp_path / f"{path}.npy")
        np.testing.assert_allclose(one.cov(), np.cov(x.T, ddof=0), rtol=1e-12, atol=1e-15)
        assert same_bits(one.deferred.joined(), covdist.moments(x).deferred.joined())
    assert fold_side_by_side(np.ones((3, 4, 1)), 0) is None


@pytest.mark.skipif(not compiled(), reason="numpy folds one by one")
def test_states_of_a_batch_travel_in_a_stack(tmp_path):
    for number in range(64):
        np.save(tmp_path / f"a{number:02}.npy", np.random.default_rng(number).normal(size=(50, 4)))
    chosen = requests(log_nodes(tmp_path), Selection())
    (batch,) = batches(chosen, list(plans_of(chosen).values()))
    pickled = pickletools.genops(pickle.dumps(batch.folds().states()))
    assert sum(operation.name == "REDUCE" for operation, *_ in pickled) < 64  # of one by one: a dozen arrays for each

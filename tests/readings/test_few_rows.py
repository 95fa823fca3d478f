"""Groups of few rows keep these in place of matrices: all reads the same, and files are no larger than the log."""

from __future__ import annotations

import pickle

import dask.array as da
import ml_dtypes
import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import NonFiniteError
from covdist.jobs.states import dump_state, load_state
from covdist.kernel import threads as kernel_threads
from covdist.kernel.threads import allowed
from covdist.numerics.accumulator import Options
from covdist.state.few_rows import FewRows, Folding
from covdist.state.grouped import Grouped
from covdist.state.scatter import Scatter

COLUMNS, GROUPS = 32, 40
ROWS = 7 * GROUPS
RNG = np.random.default_rng(11)
X = (RNG.normal(size=(ROWS, COLUMNS)) @ RNG.normal(size=(COLUMNS, COLUMNS)) + 50).astype(np.float32)
BY = RNG.permutation(np.r_[np.repeat(np.arange(GROUPS - 1), 4), np.full(ROWS - 4 * (GROUPS - 1), GROUPS - 1)])
W = RNG.uniform(0.5, 2, ROWS)


def kept(m: covdist.Moments) -> tuple[int, int]:
    """Return how many groups are kept as rows, and how many are folded."""
    return len(m.state.few.codes()), len(m.state.folded)


@pytest.mark.parametrize(
    "data", [X, X.astype(np.float16), X.astype(int), X > 50, X.astype(np.float64)], ids=lambda data: str(data.dtype)
)
def test_groups_of_few_rows_read_as_those_of_many(data):
    m = covdist.moments(data, by=BY)
    assert kept(m) == (GROUPS - 1, 1)
    parts = [data[group == BY].astype(float) for group in range(GROUPS)]
    np.testing.assert_array_equal(m.count, [len(part) for part in parts])
    np.testing.assert_allclose(m.mean(), [part.mean(axis=0) for part in parts], rtol=1e-14)
    np.testing.assert_allclose(m.var(), [part.var(axis=0) for part in parts], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(m.cov(ddof=1), [np.cov(part.T) for part in parts], rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(m.sel(group=3).corr(), covdist.corr(data[BY == 3]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(m.merge("group").cov(), np.cov(data.astype(float).T, ddof=0), rtol=1e-11, atol=1e-10)


def test_bfloat16_is_kept_as_float32(tmp_path):
    data = X.astype(ml_dtypes.bfloat16)
    m = covdist.moments(data, by=BY)
    assert kept(m) == (GROUPS - 1, 1)
    m.save(tmp_path / "m.zarr")
    alone = covdist.moments(data[BY == 4])
    for one in (m, covdist.load(tmp_path / "m.zarr")):
        xr.testing.assert_identical(one.sel(group=4).dataset.drop_attrs(), alone.dataset.drop_attrs())


READINGS = {
    "cov": lambda m: m.cov(),
    "unbiased": lambda m: m.cov(ddof=1),
    "half": lambda m: m.cov(ddof=0.3),
    "corr": lambda m: m.corr(),
    "var": lambda m: m.var(ddof=1),
    "mean": lambda m: m.mean(),
    "count": lambda m: m.count,
    "rows": lambda m: m.rows,
}


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize(("columns", "dtype"), [(12, "f4"), (32, "f8"), (255, "f2"), (256, "i8"), (257, "f4")])
def test_answers_of_all_groups_at_once_are_those_of_each(name, columns, dtype, monkeypatch):
    rng = np.random.default_rng(columns)
    by = np.r_[rng.integers(0, 20, 80) * 2, 77, 78, 78]  # not every code, and one row alone
    data = rng.normal(5, 2, (len(by), columns)).astype(dtype)
    data[by == 4], data[::3, 1], data[by == 6, 0] = 3, 0, 0
    if dtype == "f8":
        data[by == 8, 0] *= 1e-200  # wants a closer look
        data[by == 10, 2] = np.nan
    m = covdist.moments(data, by=by, missing="drop")
    assert kept(m)[0] > 15
    found = READINGS[name](m)
    monkeypatch.setattr("covdist.results.deferred.answers", lambda *_: None)
    assert found.identical(READINGS[name](m))


KINDS = {
    "cross": {"y": X[:, :20] * 2},
    "norms": {"state": "norms"},
    "together": {"state": ("full", "higher")},
    "fast": {"precision": "fast"},
    "pairwise": {"missing": "pairwise"},
    "dropped": {"missing": "drop"},
    "propagated": {"missing": "propagate"},
    "weighted": {"weights": W},
    "frequency": {"weights": np.arange(ROWS) % 3},
}


def holes(options: dict) -> np.ndarray:
    data = X.copy()
    if "missing" in options:
        data[::9, 3] = np.nan
    return data


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_every_state_is_kept_written_and_read_as_each_group_alone(options, tmp_path):
    data = holes(options)
    m = covdist.moments(data, by=BY, **options)
    assert kept(m)[0] >= GROUPS - 1
    m.save(tmp_path / "m.zarr")
    loaded = covdist.load(tmp_path / "m.zarr")
    assert kept(loaded) == kept(m)
    for group in (0, 17, GROUPS - 1):
        rows = group == BY
        cut = {key: value[rows] if key in ("y", "weights") else value for key, value in options.items()}
        alone = covdist.moments(data[rows], **cut)
        for one in (m, loaded):
            xr.testing.assert_identical(one.sel(group=group).dataset.drop_attrs(), alone.dataset.drop_attrs())
    assert loaded.cov().identical(m.cov())


def test_a_file_of_small_groups_is_no_larger_than_their_rows(tmp_path):
    data, by = RNG.normal(size=(5000, 256)).astype(np.float32), np.arange(5000) // 50
    m = covdist.moments(data, by=by)
    m.save(tmp_path / "m.zarr")
    size = sum(file.stat().st_size for file in (tmp_path / "m.zarr").rglob("*"))
    assert size < 1.2 * data.nbytes
    assert covdist.plan(data, by=by).bytes_written == data.nbytes


@pytest.mark.parametrize("at", [40, 155, 270])
def test_sums_of_kept_and_folded_groups(at):
    first, second = (covdist.moments(X[part], by=BY[part]) for part in (slice(at), slice(at, None)))
    whole = covdist.moments(X, by=BY)
    for total in (first + second, second + first):
        assert kept(total) == kept(whole)
        np.testing.assert_array_equal(total.count, whole.count)
        np.testing.assert_allclose(total.cov(), whole.cov(), rtol=1e-11, atol=1e-11)


def test_rows_of_other_dtypes_weights_and_options_add_up():
    whole = covdist.moments(X, by=BY)
    half = slice(ROWS // 2), slice(ROWS // 2, None)
    others = [
        covdist.moments(X[half[1]].astype(np.float64), by=BY[half[1]]),
        covdist.moments(X[half[1]], by=BY[half[1]], weights=np.ones(ROWS // 2, int)),
        covdist.moments(X[half[1]], by=BY[half[1]], missing="drop"),
    ]
    for other in others:
        total = covdist.moments(X[half[0]], by=BY[half[0]]) + other
        np.testing.assert_allclose(total.cov(), whole.cov(), rtol=1e-11, atol=1e-11)


def test_groups_grow_beyond_few_rows():
    total = covdist.moments(X[:COLUMNS], by=np.arange(COLUMNS) % 4)
    assert kept(total) == (4, 0)
    more = total + total
    assert kept(more) == (0, 4)
    assert more.count.values.tolist() == [16] * 4
    np.testing.assert_allclose(more.cov(), total.cov(), rtol=1e-12, atol=1e-12)


def test_several_coordinates_merge_to_more_rows():
    coords = {"epoch": ("sample", np.arange(ROWS) % 20), "half": ("sample", np.arange(ROWS) // (ROWS // 2))}
    m = covdist.moments(xr.DataArray(X, dims=("sample", "unit"), coords=coords), dim="sample", by=("epoch", "half"))
    assert kept(m) == (40, 0)
    halves = m.merge("epoch")
    assert kept(halves) == (0, 2)
    np.testing.assert_allclose(halves.cov()[0], np.cov(X[: ROWS // 2].astype(float).T, ddof=0), rtol=1e-11, atol=1e-10)


def test_within_and_between_add_up_to_the_whole():
    m = covdist.moments(X, by=BY)
    total = m.within("group").cov() + m.between("group").cov()
    np.testing.assert_allclose(total, m.merge("group").cov(), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("chunk", [13, 70, ROWS])
def test_a_bad_row_is_named_at_once(chunk):
    data = X.copy()
    data[111, 5] = np.nan
    with pytest.raises(NonFiniteError, match="row 111, column 5"):
        covdist.moments(da.from_array(data, chunks=(chunk, -1)), by=BY).compute(scheduler="sync")


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("chunk", [11, 64])
def test_lazily_the_same(chunk, scheduler):
    m = covdist.moments(da.from_array(X, chunks=(chunk, -1)), by=BY)
    found = dict(zip(("cov", "var"), da.compute(m.cov().data, m.var().data, scheduler=scheduler), strict=True))
    here = covdist.moments(X, by=BY)
    np.testing.assert_allclose(found["cov"], here.cov(), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found["var"], here.var(), rtol=1e-11, atol=1e-11)


def test_checkpoints_hold_rows():
    def accumulator():
        return Grouped.accumulator(Folding.of(Scatter, (COLUMNS,), Options()), 1 << 16)

    one = accumulator()
    one.add(X, by=BY, reliability=W)
    state = one.state()
    found = load_state(accumulator, dump_state(state))
    assert list(found) == list(state)
    assert len(found.few) == len(state.few)
    np.testing.assert_array_equal(found[5].triangle, state[5].triangle)
    np.testing.assert_array_equal(found.merge(state)[GROUPS - 1].triangle, state.merge(state)[GROUPS - 1].triangle)


def test_older_versions_refuse_a_file_with_rows(tmp_path):
    covdist.moments(X, by=BY).save(tmp_path / "m.zarr")
    covdist.moments(X).save(tmp_path / "plain.zarr")
    assert xr.open_zarr(tmp_path / "m.zarr", consolidated=False).attrs["covdist"] == 3
    assert xr.open_zarr(tmp_path / "plain.zarr", consolidated=False).attrs["covdist"] == 1


def test_a_notebook_shows_no_arrays_that_take_seconds_to_make():
    data, by = np.zeros((200, 1500), np.float32), np.arange(200) // 20
    assert "xarray" in covdist.moments(X, by=BY)._repr_html_()
    assert "xarray" not in covdist.moments(data, by=by)._repr_html_()


def test_each_group_is_folded_once_for_all_fields(monkeypatch):
    m = covdist.moments(X, by=BY)
    folded, state = [], FewRows.state
    monkeypatch.setattr(FewRows, "state", lambda few, code: folded.append(code) or state(few, code))
    assert m.dataset["scatter"].shape == (GROUPS, COLUMNS, COLUMNS)
    assert sorted(folded) == list(range(GROUPS - 1))


def test_no_scratch_memory_travels_with_the_rows():
    m = covdist.moments(X, by=BY)
    before = len(pickle.dumps(m.state))
    m.cov()
    assert len(pickle.dumps(m.state)) < before + 10_000
    assert pickle.loads(pickle.dumps(m)).cov().identical(m.cov())


@pytest.mark.parametrize("codes", [[3, -1, 0, 3, 7], [70_000, -1, 3, 70_000, 0], [-70_000, 5, 40_000, 5, -1]])
def test_rows_stay_in_order_whatever_their_codes(codes, monkeypatch):
    monkeypatch.setattr(kernel_threads, "_LEAST", 1)
    by, rows = np.tile(codes, 2000), np.arange(20_000.0).reshape(-1, 2)
    order = np.argsort(by, kind="stable")[np.count_nonzero(by < 0) :]
    for threads in (1, 2):
        with allowed(lambda threads=threads: threads):
            found = FewRows.of(Folding.of(Scatter, (2,), Options()), by, [rows], {"weights": rows[:, 0]})
        np.testing.assert_array_equal(found.by, by[order])
        np.testing.assert_array_equal(found.blocks[0], rows[order])
        np.testing.assert_array_equal(found.vectors["weights"], rows[order, 0])

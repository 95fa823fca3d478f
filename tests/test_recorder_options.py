"""Options of a Recorder: dtypes, chunks, steps, units, projections and a size, each as it was asked for."""

from __future__ import annotations

import json
import tempfile
import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import covdist
from covdist.errors import DataError
from covdist.logs.opening import open_log
from covdist.record.options.dtypes import FLOATS
from covdist.record.options.kept import UNITS
from covdist.record.projection import matrix
from covdist.record.recorder import Recorder

RNG = np.random.default_rng(0)


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def data_type(path: object) -> object:
    return json.loads((path / "zarr.json").read_text())["data_type"]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("given_as", ["name", "dtype"])
def test_floats_are_recorded_rounded_to_a_dtype(tmp_path, name, given_as):
    dtype = dtype_of(name)
    data = RNG.normal(0, 3, (5, 3, 4)).astype("f4")
    for mode, steps in (("x", range(3)), ("a", range(3, 5))):
        with Recorder(tmp_path / "log", mode=mode, chunk=2, dtype=name if given_as == "name" else dtype) as rec:
            for step in steps:
                rec.log(step, {"n/a": data[step], "n/gradient": data[step], "n/label": np.arange(3), "loss": 1e9})
    log = open_log(tmp_path / "log")
    expected = data.reshape(-1, 4).astype(dtype).astype("f8")
    np.testing.assert_array_equal(log["n/a"].astype("f8"), expected)
    np.testing.assert_array_equal(log["n/gradient"].astype("f8"), expected.reshape(5, 12))
    assert data_type(tmp_path / "log/n/a") == name
    assert log["n/label"].dtype == "i8"
    np.testing.assert_array_equal(log["loss"], [1e9] * 5)
    np.testing.assert_allclose(covdist.cov(log["n/a"], dim="sample"), np.cov(expected.T, ddof=0), rtol=1e-10)


@settings(deadline=None, max_examples=50)
@given(name=st.sampled_from(FLOATS[2:]), seed=st.integers(0, 999), rows=st.integers(1, 9), chunk=st.integers(1, 4))
def test_what_is_read_back_is_what_was_logged_cast(name, seed, rows, chunk):
    dtype = dtype_of(name)
    bits = np.random.default_rng(seed).integers(0, 256, (2, rows, 3 * dtype.itemsize), np.uint8)
    with np.errstate(invalid="ignore"):  # of signalling NaN
        data = bits.view(dtype).astype("f8")
    with tempfile.TemporaryDirectory() as folder:
        with Recorder(f"{folder}/log", chunk=chunk, dtype={"n/*": name}) as rec:
            for step in range(2):
                rec.log(step, {"n/a": data[step]})
        np.testing.assert_array_equal(open_log(f"{folder}/log")["n/a"], data.reshape(-1, 3))


@pytest.mark.parametrize(("name", "value", "most"), [
    ("float16", 70_000, "6.55e"), ("float8_e5m2", 1e6, "5.734e"), ("float8_e4m3fn", 500, "448"),
    ("float8_e4m3fn", np.inf, "448"), ("bfloat16", 3.4e38, "3.39e"), ("float32", 1e39, "3.403e"),
])  # fmt: skip
def test_values_that_a_dtype_cannot_hold_are_refused(tmp_path, name, value, most):
    data = np.array([[1.0, 2.0], [3.0, -value]])
    with Recorder(tmp_path / "log", dtype=name) as rec:
        with pytest.raises(DataError, match=rf"n/a has 1 values that {name} cannot hold, .*{most}.*bfloat16"):
            rec.log(0, {"n/a": data})
        rec.log(0, {"n/a": np.array([[1.0, np.nan]])})
        if name != "float8_e4m3fn":
            rec.log(1, {"n/a": np.array([[-np.inf, np.inf]])})
    assert np.isnan(open_log(tmp_path / "log")["n/a"].values[0, 1])


def test_values_that_become_zero_are_warned_of_once(tmp_path):
    data = np.array([[1e-30, 0.0, 1.0]], "f4")
    with Recorder(tmp_path / "log", dtype={"n/a": "float16", "n/b": "bfloat16"}) as rec:
        with pytest.warns(UserWarning, match=r"n/a has 1 values of 3 that are too small for float16") as found:
            rec.log(0, {"n/a": data, "n/b": data, "n/c": data})
        assert found[0].filename == __file__
        rec.log(1, {"n/a": data, "n/b": data, "n/c": data})
    log = open_log(tmp_path / "log")
    assert (log["n/a"].values[0, 0], log["n/c"].dtype) == (0, "f4")
    assert (log["n/b"].values[:, 0] > 0).all()


def test_one_warning_a_call_names_all_arrays_whose_values_become_zero(tmp_path):
    data = np.array([[1e-30, 2e-30, 1.0]], "f4")
    arrays = {"n/a": data[:, 1:], **{f"n/{name}": data for name in "bcdefgh"}}
    with Recorder(tmp_path / "log", dtype="float16") as rec:
        with pytest.warns(UserWarning, match="too small") as found:
            rec.log(0, arrays)
        rec.log(1, arrays)
        with pytest.warns(
            UserWarning, match=r"^m/a has 2 values of 3 .* are recorded as 0, which is said once an array"
        ):
            rec.log(2, arrays | {"m/a": data})
    assert [str(each.message) for each in found] == [
        "n/b has 2 values of 3 that are too small for float16 and are recorded as 0 (others have some, too: n/a, n/c, "
        "n/d, n/e and 3 more), which is said once an array: record it in a wider dtype, dtype={'n/b': 'bfloat16'} or "
        "'float32', or scale it."
    ]


def test_the_first_pattern_counts(tmp_path):
    data = np.ones((2, 3), "f4")
    with Recorder(tmp_path / "log", dtype={"n/a": "float64", "n/*": "float16"}) as rec:
        rec.log(0, {"n/a": data, "n/b": data, "m/a": data})
    log = open_log(tmp_path / "log")
    assert [log[name].dtype for name in ("n/a", "n/b", "m/a")] == ["f8", "f2", "f4"]


def test_other_options_for_a_log_that_goes_on(tmp_path):
    data = RNG.normal(size=(2, 3)).astype("f4")
    for mode, dtype in (("x", "bfloat16"), ("a", None), ("a", "float8_e5m2")):
        with Recorder(tmp_path / "log", mode=mode, dtype=dtype) as rec:
            rec.log({None: 1, "bfloat16": 0}.get(dtype, 2), {"a": data})
    expected = [*data.astype(ml_dtypes.bfloat16), *data, *data.astype(ml_dtypes.float8_e5m2)]
    np.testing.assert_array_equal(open_log(tmp_path / "log")["a"], np.array(expected, "f4"))
    with Recorder(tmp_path / "two", dtype="float8_e5m2") as rec:
        rec.log(0, {"a": data})
    other = Recorder(tmp_path / "two", mode="a", dtype="float8_e4m3fn")
    with other as rec, pytest.raises(DataError, match="no dtype holds both exactly"):
        rec.log(1, {"a": data})


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_chunks_have_as_many_rows_as_asked(tmp_path, rows):
    data = RNG.normal(size=(40, 5, 6)).astype("f4")
    with Recorder(tmp_path / "log", chunk=rows, chunk_bytes=64) as rec:
        for step in range(40):
            rec.log(step, {"n/a": data[step], "n/b": data[step, :, :2], "n/gradient": data[step]})
    log = open_log(tmp_path / "log")
    for name, whole in (
        ("a", data.reshape(200, 6)),
        ("b", data.reshape(200, 6)[:, :2]),
        ("gradient", data.reshape(40, 30)),
    ):
        np.testing.assert_array_equal(log[f"n/{name}"], whole)
        assert set(log[f"n/{name}"].data.chunks[0][:-1]) <= {rows}


def test_a_chunk_must_fit_into_memory(tmp_path):
    with Recorder(tmp_path / "log", chunk=1000, memory="1MiB") as rec:
        with pytest.raises(DataError, match=r"chunk=1000 rows of n/a are 4,000,000 bytes, more than memory="):
            rec.log(0, {"n/a": np.zeros((2, 1000), "f4")})
        rec.log(0, {"n/a": np.zeros((2, 10), "f4")})


def test_steps_stay_with_their_rows_where_other_layers_record_other_steps(tmp_path):
    with Recorder(tmp_path / "log", every={"*/gradient": 3}) as rec:
        for step in range(9):
            rec.log(step, {"n/gradient": np.full(3, step), "loss": step}, epoch=step // 6)
    found = open_log(tmp_path / "log")["n/gradient"]
    assert (found.coords["step"].values.tolist(), found.coords["epoch"].values.tolist()) == ([0, 3, 6], [0, 0, 1])


@settings(deadline=None, max_examples=30)
@given(
    every=st.integers(1, 5),
    other=st.integers(1, 5),
    steps=st.lists(st.integers(0, 60), unique=True),
    cut=st.integers(0, 30),
)
def test_steps_are_recorded_by_their_number(every, other, steps, cut):
    steps = sorted(steps)
    with tempfile.TemporaryDirectory() as folder:
        for mode, part in (("x", steps[:cut]), ("a", steps[cut:])):
            with Recorder(f"{folder}/log", mode=mode, every={"*/gradient": every, "loss": other}) as rec:
                for step in part:
                    rec.log(step, {"n/gradient": np.full(3, step), "loss": step, "n/a": np.full((2, 2), step)})
                    assert rec.wants(step, "n/gradient") == (step % every == 0)
        log = open_log(f"{folder}/log") if steps else {}
        for name, kept in (("n/gradient", every), ("loss", other), ("n/a", 1)):
            expected = [step for step in steps if step % kept == 0]
            if expected:
                found = log[name]
                assert np.unique(found).tolist() == expected
                assert np.unique(found.coords[next(c for c in found.coords if c.endswith("step"))]).tolist() == expected


def test_chosen_units(tmp_path):
    data, images = RNG.normal(size=(4, 6, 50)), RNG.normal(size=(4, 6, 3, 2, 2)).astype("f4")
    units = {"n/a": [7, 3], "n/image": (2,), "n/gradient": np.array([0, 299]), "n/b": 5, "n/c": 5, "n/d": 99}
    for mode, steps in (("x", range(2)), ("a", range(2, 4))):
        with Recorder(tmp_path / "log", mode=mode, units=units) as rec:
            for step in steps:
                arrays = {f"n/{name}": data[step] for name in "abcd"}
                rec.log(step, {**arrays, "n/gradient": data[step], "n/image": images[step], "n/label": np.zeros(6)})
    log, whole = open_log(tmp_path / "log"), data.reshape(24, 50)
    np.testing.assert_array_equal(log["n/a"], whole[:, [7, 3]])
    np.testing.assert_array_equal(log["n/image"], images.reshape(24, 3, 2, 2)[:, [2]])
    np.testing.assert_array_equal(log["n/gradient"], data.reshape(4, 300)[:, [0, 299]])
    np.testing.assert_array_equal(log["n/d"], whole)
    drawn = log["n/b"].attrs[UNITS]["units"]
    assert drawn == log["n/c"].attrs[UNITS]["units"] == sorted(set(drawn))
    assert (len(drawn), log["n/b"].attrs[UNITS]["width"]) == (5, 50)
    np.testing.assert_array_equal(log["n/b"], whole[:, drawn])
    assert len({log[f"n/{name}"].dims[1] for name in "abd"}) == 3
    assert UNITS not in log["n/d"].attrs


def test_drawn_units_depend_on_the_seed(tmp_path):
    found = []
    for seed in (0, 0, 1):
        path = tmp_path / str(len(found))
        with Recorder(path, units=10, seed=seed) as rec:
            rec.log(0, {"a": np.zeros((2, 1000)), "label": np.zeros(2), "loss": 0.5})
        found.append(open_log(path)["a"].attrs[UNITS]["units"])
    assert found[0] == found[1] != found[2]
    assert found[0] == [4, 159, 288, 379, 384, 432, 455, 468, 763, 936] or len(set(found[0])) == 10


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4", "?"])
def test_projections_are_those_that_the_log_describes(tmp_path, kind):
    data = RNG.normal(0, 3, (5, 8, 30)).astype(kind)
    for mode, steps in (("x", range(3)), ("a", range(3, 5))):
        with Recorder(tmp_path / "log", mode=mode, project={"n/*": 16}, seed=7) as rec:
            for step in steps:
                rec.log(step, {"n/a": data[step], "n/gradient": data[step], "n/b": data[step, :, :16]})
    log = open_log(tmp_path / "log")
    exact = data.astype("f8")
    for name, rows in (("n/a", exact.reshape(40, 30)), ("n/gradient", exact.reshape(5, 240))):
        np.testing.assert_allclose(log[name], rows @ matrix(log[name].attrs), rtol=1e-5, atol=1e-4)
        assert log[name].dtype == ("f8" if kind in ("f8", "i4") else "f4")
    np.testing.assert_array_equal(log["n/b"], data.reshape(40, 30)[:, :16])
    P = matrix(log["n/a"].attrs).toarray().astype("f8")
    expected = P.T @ np.cov(exact.reshape(40, 30).T, ddof=0) @ P
    np.testing.assert_allclose(covdist.cov(log["n/a"], dim="sample"), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(DataError, match="no attribute covdist_projection"):
        matrix(log["n/b"].attrs)


@pytest.mark.parametrize("columns", [1, 5, 8, 64])
def test_projections_keep_squared_norms_in_expectation(columns):
    """E[P Pᵀ] is the identity: over seeds the mean is, within five standard errors."""
    seeds = 400
    products = np.zeros((20, 20))
    for seed in range(seeds):
        P = matrix({"covdist_projection": {"width": 20, "columns": columns, "seed": seed}})
        products += (P @ P.T).toarray() / seeds
    np.testing.assert_allclose(np.diag(products), 1, rtol=1e-6)
    assert np.abs(products - np.diag(np.diag(products))).max() < 5 / np.sqrt(seeds * columns)


def test_a_log_that_goes_on_keeps_its_units_and_projections(tmp_path):
    with Recorder(tmp_path / "log", units={"n/a": 2}, project={"n/b": 3}) as rec:
        rec.log(0, {"n/a": np.zeros((2, 9)), "n/b": np.zeros((2, 9))})
    for options, name in (({}, "n/a"), ({"units": {"n/a": 2}, "seed": 1}, "n/a"), ({"project": {"n/b": 2}}, "n/b")):
        said = rf"{name} is recorded with .* in the log and .* now: give the same"
        with Recorder(tmp_path / "log", mode="a", **options) as rec, pytest.raises(DataError, match=said):
            rec.log(1, {name: np.zeros((2, 9))})


def test_rows_of_another_shape_are_refused(tmp_path):
    with Recorder(tmp_path / "log", units={"n/a": 2}, project={"n/b": 3}) as rec:
        rec.log(0, {"n/a": np.zeros((2, 9)), "n/b": np.zeros((2, 9))})
        for name in ("n/a", "n/b"):
            with pytest.raises(DataError, match=r"rows of shape \(8,\), expected \(9,\) as logged before"):
                rec.log(1, {name: np.zeros((2, 8))})
        with pytest.raises(DataError, match="dtype complex128"):
            rec.log(1, {"n/a": np.zeros((2, 9), complex)})
    with Recorder(tmp_path / "two", units={"*": [9]}, project={"b": 2}) as rec:
        with pytest.raises(DataError, match="a has 9 units, numbered from 0, and units= asks for number 9"):
            rec.log(0, {"a": np.zeros((2, 9))})
        with pytest.raises(DataError, match="b is named by both units= and project="):
            rec.log(0, {"b": np.zeros((2, 19))})
    said = "whose projection needs a matrix of 104,000 bytes"
    with Recorder(tmp_path / "three", project=5, memory=1000) as rec, pytest.raises(DataError, match=said):
        rec.log(0, {"a": np.zeros((2, 1000))})


@pytest.mark.parametrize(("options", "message"), [
    ({"dtype": "int8"}, "dtype must be one of float64,"), ({"dtype": "float7"}, "dtype must be one of"),
    ({"dtype": {"a": complex}}, "dtype must be one of"), ({"dtype": object()}, "dtype must be one of"),
    ({"chunk": 0}, "chunk must be a whole number from 1, found 0"), ({"chunk": 2.5}, "chunk must be a whole"),
    ({"chunk": True}, "chunk must be a whole"), ({"chunk_bytes": "8MiB"}, "chunk_bytes must be a whole"),
    ({"every": 0}, "every must be a whole number from 1"), ({"every": {"a": "2"}}, "every must be"),
    ({"units": 0}, "units must be a whole"), ({"units": {"a": []}}, "units must be different numbers"),
    ({"units": [1, 1]}, "units must be different"), ({"units": [-1]}, "units must be a whole number from 0"),
    ({"units": "ab"}, "units must be"), ({"project": -4}, "project must be"), ({"seed": -1}, "seed must be a whole"),
    ({"seed": None}, "seed must"), ({"max_bytes": "much"}, "max_bytes must be bytes"), ({"max_bytes": 0}, "max_bytes"),
])  # fmt: skip
def test_wrong_options_leave_nothing_behind(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        Recorder(tmp_path / "log", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("most", ["64KiB", 300_000, "1MiB"])
def test_a_log_takes_no_more_than_it_may(tmp_path, most):
    rows = RNG.normal(size=(60, 8, 50)).astype("f4")
    steps, full = 0, False
    for mode in ("x", "a"):
        with Recorder(tmp_path / "log", mode=mode, max_bytes=most) as rec, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for step in range(steps, 200):
                rec.log(step, {f"l{n}/a": rows[step % 60] for n in range(5)}, epoch=0)
                steps += rec.wants(step, "l0/a")
        assert len(said) == 1
        assert "would exceed max_bytes=" in str(said[0].message)
        assert (said[0].filename, full) == (__file__, mode == "a")
        full = True
    bytes_ = sum(file.stat().st_size for file in (tmp_path / "log").rglob("*") if file.is_file())
    allowed = {"64KiB": 1 << 16, "1MiB": 1 << 20}.get(most, most)
    assert bytes_ <= allowed
    if steps:
        np.testing.assert_array_equal(open_log(tmp_path / "log")["l3/a"], rows[np.arange(steps) % 60].reshape(-1, 50))
        assert bytes_ > 0.7 * allowed - 5 * 4 * 4096

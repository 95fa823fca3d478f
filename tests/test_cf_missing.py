"""What ``_FillValue`` and ``missing_value`` mark, whatever type they have: against exact comparison."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from test_cf import stored

import covdist
from covdist.errors import LogError

LARGE = 2**53
STORED = {
    "i1": [[1, -2], [-9, 4], [5, 100]],
    "u1": [[1, 2], [247, 4], [5, 255]],
    "i2": [[1, -999], [-9, 4], [5, 100]],
    "i8": [[1, -999], [LARGE + 1, LARGE], [-1, 2**63 - 1]],
    "u8": [[1, 2**64 - 1], [LARGE + 1, LARGE], [5, 2**63]],
    "f2": [[1, -999], [-9, 0.1], [np.inf, 0]],
    "f4": [[1, -999], [-9, 0.1], [np.inf, 0]],
    "f8": [[1, -999], [-9, 0.1], [np.inf, 0]],
}
MARKS = [
    -999, -999.0, 1.5, 0.5, LARGE + 1, float(LARGE), 2**64 - 1, 2.0**64, 2**63 - 1, -1, 255, 257, 65537, 247.0, -9,
    1e20, 1e300, 1e-300, [1, 5], [1.0, 4.5], [-999, 1e300], [1, 2**64 - 1], [-1, 2**63], 10**30, float("nan"),
]  # fmt: skip


def marked(stored: np.ndarray, marks: list[float]) -> np.ndarray:
    """Return which values equal a mark, as Python compares numbers; floats in their own precision."""
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore", under="ignore"):
            near = [(mark, float(stored.dtype.type(mark))) for mark in map(float, marks)]
        marks = [own for mark, own in near if np.isfinite(own) and (own != 0) == (mark != 0)]
    return np.array([[value in marks for value in row] for row in stored.tolist()])


@pytest.mark.parametrize("key", ["missing_value", "_FillValue"])
@pytest.mark.parametrize("mark", MARKS, ids=str)
@pytest.mark.parametrize("factors", [{}, {"scale_factor": 0.5}], ids=["plain", "scaled"])
def test_what_equals_a_mark_is_missing(tmp_path, key, mark, factors):
    for dtype, values in STORED.items():
        data = np.array(values, dtype)
        if key == "_FillValue" and (isinstance(mark, list) or dtype[0] == "f"):
            continue  # one is one number; xarray has a text of its own for floats
        stored(tmp_path / f"{dtype}.zarr", {key: mark, **factors}, data=data)
        found = covdist.open_log(tmp_path / f"{dtype}.zarr")["a"].values
        missing = marked(data, mark if isinstance(mark, list) else [mark])
        np.testing.assert_array_equal(np.isnan(found), missing, err_msg=dtype)
        expected = data.astype(found.dtype) * found.dtype.type(factors.get("scale_factor", 1))
        np.testing.assert_array_equal(found[~missing], expected[~missing], err_msg=dtype)


@pytest.mark.parametrize("key", ["missing_value", "_FillValue"])
@pytest.mark.parametrize("mark", [-1, 255, -9, 247, 247.0, 1, 1.5, 257, 65537, 2**64 - 1, -129, 1e300])
@pytest.mark.parametrize("unsigned", ["true", "false"])
def test_bits_whose_sign_an_attribute_tells(tmp_path, key, mark, unsigned):
    for dtype in ("i1", "u1", "i8", "u8"):
        data, size = np.array(STORED[dtype], dtype), 8 * int(dtype[1])
        stored(tmp_path / f"{dtype}.zarr", {key: mark, "_Unsigned": unsigned}, data=data)
        found = covdist.open_log(tmp_path / f"{dtype}.zarr")["a"].values
        meant = data.view(f"{'u' if unsigned == 'true' else 'i'}{data.itemsize}")
        possible = mark == int(mark) and -(2 ** (size - 1)) <= mark < 2**size
        missing = (data.view(f"u{data.itemsize}") == int(mark) % 2**size) & possible
        np.testing.assert_array_equal(np.isnan(found), missing, err_msg=dtype)
        np.testing.assert_array_equal(found[~missing], meant.astype(found.dtype)[~missing])


@pytest.mark.parametrize("mark", ["-999", "", True, [True], [None], ["1", "5"], [1, "5"]], ids=str)
def test_marks_of_integers_that_are_no_numbers(tmp_path, mark):
    stored(tmp_path / "a.zarr", {"missing_value": mark}, data=np.array(STORED["i2"], "i2"))
    with pytest.raises(LogError, match=r"^a: its attribute missing_value must be a number, found "):
        covdist.open_log(tmp_path / "a.zarr")


def test_flags_cannot_be_missing(tmp_path):
    """As xarray reads them, what is missing is true."""
    attrs = {"dtype": "bool", "missing_value": -1}
    stored(tmp_path / "a.zarr", attrs, data=np.array([[1, 0], [0, 1], [1, 1]], "i1"))
    assert covdist.open_log(tmp_path / "a.zarr")["a"].values.tolist() == [[True, False], [False, True], [True, True]]
    zarr.open_array(tmp_path / "a.zarr" / "a", mode="r+")[0, 1] = -1
    with pytest.raises(LogError, match="a has missing values among flags"):
        covdist.open_log(tmp_path / "a.zarr")["a"].compute()


@pytest.mark.parametrize(
    "mark", [np.int64(-999), np.float64(-999), np.array([-999, 5]), np.int16(-999), np.float32(-999)]
)
def test_marks_of_other_types_in_hdf5(tmp_path, mark):
    h5py, data = pytest.importorskip("h5py"), np.array(STORED["i2"], "i2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=data).attrs["missing_value"] = mark
    found = covdist.open_log(tmp_path / "a.h5")["a"].values
    np.testing.assert_array_equal(np.isnan(found), np.isin(data, mark))


@pytest.mark.parametrize("mark", ["-999", b"-999"])
def test_text_in_hdf5(tmp_path, mark):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=np.array(STORED["i2"], "i2")).attrs["missing_value"] = mark
    with pytest.raises(LogError, match="its attribute missing_value must be a number"):
        covdist.open_log(tmp_path / "a.h5")

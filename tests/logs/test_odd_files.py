"""Files that are valid and seldom seen: nothing in them is left out in silence, and no value becomes another."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import pytest

from covdist.errors import LogError
from covdist.logs.opening import open_log
from tests.logs.conformance import check_sentence
from tests.logs.test_torch import archive, mapping, tensor, text

X = np.arange(24, dtype="f4").reshape(8, 3)


def npy(data):
    stream = BytesIO()
    np.save(stream, data)
    return stream.getvalue()


def refused(path, said):
    with pytest.raises(LogError, match=said) as caught:
        open_log(path)
    check_sentence(str(caught.value))


def header(path, descr, shape, data=b""):
    lines = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(lines).to_bytes(2, "little") + lines + data)
    return path


def test_numpy_reads_members_of_any_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        for name in ("activation", "gradient.npy"):
            file.writestr(name, npy(X))
        file.writestr("README", b"as it was trained")
    log = open_log(tmp_path / "x.npz")
    assert set(log.data_vars) == {"activation", "gradient"}
    np.testing.assert_array_equal(log["activation"], np.load(tmp_path / "x.npz")["activation"])


def test_members_of_which_one_lacks_the_ending(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", npy(X))
        file.writestr("x", npy(X + 1))
    refused(tmp_path / "x.npz", "holds two arrays called x")


@pytest.mark.parametrize("shape", [(2**62, 0), (2**40, 2**40, 0)])
def test_arrays_of_no_entries_that_numpy_cannot_have(tmp_path, shape):
    refused(header(tmp_path / "x.npy", "'<f8'", shape), "as no array has")


def test_lists_within_entries(tmp_path):
    refused(header(tmp_path / "x.npy", "('<f8', (3,))", (2,), bytes(48)), "as no array has")


def test_a_version_of_the_format_that_is_not_there(tmp_path):
    data = bytearray(npy(X))
    data[6] = 9
    (tmp_path / "x.npy").write_bytes(data)
    refused(tmp_path / "x.npy", "does not begin with a readable NPY header")


@pytest.mark.parametrize("what", ["conj", "neg"])
def test_views_that_torch_negates_when_they_are_read(tmp_path, what):
    plain = tensor("0", X.shape, (3, 1))
    assert plain.endswith(b"tR")
    views = {"x": plain, "y": plain[:-2] + b"}" + text(what) + b"\x88s" + b"tR"}
    with pytest.warns(UserWarning, match=rf"y in .*resolve_{what}\(\)"):
        log = open_log(archive(tmp_path / "log.pt", mapping(views), {"0": X.tobytes()}))
    np.testing.assert_array_equal(log["x"], X)
    assert "y" not in log


def test_keys_of_torch_that_lead_to_one_name(tmp_path):
    x = tensor("0", X.shape, (3, 1))
    number = b"}(" + text("1") + x + b"I1\n" + x + b"u"
    refused(archive(tmp_path / "number.pt", number, {"0": X.tobytes()}), "holds two arrays called 1")
    within = mapping({"fc1": mapping({"x": x}), "fc1/x": x})
    refused(archive(tmp_path / "within.pt", within, {"0": X.tobytes()}), "holds two arrays called fc1/x")


def test_numbers_of_files_beyond_those_of_int64(tmp_path):
    for number in range(3):
        np.save(tmp_path / f"step_{10**30 + number}.npy", X)
    log = open_log(tmp_path)
    assert {name: each.shape for name, each in log.data_vars.items()} == {
        f"step_{10**30 + n}": (8, 3) for n in range(3)
    }
    joined = open_log(tmp_path, concat=True)
    assert [each.shape for each in joined.load().data_vars.values()] == [(24, 3)]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
class TestTables:
    def write(self, folder, ending, columns, names=None, called="x"):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        lists = [
            arrow.FixedSizeListArray.from_arrays(each.ravel(), 3) if np.ndim(each) == 2 else each for each in columns
        ]
        table = arrow.table(lists, names)
        path = folder / f"{called}.{ending}"
        if ending == "parquet":
            parquet.write_table(table, path)
        else:
            with arrow.ipc.new_file(path, table.schema) as file:
                file.write_table(table)
        return path

    def test_columns_of_one_name(self, tmp_path, ending):
        refused(self.write(tmp_path, ending, [X, X + 1], ["a", "a"]), "holds two arrays called a: rename")
        steps = [X, np.arange(8), np.arange(8) * 2]
        refused(self.write(tmp_path, ending, steps, ["a", "s", "s"], "y"), "holds two arrays called s: rename")

    def test_a_column_that_is_called_as_the_file(self, tmp_path, ending):
        columns = [np.arange(8), X[:, 0], X[:, 1]]
        refused(self.write(tmp_path, ending, columns, ["step", "a", "b"], "step"), "holds two arrays called step")

    def test_what_is_lost_is_known_by_its_name(self, tmp_path, ending):
        arrow = pytest.importorskip("pyarrow")
        path = self.write(tmp_path, ending, [arrow.array([1] * 8, arrow.time32("ms")), X], ["time of day", "0"])
        with pytest.warns(UserWarning, match="time of day cannot be read"):
            log = open_log(path)
        np.testing.assert_array_equal(log["0"], X)

    def test_labels_of_one_layer(self, tmp_path, ending):
        names = ["fc1/activation", "fc2/activation", "fc1/step", "label"]
        log = open_log(self.write(tmp_path, ending, [X, X + 1, np.arange(8), np.arange(8) * 2], names))
        assert set(log["fc1"].variables) == {"activation", "step", "label"}
        assert set(log["fc2"].variables) == {"activation", "label"}
        assert log["fc1/step"].values.tolist() == [*range(8)]

    def test_texts_as_views(self, tmp_path, ending):
        arrow = pytest.importorskip("pyarrow")
        words = arrow.array(["a", None, "longer than twelve"] * 2 + ["ß", ""], arrow.string_view())
        log = open_log(self.write(tmp_path, ending, [X, words], ["activation", "label"]))
        assert log["label"].values.tolist() == ["a", "", "longer than twelve"] * 2 + ["ß", ""]


@pytest.mark.parametrize("dtype", ["f8", "i8", ">f8", "f4"])
@pytest.mark.parametrize("rows", [1, 4])
def test_checksums_that_were_shuffled(tmp_path, dtype, rows):
    """netCDF's library puts the checksum first: the 4 bytes are no whole number of 8."""
    h5py = pytest.importorskip("h5py")
    kind = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    kind.set_chunk((rows, 1))
    kind.set_fletcher32()
    kind.set_shuffle()
    kind.set_deflate(1)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        of = h5py.h5t.py_create(np.dtype(dtype))
        made = h5py.h5d.create(file.id, b"x", of, h5py.h5s.create_simple(X.shape), kind)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, X.astype(dtype))
    np.testing.assert_array_equal(open_log(tmp_path / "x.h5")["x"], X)


def test_a_variable_that_netcdf_renames(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file["unit"] = np.zeros(3, "f4")
        file["unit"].make_scale("This is a netCDF dimension but not a netCDF variable.         3")
        file["_nc4_non_coord_unit"] = X
    log = open_log(tmp_path / "x.nc")
    assert [*log.data_vars] == ["unit"]
    np.testing.assert_array_equal(log["unit"], X)

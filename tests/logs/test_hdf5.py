"""HDF5 and NetCDF-4 files, held to what each format is, and to what the libraries that write them say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
import xarray as xr

from covdist.errors import LogError, MissingChunkError
from covdist.logs.dask_arrays import from_dask
from covdist.logs.opening import log_nodes, open_log
from tests.logs.conformance import NUMPY, FormatTests, check_sentence

h5py = pytest.importorskip("h5py")


class TestContiguous(FormatTests):
    dtypes = (*NUMPY, ">f4", ">i2", "complex64")

    def write(self, folder, arrays):
        with h5py.File(folder / "x.h5", "w", libver="latest") as file:
            for name, data in arrays.items():
                file.create_dataset(name, data=data, **self._options(data))
        return folder / "x.h5"

    def _options(self, data):
        return {}


class TestChunked(TestContiguous):
    def _options(self, data):
        return {"chunks": tuple(max(1, min(4, n)) for n in data.shape)} if data.ndim and data.size else {}


class TestPacked(TestChunked):
    def _options(self, data):
        options = super()._options(data)
        return options and {**options, "compression": "gzip", "shuffle": True, "fletcher32": True}


X = np.random.default_rng(0).normal(size=(60, 5)).astype("f4")


def made(path, write, **options):
    with h5py.File(path, "w", **options) as file:
        write(file)
    return path


def test_netcdf(tmp_path):
    """Names of dims, coordinates, scales and fill values are those that xarray reads."""
    pytest.importorskip("h5netcdf")
    x = np.where(X > 2, np.nan, X)
    data = xr.Dataset(
        {"activation": (("sample", "unit"), x, {"units": "V"}), "loss": ("sample", x[:, 0])},
        {"step": ("sample", np.arange(60)), "unit": [f"u{n}" for n in range(5)], "label": ("sample", list("ab" * 30))},
    )
    packed = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -9999, "chunksizes": (7, 5)}
    tree = xr.DataTree.from_dict({"/fc1": data, "/deep/fc2": data.rename(unit="out")[["activation"]]})
    tree.to_netcdf(tmp_path / "x.nc", encoding={"/fc1": {"activation": packed}}, engine="h5netcdf")
    found = open_log(tmp_path / "x.nc")
    with xr.open_datatree(tmp_path / "x.nc", engine="h5netcdf") as expected:
        for path in ("fc1", "deep/fc2"):
            mine, own = found[path].to_dataset(), expected[path].to_dataset()
            assert mine["activation"].dims == own["activation"].dims
            np.testing.assert_array_equal(mine["activation"], own["activation"])
            for name in own.coords:
                assert mine[name].dims == own[name].dims
                assert mine[name].values.tolist() == own[name].values.tolist()
    assert found["fc1/activation"].attrs["units"] == "V"
    assert found["fc1/activation"].data.chunksize == (7, 5)


def test_characters_without_letters_are_empty_texts(tmp_path):
    path = made(tmp_path / "x.h5", lambda file: file.create_dataset("kind", data=np.zeros((3, 2, 0), "S1")))
    assert open_log(path)["kind"].values.tolist() == [["", ""]] * 3


def test_netcdf4_library(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "x.nc", "w") as file:
        file.createDimension("step", None)
        file.createDimension("param", 5)
        file.createDimension("letter", 3)
        file.createVariable("gradient", "f4", ("step", "param"), fill_value=-1.0)[:] = X
        file.createVariable("step", "i8", ("step",))[:] = np.arange(60)
        file.createVariable("kind", "S1", ("param", "letter"))[:] = np.array(list("abcdefghijklmno")).reshape(5, 3)
        file["gradient"][61] = np.ones(5)
    found = open_log(tmp_path / "x.nc")
    assert found["gradient"].dims == ("step", "param")
    assert found["kind"].values.tolist() == ["abc", "def", "ghi", "jkl", "mno"]
    np.testing.assert_array_equal(found["gradient"], [*X, [np.nan] * 5, [1.0] * 5])


def test_groups_are_layers_and_each_object_is_read_once(tmp_path):
    def write(file):
        file["fc1/activation"] = X
        file["fc1/again"] = file["fc1/activation"]
        file["fc1/loop"] = file["/"]
        file["fc1/inner"] = file["fc1"]
        file["type"] = np.dtype("f4")

    nodes = log_nodes(made(tmp_path / "x.h5", write))
    assert {name for node in nodes.values() for name in node.entries} == {"activation"}
    assert not any(node.unreadable for node in nodes.values())


REFUSED = {
    "soft": lambda file: file.__setitem__("bad", h5py.SoftLink("/fc1/activation")),
    "soft-loop": lambda file: file.__setitem__("bad", h5py.SoftLink("/bad")),
    "soft-through": lambda file: file.update(
        {"e": h5py.ExternalLink("elsewhere.h5", "/"), "bad": h5py.SoftLink("/e/x")}
    ),
    "external": lambda file: file.__setitem__("bad", h5py.ExternalLink("elsewhere.h5", "/x")),
    "storage": lambda file: file.create_dataset("bad", (5,), "f4", external=[("elsewhere.bin", 0, 20)]),
    "virtual": lambda file: virtual(file, "elsewhere.h5"),
    "virtual-here": lambda file: virtual(file, "."),
    "compound": lambda file: file.create_dataset("bad", data=np.zeros(3, "i4,f4")),
    "references": lambda file: file.create_dataset("bad", (3,), h5py.ref_dtype),
    "regions": lambda file: file.create_dataset("bad", (3,), h5py.regionref_dtype),
    "ragged": lambda file: file.create_dataset("bad", (3,), h5py.vlen_dtype(np.dtype("f4"))),
    "opaque": lambda file: file.create_dataset("bad", data=np.zeros(3, "V5")),
    "empty": lambda file: file.create_dataset("bad", data=h5py.Empty("f4")),
    "unwritten": lambda file: file.create_dataset("bad", (3,), "f4"),
    "huge": lambda file: file.create_dataset("bad", (10**12, 10), "f4", chunks=(10, 10)),
    "huge-chunks": lambda file: file.create_dataset("bad", (10**15, 10), "f4", chunks=(10**8, 10)),
    "fill": lambda file: file.create_dataset("bad", data=X).attrs.__setitem__("_FillValue", "none"),
    "scale": lambda file: file.create_dataset("bad", data=X).attrs.__setitem__("scale_factor", [1.0, 2.0]),
}


def through(file):
    file["out"] = h5py.ExternalLink("elsewhere.h5", "/")
    file["bad"] = h5py.SoftLink(f"{file.name}/out/x")


def virtual(file, source):
    layout = h5py.VirtualLayout((60, 5), "f4")
    layout[:] = h5py.VirtualSource(source, "fc1/activation" if source == "." else "x", (60, 5))
    file.create_virtual_dataset("bad", layout)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(tmp_path, kind):
    made(tmp_path / "elsewhere.h5", lambda file: file.create_dataset("x", data=X))
    (tmp_path / "elsewhere.bin").write_bytes(bytes(20))

    def write(file):
        file["fc1/activation"] = X
        REFUSED[kind](file)

    path = made(tmp_path / "x.h5", write)
    opened = []
    sys.addaudithook(lambda event, told: opened.append(str(told[0])) if event == "open" else None)
    with pytest.warns(UserWarning, match="bad cannot be read"):
        found = open_log(path)
    np.testing.assert_array_equal(found["fc1/activation"], X)
    assert not any("elsewhere" in each for each in opened)


def test_no_other_file_is_opened(tmp_path):
    """The library opens files by itself, which no audit hook sees."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not there")
    made(tmp_path / "elsewhere.h5", lambda file: file.create_dataset("x", data=X))

    def write(file):
        file["x"] = X
        for kind in ("soft-through", "external", "storage", "virtual"):
            REFUSED[kind](file.create_group(kind))

    path = made(tmp_path / "x.h5", write)
    code = f"from covdist.logs.opening import log_nodes\nlog_nodes({str(path)!r})"
    done = subprocess.run(
        [strace, "-f", "-e", "trace=open,openat", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "x.h5" in done.stderr
    assert "elsewhere" not in done.stderr


def test_a_flipped_bit_names_the_chunk(tmp_path):
    options = {"chunks": (10, 5), "fletcher32": True}
    path = made(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=X, **options))
    with h5py.File(path) as file:
        start = file["x"].id.get_chunk_info_by_coord((30, 0)).byte_offset
    with open(path, "r+b") as file:
        file.seek(start + 7)
        file.write(bytes([file.read(1)[0] ^ 4]) if file.seek(start + 7) else b"")
    x = open_log(path)["x"]
    np.testing.assert_array_equal(x[:30], X[:30])
    with pytest.raises(LogError, match=r"x: chunk \(3, 0\) in .*x.h5 is damaged"):
        x.compute()


@pytest.mark.parametrize("fill", [None, -5.0])
def test_chunks_that_were_never_written(tmp_path, fill):
    def write(file):
        x = file.create_dataset("x", (60, 5), "f4", chunks=(10, 5), fillvalue=fill)
        x[:10] = X[:10]
        if fill is not None:
            x.attrs["_FillValue"] = np.float32(fill)

    x = open_log(made(tmp_path / "x.h5", write))["x"]
    np.testing.assert_array_equal(x[:10], X[:10])
    if fill is None:
        with pytest.raises(MissingChunkError, match=r"chunk \(1, 0\) was never written"):
            x[10:20].compute()
    else:
        assert np.isnan(x[10:]).all()


@pytest.mark.parametrize("fill", [None, 7.0])
def test_chunks_that_were_never_written_may_be_filled(tmp_path, fill):
    def write(file):
        file.create_dataset("fc1/x", (20, 5), "f4", chunks=(10, 5), fillvalue=fill)[:10] = X[:10]
        file["fc1/y"] = X

    path = made(tmp_path / "x.h5", write)
    x = open_log(path, missing_chunks="fill")["fc1/x"]
    np.testing.assert_array_equal(x, [*X[:10], *np.full((10, 5), fill or 0)])
    assert x.data.name != open_log(path)["fc1/x"].data.name
    with pytest.raises(MissingChunkError, match='by missing_chunks="fill"'):
        open_log(path)["fc1/x"].compute()
    np.testing.assert_array_equal(open_log(path, missing_chunks="fill")["fc1/y"], X)


@pytest.mark.parametrize("name", ["bomb", "short", "long"])
def test_chunks_that_lie(tmp_path, name):
    """Bytes that decode to more, or to less, than a chunk has."""
    data = {"bomb": zlib.compress(bytes(1 << 26)), "short": zlib.compress(b"1"), "long": os.urandom(5000)}[name]

    def write(file):
        x = file.create_dataset("x", (20, 5), "f4", chunks=(10, 5), compression="gzip")
        x[:] = X[:20]
        x.id.write_direct_chunk((10, 0), data)

    x = open_log(made(tmp_path / "x.h5", write))["x"]
    np.testing.assert_array_equal(x[:10], X[:10])
    tracemalloc.start()
    with pytest.raises(LogError, match=r"chunk \(1, 0\) .* is damaged"):
        x[10:].compute()
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_a_chunk_that_its_bytes_cannot_hold(tmp_path):
    def write(file):
        x = file.create_dataset("x", (1 << 28, 1), "f4", chunks=(1 << 28, 1), compression="gzip")
        x.id.write_direct_chunk((0, 0), zlib.compress(b"1"))

    x = open_log(made(tmp_path / "x.h5", write))["x"]
    with pytest.raises(LogError, match="cannot hold the"):
        from_dask(x.data).read_chunk((0, 0), np.empty(16, np.uint8))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzf"}, {"compression": "lzf", "fletcher32": True}, {"scaleoffset": 3}, {"compression": "szip"},
        {"shuffle": True}, {"compression": "gzip", "shuffle": True}, {},
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", ["f4", ">f8", "i2"])
def test_filters(tmp_path, options, of):
    data = (X * 100).astype(of)
    path = tmp_path / "x.h5"
    try:
        made(path, lambda file: file.create_dataset("x", data=data, chunks=(7, 3), **options))
    except (ValueError, OSError) as error:  # szip may not be there
        pytest.skip(str(error))
    with h5py.File(path) as file:
        expected = file["x"][:]
    x = open_log(path)["x"]
    assert from_dask(x.data).chunks == (7, 3)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(x[5:20, 2:4], expected[5:20, 2:4])


def test_a_filter_that_is_not_there(tmp_path):
    def write(file):
        kind = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kind.set_chunk((10, 5))
        kind.set_filter(32004, h5py.h5z.FLAG_OPTIONAL, ())
        file["fc1/x"] = X
        h5py.h5d.create(file.id, b"bad", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((60, 5)), kind)

    with pytest.warns(UserWarning, match="packed by the HDF5 filter 32004"):
        open_log(made(tmp_path / "x.h5", write))


def test_text_and_flags(tmp_path):
    words, enum = ["a", "ß", "", "longer"], h5py.enum_dtype({"RED": 0, "BLUE": 7}, basetype="i1")

    def write(file):
        file["x"] = X[:4]
        file["any"] = words
        file["fixed"] = np.array([word.encode() for word in words])
        file["flag"] = np.array([True, False, True, True])
        file.create_dataset("colour", data=np.array([0, 7, 0, 7], "i1"), dtype=enum)
        file.create_dataset("packed", data=words, chunks=(2,), compression="gzip", dtype=h5py.string_dtype())

    found = open_log(made(tmp_path / "x.h5", write))
    for name in ("any", "fixed", "packed"):
        assert found[name].values.tolist() == words
        assert name in found.coords
    assert found["flag"].values.tolist() == [True, False, True, True]
    assert found["colour"].values.tolist() == [0, 7, 0, 7]


def test_compact_and_with_a_block_before(tmp_path):
    def write(file):
        kind = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kind.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((6, 5))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, space, kind).write(space, space, X[:6])
        file["y"] = X
        file.create_dataset("z", data=X, chunks=(7, 5), compression="gzip")

    found = open_log(made(tmp_path / "x.h5", write, userblock_size=1024))
    np.testing.assert_array_equal(found["x"], X[:6])
    np.testing.assert_array_equal(found["y"], X)
    np.testing.assert_array_equal(found["z"], X)


def test_thousands_of_groups(tmp_path):
    def write(file):
        for number in range(3000):
            file[f"layer{number}/x"] = X[:2]

    path = made(tmp_path / "x.h5", write, libver="latest")
    assert len(log_nodes(path)) == 3001


def test_broken_files(tmp_path):
    (tmp_path / "y.h5").write_bytes(bytes(100))
    (tmp_path / "z.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + os.urandom(3000))
    for name, said in {"y.h5": "does not begin as", "z.h5": "cannot be read"}.items():
        with pytest.raises(LogError, match=said) as caught:
            open_log(tmp_path / name)
        check_sentence(str(caught.value))


def test_without_the_library(tmp_path, monkeypatch):
    path = made(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=X))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LogError, match=r"pip install 'covdist\[formats\]'"):
        open_log(path)


def test_numbered_files_share_the_labels_of_their_columns(tmp_path):
    for step in range(3):
        units = list("abc") if step < 2 else list("abd")
        data = xr.DataArray(np.full((4, 3), step), dims=("sample", "unit"), coords={"unit": units}, name="activation")
        data.to_netcdf(tmp_path / f"step_{step}.nc", engine="h5netcdf")
    with pytest.raises(LogError, match=r"labels the columns of .* differently"):
        open_log(tmp_path, concat=True)
    assert set(open_log(tmp_path).children) == {"step_0", "step_1", "step_2"}
    (tmp_path / "step_2.nc").unlink()
    x = open_log(tmp_path)["activation"]
    assert x.shape == (8, 3)
    assert x.unit.values.tolist() == ["a", "b", "c"]
    assert x.sample_step.values.tolist() == [0] * 4 + [1] * 4

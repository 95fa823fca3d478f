"""Logs: what zarr and numpy write is what open_log reads, header by header and chunk by chunk."""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from types import SimpleNamespace

import fsspec
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from fsspec.implementations.memory import MemoryFileSystem
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

import covdist
from covdist.errors import DataError, LogError, MissingChunkError
from covdist.limits import changed
from covdist.logs import formats
from covdist.logs.dask_arrays import from_dask
from covdist.logs.opening import open_log
from covdist.logs.paths import exists
from covdist.logs.source import Entry
from covdist.logs.zarr.arrays import ZarrSource
from covdist.logs.zarr.files import ZarrFileSource
from tests.engine.fake import FakeSource

NODES = {"": {"x": Entry(FakeSource((6, 2), (3, 2)))}}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(11, 5)).astype("float32")

NAMES = ("bz2", "lz4", "lzma", "zlib", "shuffle", "crc32", "adler32", "fletcher32")
WIDER = {"encode_dtype": "float64", "decode_dtype": "float32"}
V3 = {
    "plain": {"compressors": None},
    "crc32c": {"compressors": [Crc32cCodec()]},
    "zstd": {"compressors": [ZstdCodec(level=1)]},
    "zstd-checksum": {"compressors": [ZstdCodec(level=1, checksum=True)]},
    "blosc": {"compressors": [BloscCodec(cname="lz4", shuffle="bitshuffle")]},
    "gzip": {"compressors": [GzipCodec(level=1)]},
    "zstd-crc32c": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "crc32c-zstd": {"compressors": [Crc32cCodec(), ZstdCodec()]},
    "dots": {"compressors": None, "chunk_key_encoding": {"name": "default", "separator": "."}},
    "v2-keys": {"compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "big-endian": {"compressors": None, "serializer": BytesCodec(endian="big")},
    "transposed": {"compressors": None, "filters": [TransposeCodec(order=(1, 0))]},
    "transposed-zstd": {"compressors": [ZstdCodec()], "filters": [TransposeCodec(order=(1, 0))]},
    "zstd-twice": {"compressors": [ZstdCodec(), ZstdCodec()]},
}
SHARDS = {"shards": (8, 4), "chunks": (4, 2)}
V3_SHARDS = [
    SHARDS,
    {**SHARDS, "compressors": None},
    {**SHARDS, "compressors": [GzipCodec(), Crc32cCodec()], "filters": [TransposeCodec(order=(1, 0))]},
    {"shards": {"shape": (8, 4), "index_location": "start"}, "chunks": (4, 2)},
]
V3_NUMCODECS = {
    **{name: {"compressors": [{"name": f"numcodecs.{name}", "configuration": {}}]} for name in NAMES},
    "delta": {"filters": [{"name": "numcodecs.delta", "configuration": {"dtype": "float32"}}]},
    "astype": {"filters": [{"name": "numcodecs.astype", "configuration": WIDER}], "compressors": None},
}
V2 = {
    "plain": {"compressors": None},
    "default": {},
    "slashes": {"compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "columns-first": {"order": "F"},
    "columns-first-plain": {"order": "F", "compressors": None},
    "filters": {"filters": [numcodecs.Delta("f4"), numcodecs.Shuffle(4)], "compressors": numcodecs.LZMA()},
    "big-endian": {"dtype": ">f4"},
}


def save(path, data=X, **options):
    options = {"chunks": (4, *data.shape[1:]), "write_empty_chunks": True, **options}
    empty = options.pop("write_empty_chunks")
    options = {"shape": data.shape, "dtype": data.dtype, **options}
    array = zarr.create_array(str(path), config={"write_empty_chunks": empty}, **options)
    array[...] = data
    return array


def opened(path, **options):
    return from_dask(open_log(path, **options)["log"].data)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize("chunks", [(4, 5), (4, 3), (20, 9), (1, 1)])
@pytest.mark.parametrize(
    ("form", "options", "kind"),
    [(3, each, ZarrFileSource) for each in (*V3.values(), *V3_NUMCODECS.values())]
    + [(2, each, ZarrFileSource) for each in V2.values()]
    + [(3, each, ZarrSource) for each in V3_SHARDS],
)
def test_values_are_those_of_zarr(tmp_path, form, options, kind, chunks):
    x = save(tmp_path / "log.zarr", zarr_format=form, **{"chunks": chunks, **options})[...]
    source = opened(tmp_path / "log.zarr")
    assert isinstance(source, kind)
    buffer = np.full(source.buffer_size, 255, np.uint8)
    for i, j in np.ndindex(*(-(-n // c) for n, c in zip(x.shape, source.chunks, strict=True))):
        cut = tuple(slice(k * c, (k + 1) * c) for k, c in zip((i, j), source.chunks, strict=True))
        np.testing.assert_array_equal(source.read_chunk((i, j), buffer if buffer.size else None), x[cut])
        np.testing.assert_array_equal(source.read_chunk((i, j)), x[cut])
    np.testing.assert_array_equal(source[2:9, 1:4], x[2:9, 1:4])
    assert source[3:3, :].shape == (0, 5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[:, :], x)
    assert len(pickle.dumps(source)) < 1500


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float64", "complex64", ">f4"])
@pytest.mark.parametrize("form", [2, 3])
def test_dtypes(tmp_path, dtype, form):
    data = (X * 10).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(tmp_path / "log.zarr", data, zarr_format=form)
    np.testing.assert_array_equal(open_log(tmp_path / "log.zarr")["log"].values, data)


def test_scalar_and_empty_arrays(tmp_path):
    group = zarr.open_group(str(tmp_path / "a"), mode="w")
    group.create_array("scalar", shape=(), dtype="f8", config={"write_empty_chunks": True})[...] = 3.0
    group.create_array("empty", shape=(0, 3), chunks=(4, 3), dtype="f4")
    tree = open_log(tmp_path / "a")
    assert tree["scalar"].values == 3.0
    assert tree["empty"].values.shape == (0, 3)


@pytest.mark.parametrize("form", [2, 3])
@pytest.mark.parametrize("consolidated", [False, True])
def test_tree_of_groups(tmp_path, form, consolidated):
    path = tmp_path / "log"
    group = zarr.open_group(str(path), mode="w", zarr_format=form)
    for node in ("fc1", "block3/attn"):
        group.create_array(f"{node}/activation", data=X, chunks=(4, 5))
    group.create_array("loss", data=X[:, 0], chunks=(11,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if consolidated:
            zarr.consolidate_metadata(str(path))
    (path / "notes.txt").write_text("not an array")
    (path / "folder").mkdir()
    for place in (path, str(path), path.as_uri(), f"{path}/"):
        tree = open_log(place)
        assert [node.path for node in tree.subtree if node.ds.data_vars] == ["/", "/fc1", "/block3/attn"]
        np.testing.assert_array_equal(tree["block3/attn/activation"].values, X)
    assert open_log(path / "fc1")["activation"].dims == ("sample", "unit")


def test_what_xarray_writes(tmp_path):
    data = xr.Dataset(
        {"activation": (("sample", "unit"), X), "packed": ("sample", np.arange(11) * 0.5)},
        {"step": ("sample", np.arange(11)), "unit": list("abcde")},
    )
    for form in (2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packing = {"packed": {"scale_factor": 0.5, "dtype": "int16", "_FillValue": -1}}
            data.to_zarr(tmp_path / f"{form}", zarr_format=form, encoding=packing)
        found = open_log(tmp_path / f"{form}").ds
        assert found["activation"].dims == ("sample", "unit")
        assert {"step", "unit"} <= set(found.coords)
        np.testing.assert_array_equal(found["activation"], X)
        np.testing.assert_array_equal(found["packed"], data["packed"])
        assert list(found.unit.values) == list("abcde")


def test_url_through_fsspec():
    group = zarr.open_group("memory://test-logs", mode="w")
    group.create_array("fc1/activation", data=X, chunks=(4, 5), config={"write_empty_chunks": True})
    tree = open_log("memory://test-logs")
    np.testing.assert_array_equal(tree["fc1/activation"].values, X)
    with pytest.raises(LogError, match="does not exist"):
        open_log("memory://test-no-such-log")


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # zarr warns of it in version 3
@pytest.mark.parametrize("form", [2, 3])
def test_what_was_added_after_metadata_were_consolidated(tmp_path, form):
    for place in (f"memory://test-stale/{form}", str(tmp_path / "log.zarr")):
        group = zarr.open_group(place, mode="w", zarr_format=form)
        group.create_array("fc1/x", data=X, chunks=(4, 5))
        zarr.consolidate_metadata(place)
        group = zarr.open_group(place, mode="a", use_consolidated=False)
        group["fc1/x"].append(X)
        group.create_array("fc2/y", data=X, chunks=(4, 5))
    zipped = shutil.make_archive(str(tmp_path / "log"), "zip", tmp_path / "log.zarr")
    for place in (f"memory://test-stale/{form}", zipped):
        tree = open_log(place)
        np.testing.assert_array_equal(tree["fc2/y"], X)
        np.testing.assert_array_equal(tree["fc1/x"], np.concatenate([X, X]))


def test_a_zip_file_whose_directory_jumps_over_a_member(tmp_path):
    zarr.open_group(tmp_path / "log.zarr", mode="w").create_array("fc1/x", data=X)
    path = pathlib.Path(shutil.make_archive(str(tmp_path / "log"), "zip", tmp_path / "log.zarr"))
    data = bytearray(path.read_bytes())
    entries = [found.start() for found in re.finditer(b"PK\x01\x02", data)]
    jumped = next(i for i, entry in enumerate(entries) if i and data.startswith(b"fc1/x/zarr.json", entry + 46))
    data[entries[jumped - 1] + 32] = entries[jumped + 1] - entries[jumped]  # the length of a comment
    path.write_bytes(data)
    with pytest.raises(LogError, match="its directory names"):
        open_log(path)


class ListsNothing(MemoryFileSystem):
    """As web servers do."""

    protocol = "listsnothing"

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.removeprefix("listsnothing://"))

    def ls(self, path, detail=True, **options):
        raise self.answer


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # zarr warns of it in version 3
@pytest.mark.parametrize("answer", [NotImplementedError, PermissionError])
def test_a_store_that_lists_nothing_is_read_by_its_consolidated_metadata(answer, monkeypatch):
    monkeypatch.setattr(ListsNothing, "answer", answer, raising=False)
    fsspec.register_implementation("listsnothing", ListsNothing, clobber=True)
    group = zarr.open_group("memory://test-unlisted", mode="w")
    group.create_array("fc1/x", data=X, chunks=(4, 5))
    zarr.consolidate_metadata("memory://test-unlisted")
    group["fc1/x"].append(X)
    np.testing.assert_array_equal(open_log("listsnothing://test-unlisted")["fc1/x"], np.concatenate([X, X]))


@pytest.mark.parametrize("form", [2, 3])
def test_zip_files_behind_urls(tmp_path, form):
    zarr.open_group(str(tmp_path / "log.zarr"), mode="w", zarr_format=form).create_array("fc1/x", data=X, chunks=(4, 5))
    alone = shutil.make_archive(str(tmp_path / "alone"), "zip", tmp_path / "log.zarr")
    within = shutil.make_archive(str(tmp_path / "within"), "zip", tmp_path, "log.zarr")
    fsspec.filesystem("memory").pipe(f"/test-zip/{form}.zip", pathlib.Path(alone).read_bytes())
    for place in (
        alone, f"file://{alone}", f"local://{alone}", f"memory://test-zip/{form}.zip", f"zip::memory://test-zip/{form}.zip",
        f"zip://::file://{alone}", f"zip://log.zarr::file://{within}",
    ):  # fmt: skip
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(open_log(place)["fc1/x"])), X)
    with pytest.raises(LogError, match=r"memory://test-zip/none.zip does not exist"):
        open_log("memory://test-zip/none.zip")


@pytest.mark.parametrize("path", [5, None, np.eye(2), {"a": 1}])
def test_what_is_no_path(path):
    with pytest.raises(DataError, match=rf"path is {type(path).__name__}, expected the path or URL of a log: "):
        open_log(path)


def test_a_folder_may_be_called_zip(tmp_path):
    save(tmp_path / "log.zip")
    np.testing.assert_array_equal(open_log(tmp_path / "log.zip")["log"], X)


def test_any_format_may_be_behind_a_url(monkeypatch):
    fsspec.filesystem("memory").pipe_file("/test-other/a.other", b"")
    other = SimpleNamespace(
        READS="other", RANK=1, recognises=lambda path: path.endswith(".other") and exists(path), read=lambda *_: NODES
    )
    monkeypatch.setattr(formats, "formats", lambda known=formats.formats(): (*known, other))
    assert open_log("memory://test-other/a.other")["x"].shape == (6, 2)
    with pytest.raises(LogError, match=r"b.other does not exist, or holds no log: covdist reads Zarr.*; other; "):
        open_log("memory://test-other/b.other")


@pytest.mark.parametrize("url", ["nonsense://a/b", "memory://test-other/x.npy"])
def test_urls_that_cannot_be_read(url):
    with pytest.raises(LogError, match=r"cannot be looked up|does not exist, or holds no log") as caught:
        open_log(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_zip_files(tmp_path):
    with zarr.storage.ZipStore(tmp_path / "log.zip", mode="w") as store:
        zarr.open_group(store, mode="w").create_array("fc1/activation", data=X, chunks=(4, 5))
    variable = open_log(tmp_path / "log.zip")["fc1/activation"]
    np.testing.assert_array_equal(variable.values, X)
    os.utime(tmp_path / "log.zip", ns=(1, 1))
    assert open_log(tmp_path / "log.zip")["fc1/activation"].data.name != variable.data.name
    (tmp_path / "broken.zip").write_bytes((tmp_path / "log.zip").read_bytes()[:-30])
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "1")
    with pytest.raises(LogError, match=r"other.zip is not a log: covdist reads .* a file of \d+ bytes"):
        open_log(tmp_path / "other.zip")
    with pytest.raises(LogError, match=r"broken.zip is not a readable zip file .*: it was cut off"):
        open_log(tmp_path / "broken.zip")


def test_workers_read_chunk_files_without_zarr_and_xarray(tmp_path):
    save(tmp_path / "log")
    (tmp_path / "source").write_bytes(pickle.dumps(opened(tmp_path / "log")))
    code = f"""import pickle, sys
source = pickle.loads(open({str(tmp_path / "source")!r}, "rb").read())
assert source.read_chunk((1, 0)).shape == (4, 5)
print(*sorted({{"zarr", "xarray", "pandas", "dask"}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_missing_chunks(tmp_path):
    for name, options in {"files": {}, "sharded": SHARDS}.items():
        path = tmp_path / name
        save(path, np.zeros((11, 5), "f4"), fill_value=7.0, **options)
        chunk = path / "c" / "1" / "0"
        chunk.unlink()
        assert open_log(path)[name][:4].values.max() == 0
        with pytest.raises(
            MissingChunkError, match=rf'^{name}: chunk c/1/0 .*write_empty_chunks.*missing_chunks="fill"'
        ):
            open_log(path)[name].compute()
        filled = open_log(path, missing_chunks="fill")[name].values
        assert (filled[8:, :4] if name == "sharded" else filled[4:8]).min() == 7
    with pytest.raises(DataError, match="missing_chunks='skip' is unknown"):
        open_log(tmp_path / "files", missing_chunks="skip")


def test_a_shard_of_fill_values_is_not_missing(tmp_path):
    save(tmp_path / "log", np.zeros((11, 5), "f4"), **SHARDS)
    assert open_log(tmp_path / "log")["log"].values.max() == 0


@pytest.mark.parametrize("options", V3.values())
@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_truncated_chunks(tmp_path, options, keep):
    save(tmp_path / "log", **options)
    file = chunk_file(tmp_path / "log")
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if keep == 0.5 else keep])
    with pytest.raises(LogError, match=r"^log: chunk .*1.0 is damaged"):
        open_log(tmp_path / "log")["log"].compute()


@pytest.mark.parametrize("name", ["zstd", "blosc", "gzip"])
def test_chunks_of_another_size(tmp_path, name):
    save(tmp_path / "log", **V3[name])
    save(tmp_path / "short", X[:8, :3], **V3[name])
    chunk_file(tmp_path / "log").write_bytes(chunk_file(tmp_path / "short").read_bytes())
    with pytest.raises(LogError, match="decodes to 48 bytes where 80"):
        opened(tmp_path / "log").read_chunk((1, 0), np.zeros(200, np.uint8))


def chunk_file(path: pathlib.Path) -> pathlib.Path:
    files = [path / name for name in ("c/1/0", "c.1.0", "1.0")]
    return next(file for file in files if file.exists())


def test_every_flipped_bit_is_caught_by_crc32c(tmp_path):
    save(tmp_path / "log", **V3["crc32c"])
    file = chunk_file(tmp_path / "log")
    data = file.read_bytes()
    for bit in range(0, 8 * len(data), 7):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        file.write_bytes(broken)
        with pytest.raises(LogError, match=r"log: chunk c/1/0 is damaged \(its crc32c"):
            opened(tmp_path / "log").read_chunk((1, 0))


def test_opening_touches_no_chunk(tmp_path, monkeypatch):
    path = tmp_path / "log"
    save(path, np.zeros((100_000, 1), "u1"), chunks=(50_000, 1))
    metadata = path / "zarr.json"
    metadata.write_text(metadata.read_text().replace("50000", "1"))
    accesses = []
    for module, name in ((os, "stat"), (os, "listdir"), (os, "scandir"), (builtins, "open"), (io, "open")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, **k: (accesses.append(a), real(*a, **k))[1])
    tree = open_log(path)
    assert len(accesses) < 30
    assert tree["log"].data.numblocks == (100_000, 1)


def test_headers_only(tmp_path):
    save(tmp_path / "log")
    before = open_log(tmp_path / "log")["log"]
    for file in (tmp_path / "log" / "c").rglob("0"):
        if file.is_file():
            file.unlink()
    for variable in (before, open_log(tmp_path / "log")["log"]):
        with pytest.raises(MissingChunkError):
            variable.compute()


def test_tokens_follow_the_content(tmp_path):
    save(tmp_path / "log")
    first = opened(tmp_path / "log").token
    assert opened(tmp_path / "log").token == first
    assert opened(tmp_path / "log", missing_chunks="fill").token != first
    os.utime(tmp_path / "log" / "zarr.json", ns=(1, 1))
    assert opened(tmp_path / "log").token != first


def test_names_of_dims(tmp_path):
    shapes = {
        "activation": (6, 3), "input": (6, 4), "gradient": (5, 7), "label": (6,), "step": (5,), "epoch": (5,),
        "image": (6, 2, 3), "ragged": (4, 3), "other": (9,),
    }  # fmt: skip
    (tmp_path / "fc1").mkdir()
    for name, shape in shapes.items():
        np.save(tmp_path / "fc1" / f"{name}.npy", np.arange(np.prod(shape)).reshape(shape))
    node = open_log(tmp_path)["fc1"].ds
    assert {name: node[name].dims for name in shapes} == {
        "activation": ("sample", "unit"), "input": ("sample", "input_unit"), "gradient": ("step", "param"),
        "label": ("sample",), "step": ("step",), "epoch": ("step",), "image": ("sample", "unit_0", "unit_1"),
        "ragged": ("ragged_sample", "unit"), "other": ("other_sample",),
    }  # fmt: skip
    assert set(node.coords) == {"label", "step", "epoch"}
    assert set(node.indexes) == {"step"}
    assert node["label"].chunks is not None


def test_layers_inside_layers_may_differ_in_size(tmp_path):
    for place, shape in {"a": (4, 3), "b/a": (5, 2), "b/c/a": (4, 2)}.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"{place}.npy", np.ones(shape))
    tree = open_log(tmp_path)
    assert tree["b/c/a"].shape == (4, 2)
    assert tree["b/a"].dims == ("a_sample", "a_unit")


def test_arrays_inside_layers_keep_the_coordinates_that_they_share(tmp_path):
    with covdist.Recorder(tmp_path / "log") as rec:
        for step in range(2):
            block = {"block/activation": np.ones((3, 2)), "block/gradient": np.ones(5)}
            inner = {"block/fc/activation": np.ones((4, 2)), "block/fc/output_gradient": np.ones((4, 2))}
            rec.log(step, {**block, **inner, "block/fc/gradient": np.ones(6), "block/fc/weight": np.ones(6)})
    layer = open_log(tmp_path / "log")["block/fc"]
    for name in ("activation", "output_gradient"):
        assert layer[name].coords["sample_step"].values.tolist() == [0] * 4 + [1] * 4
    assert layer["weight"].dims == layer["gradient"].dims


@pytest.mark.parametrize("shape", [(), (7,), (6, 5), (3, 4, 2), (0, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, shape, order):
    data = np.asarray(RNG.normal(size=shape), order=order)
    np.save(tmp_path / "x.npy", data)
    with changed(npy_chunk_bytes=40):
        variable = open_log(tmp_path / "x.npy")["x"]
    np.testing.assert_array_equal(variable.values, data)
    assert variable.shape == shape
    source = pickle.loads(pickle.dumps(from_dask(variable.data)))
    assert source[(slice(0, 2),) * len(shape)].tolist() == data[(slice(0, 2),) * len(shape)].tolist()
    if data.size:
        buffer = np.empty(max(1, source.buffer_size), np.uint8)
        chunk = source.read_chunk((0,) * len(shape), buffer)
        np.testing.assert_array_equal(chunk, data[tuple(slice(0, n) for n in chunk.shape)])


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_npz(tmp_path, writer):
    arrays = {"a": X, "fc2/b": np.asfortranarray(X), "scalar": np.array(2.0), "v": X[:, 0]}
    writer(tmp_path / "x.npz", **arrays)
    alone, folder = open_log(tmp_path / "x.npz"), open_log(tmp_path)["x"]
    for tree in (alone, folder):
        for name, data in arrays.items():
            np.testing.assert_array_equal(tree[name].values, data)
            source = pickle.loads(pickle.dumps(from_dask(tree[name].data)))
            if data.ndim == 2:
                np.testing.assert_array_equal(source[1:3, 2:4], data[1:3, 2:4])
                assert source.read_chunk((0, 0)).shape == data.shape


def test_files_by_their_first_bytes(tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.npy").rename(tmp_path / "grads.mmap")
    np.savez(tmp_path / "b.npz", x=X)
    (tmp_path / "b.npz").rename(tmp_path / "fc1")
    (tmp_path / "notes.txt").write_text("no array")
    log = open_log(tmp_path)
    assert {"/grads", "/fc1/x"} == {
        f"{node.path.rstrip('/')}/{name}" for node in log.subtree for name in node.data_vars
    }
    np.testing.assert_array_equal(log["fc1/x"].values, X)
    np.testing.assert_array_equal(open_log(tmp_path / "grads.mmap")["grads"].values, X)


def test_npy_files_that_are_refused(tmp_path):
    np.save(tmp_path / "cut.npy", X)
    data = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[:-1])
    with pytest.raises(LogError, match=rf"has {len(data) - 1} bytes .* {len(data)}:"):
        open_log(tmp_path / "cut.npy")
    (tmp_path / "cut.npy").write_bytes(data[:20])
    with pytest.raises(LogError, match="NPY header"):
        open_log(tmp_path / "cut.npy")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(LogError, match="pickled"):
        open_log(tmp_path / "object.npy")
    np.savez(tmp_path / "object.npz", a=np.array([{}]))
    with pytest.raises(LogError, match="pickled"):
        open_log(tmp_path / "object.npz")
    np.savez(tmp_path / "cut.npz", a=X)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-30])
    with pytest.raises(LogError, match="cut off"):
        open_log(tmp_path / "cut.npz")


def test_npy_cut_off_after_opening(tmp_path):
    np.save(tmp_path / "x.npy", X)
    variable = open_log(tmp_path / "x.npy")["x"]
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-9])
    with pytest.raises(LogError, match="cut off after"):
        variable.compute()


def test_paths_that_hold_no_log(tmp_path):
    with pytest.raises(LogError, match="none does not exist"):
        open_log(tmp_path / "none")
    with pytest.raises(LogError, match=r"covdist reads Zarr.*\.npy.*an empty folder"):
        open_log(tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(LogError, match=r"a folder of 1 entries such as 'a.csv'"):
        open_log(tmp_path)
    with pytest.raises(LogError, match=r"a file of 3 bytes ending in '.csv'"):
        open_log(tmp_path / "a.csv")
    zarr.open_group(str(tmp_path / "empty"), mode="w")
    with pytest.raises(LogError, match="holds no arrays"):
        open_log(tmp_path / "empty")
    (tmp_path / "empty" / "zarr.json").write_text("{")
    with pytest.raises(LogError, match=r"zarr.json is not valid Zarr metadata"):
        open_log(tmp_path / "empty")
    np.save(tmp_path / "fc1.npy", X)
    (tmp_path / "fc1").mkdir()
    np.save(tmp_path / "fc1" / "a.npy", X)
    with pytest.raises(LogError, match="fc1 is both an array and a layer"):
        open_log(tmp_path)


@pytest.mark.parametrize("form", [2, 3])
def test_coordinates_begin_with_zeros_and_data_may_not(tmp_path, form):
    group = zarr.open_group(str(tmp_path / "log.zarr"), mode="w", zarr_format=form)
    epochs = np.repeat([0, 1], 4)
    for name, data in {"x": np.ones((8, 2)), "epoch": epochs, "sample": epochs, "y": np.zeros((8, 2))}.items():
        options = {"_ARRAY_DIMENSIONS": ["sample", "unit"][: data.ndim]}
        names = {"attributes": options} if form == 2 else {"dimension_names": options["_ARRAY_DIMENSIONS"]}
        group.create_array(name, data=data, chunks=(4, 2)[: data.ndim], **names)
    node = open_log(tmp_path / "log.zarr")
    assert node["epoch"].values.tolist() == node["sample"].values.tolist() == epochs.tolist()
    with pytest.raises(MissingChunkError):
        node["y"].compute()


def test_a_vector_that_is_data_must_be_whole(tmp_path):
    save(tmp_path / "log.zarr", np.zeros(8), chunks=(4,), write_empty_chunks=False)
    with pytest.raises(MissingChunkError):
        open_log(tmp_path / "log.zarr")["log"].compute()

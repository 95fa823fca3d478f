"""Safetensors: files and sharded folders, held to what each format is; what their own package writes and refuses."""

from __future__ import annotations

import json
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import covdist
from covdist.errors import LogError
from covdist.logs.dask_arrays import from_dask
from covdist.logs.opening import open_log
from tests.logs.conformance import NUMPY, SMALL, FormatTests, values

X = values((6, 2), "float32")
TYPES = {"float32": "F32", "int16": "I16", "bfloat16": "BF16"}


def raw(path, header, data=b"", length=None):
    """Write a file whose header says what is given, of the length that it has or another."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def said(dtype="F32", shape=(6, 2), first=0, last=48, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last], **more}


LIES = {
    "beyond": {"x": said(last=480)},
    "short": {"x": said(shape=(5, 2), last=40)},
    "huge": {"x": said(shape=(2**40, 2), last=2**43)},
    "overflow": {"x": said(shape=(2**62, 2**62), last=48)},
    "dims": {"x": said(shape=[1] * 65, last=4)},
    "hole": {"x": said(shape=(5, 2), first=8)},
    "overlap": {"x": said(), "y": said()},
    "behind": {"x": said(shape=(3, 2), last=24), "y": said(shape=(4, 2), first=16)},
    "backwards": {"x": said(first=48, last=0)},
    "negative": {"x": said(shape=(-6, -2))},
    "fraction": {"x": said(shape=(6.0, 2))},
    "true": {"x": said(shape=(True, 12))},
    "words": {"x": said(shape=("6", 2))},
    "more": {"x": said(more=1)},
    "less": {"x": {"dtype": "F32", "shape": [6, 2]}},
    "list": {"x": [1]},
    "dtype": {"x": said(dtype="F32\x1b[31m")},
    "no-dtype": {"x": said(dtype=None)},
    "twice": b'{"x": %s, "x": %s}' % ((json.dumps(said()).encode(),) * 2),
    "deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no-json": b'{"x": nan}',
    "no-text": b'{"\xff": 1}',
    "array": b'[{"x": 1}]',
    "digits": b'{"x": ' + b"9" * 100_000 + b"}",
    "names": b'{"' + b'a":{},"' * 1_500_000 + b'b":{}}',
    "dots": {"../x": said()},
    "inside": {"a/../x": said()},
}


class TestSafetensors(FormatTests):
    dtypes = (*NUMPY, "complex64", *SMALL)

    def write(self, folder, arrays):
        save_file({name: np.array(data, order="C") for name, data in arrays.items()}, folder / "log.safetensors")
        return folder / "log.safetensors"

    def lies(self, folder):
        for name, header in LIES.items():
            yield raw(folder / f"{name}.safetensors", header, X.tobytes())
        for length in (2**63, 10**8, 10**6, 2**64 - 1):
            yield raw(folder / f"length-{length}.safetensors", {"x": said()}, X.tobytes(), length)
        sparse = raw(folder / "sparse.safetensors", {"x": said()}, X.tobytes(), 10**8)
        with sparse.open("r+b") as file:
            file.truncate(1 << 32)
        yield sparse


class TestShards(TestSafetensors):
    def write(self, folder, arrays):
        names = sorted(arrays)
        shards = {f"model-{part + 1:05}-of-00002.safetensors": names[part::2] for part in (0, 1) if names[part::2]}
        for file, mine in shards.items():
            save_file({name: np.array(arrays[name], order="C") for name in mine}, folder / file)
        index = {"metadata": {}, "weight_map": {name: file for file, mine in shards.items() for name in mine}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    def files(self, path):
        """Of the folder those with the tensors: an index that changes after it was read changes nothing."""
        return [each for each in super().files(path) if each.suffix == ".safetensors"]

    def lies(self, folder):
        for name, where in {
            "outside": "../x",
            "absolute": "/etc/passwd",
            "number": 1,
            "nul": "a\0",
            "up": "..",
        }.items():
            (folder / name).mkdir()
            (folder / name / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": where}}))
            yield folder / name
        for name, index in {"list": [], "no-map": {}, "other": {"weight_map": [1]}}.items():
            (folder / name).mkdir()
            (folder / name / "m.safetensors.index.json").write_text(json.dumps(index))
            yield folder / name


def test_layers_by_dots(tmp_path):
    save_file({"blocks.0.fc1.activation": X, "blocks.1.fc1.activation": X, "loss": X[:, 0]}, tmp_path / "a.safetensors")
    log = open_log(tmp_path / "a.safetensors")
    assert log["blocks/0/fc1/activation"].dims == ("sample", "unit")
    assert log["loss"].dims == ("sample",)
    save_file({"fc1": X, "fc1.weight": X}, tmp_path / "b.safetensors")
    assert set(open_log(tmp_path / "b.safetensors").data_vars) == {"fc1", "fc1.weight"}
    assert set(open_log(tmp_path)["b"].data_vars) == {"fc1", "fc1.weight"}


def test_bfloat16_is_folded_as_it_is_stored(tmp_path):
    x = values((4000, 7), "bfloat16")
    save_file({"x": x}, tmp_path / "x.safetensors", {"made": "here"})
    lazy = open_log(tmp_path / "x.safetensors")["x"]
    assert lazy.dtype == "float32"
    source = from_dask(lazy.data)
    assert source.buffer_size == x.nbytes
    slabs = list(source.read_slabs((0, 0), np.empty(source.slab_size, np.uint8)))
    assert [each.dtype for each in slabs] == [ml_dtypes.bfloat16]
    np.testing.assert_allclose(covdist.var(lazy, dim="sample"), x.astype("f8").var(axis=0), rtol=1e-12)


def test_a_dtype_that_is_not_read_leaves_the_others(tmp_path, monkeypatch):
    header = {"a": said(), "b": said("F4", (96,), 48, 96), "c": said("BF16", (6, 2), 96, 120)}
    path = raw(tmp_path / "x.safetensors", header, X.tobytes() * 3)
    path.write_bytes(path.read_bytes()[:-24])
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.warns(UserWarning, match=r"b in .* has the dtype F4.*pip install 'covdist\[dtypes\]'"):
        log = open_log(path)
    np.testing.assert_array_equal(log["a"], X)
    with pytest.raises(LogError, match="ml_dtypes"):
        log["c"]


def test_parts_of_a_sharded_log_that_are_lost(tmp_path):
    path = TestShards().write(tmp_path, {"a": X, "b": X, "c": X})
    index = json.loads((path / "model.safetensors.index.json").read_text())
    index["weight_map"] |= {"d": index["weight_map"]["a"], "e": "model-3.safetensors"}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / index["weight_map"]["b"]).unlink()
    with pytest.warns(UserWarning, match="b cannot be read .*00002.safetensors is not there"):
        log = open_log(path)
    assert set(log.data_vars) == {"a", "c"}
    with pytest.raises(LogError, match="has no tensor d"):
        log["d"]

"""Folders that bergson writes: rows of the gradients of all modules, and what they are."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import covdist
from covdist.errors import LogError
from tests.logs.conformance import NUMPY, FormatTests

RNG = np.random.default_rng(0)
SIZES = {"layers.0.mlp": 6, "layers.0.attn": 4, "head": 1}


def written(folder, rows, dtype="<f2", sizes=SIZES, columns=None, **changed):
    """Write a shard as ``bergson.data.create_index`` does, and return the rows by module."""
    folder.mkdir(parents=True)
    kind = {"names": list(sizes), "formats": [f"({size},){dtype}" for size in sizes.values()],
            "itemsize": np.dtype(dtype).itemsize * sum(sizes.values())}  # fmt: skip
    data = np.zeros(rows, np.dtype(kind))
    for name, size in sizes.items():
        data[name] = RNG.normal(size=(rows, size)) if columns is None else columns[name]
    data.tofile(folder / "gradients.bin")
    info = {"num_grads": rows, "dtype": kind, "grad_sizes": sizes, "base_dtype": dtype}
    (folder / "info.json").write_text(json.dumps(info | changed))
    return data


class TestShards(FormatTests):
    """A name with dots is a module, whose gradients are the only array of its layer."""

    dtypes = tuple(each for each in NUMPY if each != "bool")
    shapes = ((11, 5), (11, 1), (1, 5), (0, 5))
    names = ("fc1.activation", "block 3.attn", "ä", 'it\'s "x"', "1", "a\tb")
    alike = True

    def write(self, folder, arrays):
        columns = {name.replace("/", "."): data for name, data in arrays.items()}
        first = next(iter(columns.values()))
        sizes = {name: data.shape[1] for name, data in columns.items()}
        cut = len(first) // 2  # two shards, the first of which may be empty
        for number, rows in enumerate((slice(0, cut), slice(cut, None))):
            shard = {name: data[rows] for name, data in columns.items()}
            written(folder / f"shard-{number:05d}", len(first[rows]), first.dtype.str, sizes, shard)
        return folder

    def called(self, name):
        return name.replace(".", "/") + "/gradient"

    def files(self, path):
        """Of each shard the one with the values: what describes them may change once it was read."""
        return [each for each in super().files(path) if each.suffix == ".bin"]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4"])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_modules_are_layers(tmp_path, dtype, rows):
    data = written(tmp_path / "log", rows, dtype)
    log = covdist.open_log(tmp_path / "log")
    for name, path in (("layers.0.mlp", "layers/0/mlp"), ("layers.0.attn", "layers/0/attn"), ("head", "head")):
        found = log[f"{path}/gradient"]
        assert found.dims == ("sample", "param")
        np.testing.assert_array_equal(found, data[name])
    if rows > 1:
        x = log["layers/0/mlp/gradient"]
        np.testing.assert_array_equal(x[2:5, 1:3], data["layers.0.mlp"][2:5, 1:3])
        expected = np.var(data["layers.0.mlp"].astype("f8"), axis=0)
        np.testing.assert_allclose(covdist.var(x, dim="sample"), expected, rtol=1e-12)


def test_shards_are_one(tmp_path):
    parts = [written(tmp_path / "log" / f"shard-{number:05d}", rows) for number, rows in enumerate((3, 5, 2))]
    found = covdist.open_log(tmp_path / "log")["layers/0/attn/gradient"]
    np.testing.assert_array_equal(found, np.concatenate([part["layers.0.attn"] for part in parts]))
    written(tmp_path / "log" / "shard-00003", 2, sizes={"head": 1})
    with pytest.raises(LogError, match="other modules than the shards before it"):
        covdist.open_log(tmp_path / "log")


def test_one_module_alone(tmp_path):
    data = written(tmp_path / "log", 9, sizes={"fc": 3})
    np.testing.assert_array_equal(covdist.open_log(tmp_path / "log")["fc/gradient"], data["fc"])


@pytest.mark.parametrize(
    "changed",
    [{"num_grads": 8}, {"num_grads": -1}, {"num_grads": 1 << 62}, {"grad_sizes": {}}, {"grad_sizes": {"head": "a"}},
     {"base_dtype": "O"}, {"base_dtype": "<V2"}, {"base_dtype": None}, {"base_dtype": "nonsense"}],
)  # fmt: skip
def test_what_lies_is_refused(tmp_path, changed):
    written(tmp_path / "log", 7, **changed)
    with pytest.raises(LogError, match=r"promises|does not tell num_grads"):
        covdist.open_log(tmp_path / "log")


def test_what_changed_is_refused(tmp_path):
    written(tmp_path / "log", 7)
    found = covdist.open_log(tmp_path / "log")["head/gradient"]
    os.utime(tmp_path / "log" / "gradients.bin", ns=(1, 1))
    with pytest.raises(LogError, match="has changed since it was opened"):
        found.compute()

"""What each log format is held to; a subclass says how its files are written.

A format that cannot hold some shapes, dtypes or names leaves them out of its tuples; one that lies in other files than
``write`` returns says which in ``files``.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import LogError
from covdist.limits import changed
from covdist.logs.dask_arrays import from_dask
from covdist.logs.opening import open_log
from covdist.logs.source import Source
from tests.cli.calling import call
from tests.logs.serving import in_memory
from tests.logs.trying import bits, sources

NUMPY = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
)  # fmt: skip
SMALL = ("bfloat16", "float8_e4m3fn", "float8_e5m2")  # of ml_dtypes; read as float32
CHUNK_BYTES = 100  # of formats whose files have no chunks of their own
CHANGED = r"has changed since it was opened, .*: open the log again\.$"


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Return numbers that any dtype can hold, NaN and zeros of both signs aside."""
    if dtype in SMALL:
        ml_dtypes = pytest.importorskip("ml_dtypes")
        return values(shape, "float32", seed).astype(getattr(ml_dtypes, dtype))
    drawn = np.random.default_rng(seed).normal(size=shape) * 8
    plain = np.dtype(dtype)
    return (abs(drawn) if plain.kind == "u" else drawn > 0 if plain.kind == "b" else drawn).astype(plain)


class FormatTests:
    """Laws that hold for every format."""

    dtypes: tuple[str, ...] = NUMPY
    shapes: tuple[tuple[int, ...], ...] = ((11, 5), (11, 1), (1, 5), (0, 5), (5, 0), (0,), (7,), (), (4, 3, 2))
    names: tuple[str, ...] = ("fc1/activation", "block 3/attn.q/gradient", "ä", 'it\'s "x"', "1", "a\tb")
    checksummed = False  # whether a bit flipped anywhere must not give other values
    alike = False  # whether the arrays of a log have all as many rows, and one dtype

    def write(self, folder: Path, arrays: Mapping[str, np.ndarray]) -> Path:
        """Write arrays by their paths in the log into an empty folder, and return what is to be opened."""
        raise NotImplementedError

    def called(self, name: str) -> str:
        """Return the path in the log of an array that was written by this one."""
        return name

    def files(self, path: Path) -> list[Path]:
        """Return the files that hold the arrays, by their numbers of bytes."""
        return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]

    def lies(self, folder: Path) -> Iterator[Path]:
        """Yield logs that promise far more than they hold, or are otherwise hostile: each must be refused."""
        yield from ()

    def head(self, data: bytes) -> int:
        """Return how many bytes of a file to flip bits in; by default the first 2 KiB."""
        return min(len(data), 2048)

    # ---- values

    def test_bits_are_those_of_zarr(self, tmp_path, dtype):
        data = values((23, 5), dtype)
        mine, own = self._beside_zarr(tmp_path, {"x": data})
        x = self.called("x")
        assert bits(open_log(mine)[x].values) == bits(open_log(own)[x].values)
        if dtype != "complex64":
            for reading in (covdist.cov, covdist.var):
                with changed(npy_chunk_bytes=CHUNK_BYTES):
                    here, there = open_log(mine)[x], open_log(own)[x]
                assert from_dask(here.data) is not None
                read = [reading(each, dim=each.dims[0]).values for each in (here, there)]
                assert bits(read[0]) == bits(read[1])

    def test_a_run_gives_the_bits_of_zarr(self, tmp_path):
        first, second = self._two((23, 5), (17, 3))
        arrays = {"fc1/activation": first, "fc2/activation": second}
        results = []
        with changed(npy_chunk_bytes=CHUNK_BYTES):
            for path in self._beside_zarr(tmp_path, arrays):
                call("run", path, "-o", tmp_path / f"{len(results)}.zarr")
                results.append(covdist.load(tmp_path / f"{len(results)}.zarr"))
        assert list(results[0]) == list(results[1])
        for mine, own in zip(results[0].values(), results[1].values(), strict=True):
            assert bits(mine.cov().values) == bits(own.cov().values)
            assert bits(mine.mean().values) == bits(own.mean().values)

    def test_shapes(self, tmp_path):
        for number, shape in enumerate(self.shapes):
            data = values(shape, self.dtypes[-1] if "float32" not in self.dtypes else "float32")
            source = self._opened(tmp_path / str(number), {"x": data})[self.called("x")]
            assert source.shape == shape
            whole = source[tuple(slice(0, size) for size in shape)]
            assert whole.shape == shape
            assert bits(whole) == bits(data)

    def test_rectangles_and_chunks(self, tmp_path):
        data = values((11, 5), "float32")
        source = self._opened(tmp_path, {"x": data})[self.called("x")]
        cuts = [slice(0, 1), slice(1, 4), slice(2, 2), slice(4, 5), slice(0, 99)]
        for rows, columns in product([*cuts, slice(3, 11), slice(10, 11)], cuts):
            np.testing.assert_array_equal(source[rows, columns], data[rows, columns])
        buffer = np.full(source.buffer_size, 255, np.uint8)
        for index in np.ndindex(*(-(-n // size) for n, size in zip(source.shape, source.chunks, strict=True))):
            cut = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, source.chunks, strict=True))
            np.testing.assert_array_equal(source.read_chunk(index), data[cut])
            np.testing.assert_array_equal(source.read_chunk(index, buffer if buffer.size else None), data[cut])

    def test_names(self, tmp_path):
        arrays = {name: values((6, 2), "float32", number) for number, name in enumerate(self.names)}
        found = self._opened(tmp_path, arrays)
        assert found.keys() == set(map(self.called, arrays))
        for name, data in arrays.items():
            np.testing.assert_array_equal(found[self.called(name)][:, :], data)

    # ---- sources

    def test_sources_travel(self, tmp_path, processes):
        arrays = {f"fc{number}/x": values((11, 5), "float32", number) for number in range(3)}
        found = list(self._opened(tmp_path, arrays).values())
        assert all(len(pickle.dumps(each)) < 4000 for each in found)
        for data, read in zip(arrays.values(), processes.map(_everything, found), strict=True):
            np.testing.assert_array_equal(read, data)

    def test_tokens(self, tmp_path):
        arrays = {"fc1/a": values((11, 5), "float32"), "fc1/b": values((11, 5), "float32", 1)}
        path = self.write(_empty(tmp_path / "log"), arrays)
        first, second = sources(path), sources(path)
        assert {name: each.token for name, each in first.items()} == {n: each.token for n, each in second.items()}
        assert len({each.token for each in first.values()}) == 2

    # ---- what changed since it was opened

    @pytest.mark.parametrize("how", ["rewritten", "cut", "deleted", "replaced"])
    def test_what_changed_is_refused(self, tmp_path, how):
        path = self.write(_empty(tmp_path / "log"), {"x": values((11, 5), "float32")})
        other = self.write(_empty(tmp_path / "other"), {"x": values((11, 5), "float32", 1)})
        with changed(npy_chunk_bytes=CHUNK_BYTES):
            x = open_log(path)[self.called("x")]
        lazy = covdist.var(x, dim="sample")
        for file, new in zip(self.files(path), self.files(other), strict=True):
            _change(file, new, how)
        for read in (lazy.compute, x.compute, lambda: pickle.loads(pickle.dumps(from_dask(x.data)))[3:5, :]):
            with pytest.raises(LogError, match=self.says_of(how)) as caught:
                read()
            check_sentence(str(caught.value))

    def says_of(self, how: str) -> str:
        """Return what the message says of a file that was changed."""
        return CHANGED

    # ---- behind URLs

    def test_in_a_store(self, tmp_path):
        path = self.write(_empty(tmp_path / "log"), self._of_layers())
        self._check_same(path, in_memory(path))

    def test_from_a_web_server(self, tmp_path, server):
        path = self.write(_empty(tmp_path / "log"), self._of_layers())
        self._check_same(path, server.url(path))

    @pytest.mark.parametrize("how", ["rewritten", "cut", "deleted"])
    def test_what_changed_in_a_store_is_refused(self, tmp_path, how):
        path = self.write(_empty(tmp_path / "log"), {"x": values((11, 5), "float32")})
        other = self.write(_empty(tmp_path / "other"), {"x": values((11, 5), "float32", 1)})
        url, store = in_memory(path), fsspec.filesystem("memory")
        with changed(npy_chunk_bytes=CHUNK_BYTES):
            x = open_log(url)[self.called("x")]
        for file, new in zip(self.files(path), self.files(other), strict=True):
            place = f"{url}/{file.relative_to(path)}" if path.is_dir() else url
            if how == "deleted":
                store.rm_file(place)
            else:
                store.pipe_file(place, new.read_bytes() if how == "rewritten" else file.read_bytes()[:-9])
        for read in (x.compute, lambda: pickle.loads(pickle.dumps(from_dask(x.data)))[3:5, :]):
            with pytest.raises(LogError, match=self.says_of(how)) as caught:
                read()
            check_sentence(str(caught.value))

    def _of_layers(self) -> dict[str, np.ndarray]:
        first, second = self._two((23, 5), (9, 2))
        return {"fc1/activation": first, "block 3/gradient": second}

    def _two(
        self, first: tuple[int, ...], second: tuple[int, ...], dtype: str = "float32"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return arrays of these shapes; the second is like the first where the format has no others beside it."""
        if self.alike:
            second, dtype = (first[0], *second[1:]), "float32"
        return values(first, "float32"), values(second, dtype, 1)

    def _check_same(self, path: Path, url: str) -> None:
        with changed(npy_chunk_bytes=CHUNK_BYTES):
            here, there = sources(path), sources(url)
        assert here.keys() == there.keys()
        for name, source in there.items():
            travelled, own = pickle.loads(pickle.dumps(source)), here[name]
            assert (travelled.chunks, travelled.checksum) == (own.chunks, own.checksum)
            assert bits(_everything(travelled)) == bits(_everything(own))
            np.testing.assert_array_equal(travelled[3:7, 1:2], own[3:7, 1:2])

    # ---- hostile files

    def test_links_and_pipes(self, tmp_path):
        data = values((6, 2), "float32")
        for number, file in enumerate(self._inside(tmp_path / "first", data)[1]):
            for kind in ("link", "pipe"):
                path, files = self._inside(tmp_path / f"{kind}-{number}", data)
                one = next(each for each in files if each.name == file.name)
                one.rename(tmp_path / f"outside-{kind}-{number}")
                if kind == "link":
                    one.symlink_to(tmp_path / f"outside-{kind}-{number}")
                    with pytest.raises(LogError, match="is a link"):
                        _everything(*sources(path).values())
                    read = [_everything(each) for each in sources(path, follow_links=True).values()]
                    np.testing.assert_array_equal(read[0], data)
                else:
                    os.mkfifo(one)
                    with pytest.raises(LogError, match="is a pipe"):
                        _everything(*sources(path).values())

    @pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
    def test_damaged_files(self, tmp_path, tried, seed):
        first, second = self._two((11, 5), (6, 2), "int16")
        arrays = {"fc1/a": first, "fc1/b": second}
        path = self.write(_empty(tmp_path / "log"), arrays)
        right = {name: bits(_everything(each)) for name, each in sources(path).items()}
        damaged = {name: (path, file, data) for name, file, data in self._damage(path, seed)}
        for name, found in tried(damaged).items():
            assert "crash" not in found, f"{name}: {found['crash']}"
            for said in found["said"]:
                check_sentence(said)
            if name.startswith("cut"):
                assert found["read"].items() <= right.items(), f"{name} gave other values"
                assert found["said"], f"{name} was not noticed"
            elif self.checksummed:  # a name may be another, and what is no data, such as a date
                assert set(found["read"].values()) <= set(right.values()), f"{name} gave other values"
                assert found["said"] or len(found["read"]) == len(right), f"{name} lost an array"

    def test_what_lies_is_refused(self, tmp_path, tried):
        lies = {path.name: (path, None, b"") for path in self.lies(_empty(tmp_path / "lies"))}
        for name, found in tried(lies).items():
            assert "crash" not in found, f"{name}: {found['crash']}"
            assert not found["read"], f"{name} was read"
            assert found["said"], f"{name} was not refused"
            for said in found["said"]:
                check_sentence(said)

    # ---- helpers

    def _opened(self, folder: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Source]:
        return self._written(folder, arrays)[1]

    def _written(self, folder: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Path, dict[str, Source]]:
        path = self.write(_empty(folder / "log"), arrays)
        with changed(npy_chunk_bytes=CHUNK_BYTES):
            return path, sources(path)

    def _beside_zarr(self, folder: Path, arrays: Mapping[str, np.ndarray]) -> tuple[Path, Path]:
        """Return the paths of the arrays in this format, and in Zarr in the same chunks."""
        path, found = self._written(folder, arrays)
        own = folder / "own.zarr"
        zarr.open_group(str(own), mode="w")
        for name, data in arrays.items():
            save_zarr(own / self.called(name), data, found[self.called(name)].chunks)
        return path, own

    def _inside(self, folder: Path, data: np.ndarray) -> tuple[Path, list[Path]]:
        """Return a folder to open with an array in it, and its files."""
        path = self.write(_empty(folder), {"x": data})
        return (path if path.is_dir() else folder), self.files(path)

    def _damage(self, path: Path, seed: int) -> Iterator[tuple[str, Path, bytes]]:
        """Yield files cut off, and with a bit flipped, with names for them; more flips of every seed but the first."""
        rng, several = np.random.default_rng(seed), len(self.files(path))
        for file in self.files(path):
            data, where = file.read_bytes(), file.relative_to(path) if file != path else file.name
            anywhere = rng.integers(0, len(data), 60 // several).tolist()
            first = () if seed else (*range(min(16, len(data))), len(data) - 1)
            for end in sorted({*first, *anywhere}):
                yield f"cut {where} {end}", file, data[:end]
            for _ in range((1000 if seed else 100) // several):
                place = int(rng.integers(0, len(data) if self.checksummed else self.head(data)))
                flipped = bytearray(data)
                flipped[place] ^= 1 << int(rng.integers(0, 8))
                yield f"flipped {where} {place} {flipped[place]}", file, bytes(flipped)


def save_zarr(path: Path, data: np.ndarray, chunks: tuple[int, ...]) -> None:
    """Write an array with zarr; of a dtype that it lacks, the bytes."""
    raw = data.view(f"u{data.itemsize}") if data.dtype.isbuiltin == 2 else data
    raw = raw.astype(raw.dtype.newbyteorder("="))
    options: dict[str, Any] = {"compressors": None, "config": {"write_empty_chunks": True}}
    zarr.create_array(str(path), shape=raw.shape, dtype=raw.dtype, chunks=chunks, **options)[...] = raw
    if raw.dtype != data.dtype and data.dtype.isbuiltin == 2:
        head = path / "zarr.json"
        head.write_text(head.read_text().replace(f'"{raw.dtype.name}"', f'"{data.dtype.name}"'))


def check_sentence(said: str) -> None:
    assert said.isprintable(), said
    assert len(said) < 2000, said


def _everything(source: Source) -> np.ndarray:
    return source[tuple(slice(0, size) for size in source.shape)]


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _change(file: Path, new: Path, how: str) -> None:
    if how == "rewritten":
        file.write_bytes(new.read_bytes())
        os.utime(file, ns=(1, 1))  # it may have been written in the same tick
    elif how == "replaced":
        os.utime(new, ns=(1, 1))
        new.rename(file)
    elif how == "deleted":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9])

"""Reading a log of each format, beside a loop of the library that it is of: ``python -m benchmarks.formats``."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from covdist.logs.grid import GridSource
from covdist.logs.opening import log_nodes

CHUNK = 1 << 23  # bytes of a chunk, a row group or a batch, as covdist cuts files that have none
Write = Callable[[Path, np.ndarray, int], None]  # the array, and rows of a chunk
Read = Callable[[Path, int], Iterator[np.ndarray]]


class Case(NamedTuple):
    """How a file is written, and how its own library reads it."""

    ending: str
    write: Write
    read: Read


def _cuts(rows: int, height: int) -> Iterator[slice]:
    return (slice(start, min(start + height, rows)) for start in range(0, rows, height))


# ---- numpy, safetensors, torch


def write_npy(path: Path, x: np.ndarray, height: int) -> None:
    np.save(path, x)


def read_npy(path: Path, height: int) -> Iterator[np.ndarray]:
    x = np.load(path, mmap_mode="r")
    return (np.array(x[cut]) for cut in _cuts(len(x), height))


def write_npz(path: Path, x: np.ndarray, height: int) -> None:
    np.savez(path, x=x)


def write_deflated(path: Path, x: np.ndarray, height: int) -> None:
    np.savez_compressed(path, x=x)


def read_npz(path: Path, height: int) -> Iterator[np.ndarray]:
    with np.load(path) as file:
        yield file["x"]


def write_safetensors(path: Path, x: np.ndarray, height: int) -> None:
    from safetensors.numpy import save_file

    save_file({"x": x}, path)


def read_safetensors(path: Path, height: int) -> Iterator[np.ndarray]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        x = file.get_slice("x")
        for cut in _cuts(x.get_shape()[0], height):
            yield x[cut]


def write_torch(path: Path, x: np.ndarray, height: int) -> None:
    import torch

    torch.save({"x": torch.from_numpy(x)}, path)


def read_torch(path: Path, height: int) -> Iterator[np.ndarray]:
    import torch

    x = torch.load(path, mmap=True, weights_only=True)["x"]
    for cut in _cuts(len(x), height):
        yield x[cut].clone().numpy()


# ---- HDF5, NetCDF


def _write_hdf5(**options: Any) -> Write:
    def write(path: Path, x: np.ndarray, height: int) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=x, chunks=(height, x.shape[1]), **options)

    return write


def read_hdf5(path: Path, height: int) -> Iterator[np.ndarray]:
    import h5py

    with h5py.File(path, "r") as file:
        for cut in _cuts(len(file["x"]), height):
            yield file["x"][cut]


def write_netcdf(path: Path, x: np.ndarray, height: int) -> None:
    import netCDF4

    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("sample", len(x))
        file.createDimension("unit", x.shape[1])
        file.createVariable("x", x.dtype, ("sample", "unit"), zlib=True, complevel=1, chunksizes=(height, x.shape[1]))
        file["x"][:] = x


def read_netcdf(path: Path, height: int) -> Iterator[np.ndarray]:
    import netCDF4

    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        for cut in _cuts(len(file["x"]), height):
            yield file["x"][cut]


# ---- Parquet, Arrow


def _units(x: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.table({f"u{number}": x[:, number] for number in range(x.shape[1])})


def _lists(x: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])})


def _free_lists(x: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.table({"x": pa.ListArray.from_arrays(np.arange(0, x.size + 1, x.shape[1], "i4"), pa.array(x.ravel()))})


def _write_parquet(table: Callable[[np.ndarray], Any], **options: Any) -> Write:
    def write(path: Path, x: np.ndarray, height: int) -> None:
        import pyarrow.parquet as parquet

        parquet.write_table(table(x), path, row_group_size=height, **options)

    return write


def _columns(batch: Any) -> np.ndarray:
    return np.column_stack([column.to_numpy() for column in batch.columns])


def _rows(batch: Any) -> np.ndarray:
    column = batch.column(0)
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.asarray(column.flatten().to_numpy()).reshape(len(column), -1)


def _read_parquet(as_rows: Callable[[Any], np.ndarray]) -> Read:
    def read(path: Path, height: int) -> Iterator[np.ndarray]:
        import pyarrow.parquet as parquet

        file = parquet.ParquetFile(path, page_checksum_verification=True)
        for group in range(file.num_row_groups):
            yield as_rows(file.read_row_group(group, use_threads=False))

    return read


def _write_arrow(new: str, rows: int | None = None, table: Callable[[np.ndarray], Any] = _lists) -> Write:
    def write(path: Path, x: np.ndarray, height: int) -> None:
        import pyarrow as pa

        columns = table(x)
        with getattr(pa.ipc, new)(str(path), columns.schema) as file:
            file.write_table(columns, max_chunksize=rows or height)

    return write


def _read_arrow_file(as_rows: Callable[[Any], np.ndarray]) -> Read:
    def read(path: Path, height: int) -> Iterator[np.ndarray]:
        import pyarrow as pa

        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
            for number in range(file.num_record_batches):
                yield np.array(as_rows(file.get_batch(number)))

    return read


def read_arrow_stream(path: Path, height: int) -> Iterator[np.ndarray]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
        for batch in stream:
            yield np.array(_rows(batch))


# ---- Zarr


def _write_zarr(**options: Any) -> Write:
    def write(path: Path, x: np.ndarray, height: int) -> None:
        import zarr

        group = zarr.open_group(str(path), mode="w")
        shards = {"shards": (8 * height, x.shape[1])} if options.get("sharded") else {}
        group.create_array(
            "x", shape=x.shape, dtype=x.dtype, chunks=(height, x.shape[1]), compressors=options["packed"], **shards
        )[:] = x

    return write


def read_zarr(path: Path, height: int) -> Iterator[np.ndarray]:
    import zarr

    x = zarr.open_group(str(path), mode="r")["x"]
    for cut in _cuts(x.shape[0], height):
        yield np.asarray(x[cut])


CASES = {
    "npy": Case(".npy", write_npy, read_npy),
    "npz": Case(".npz", write_npz, read_npz),
    "npz, deflated": Case(".npz", write_deflated, read_npz),
    "safetensors": Case(".safetensors", write_safetensors, read_safetensors),
    "torch": Case(".pt", write_torch, read_torch),
    "HDF5": Case(".h5", _write_hdf5(), read_hdf5),
    "HDF5, gzip and shuffle": Case(".h5", _write_hdf5(compression="gzip", shuffle=True), read_hdf5),
    "NetCDF-4, zlib": Case(".nc", write_netcdf, read_netcdf),
    "Parquet, units": Case(".parquet", _write_parquet(_units), _read_parquet(_columns)),
    "Parquet, fixed lists": Case(".parquet", _write_parquet(_lists), _read_parquet(_rows)),
    "Parquet, lists": Case(".parquet", _write_parquet(_free_lists, use_dictionary=False), _read_parquet(_rows)),
    "Arrow file, lists": Case(".arrow", _write_arrow("new_file"), _read_arrow_file(_rows)),
    "Arrow file, units": Case(".arrow", _write_arrow("new_file", table=_units), _read_arrow_file(_columns)),
    "Arrow stream, 1,000 rows": Case(".arrows", _write_arrow("new_stream", rows=1000), read_arrow_stream),
    "Zarr": Case(".zarr", _write_zarr(packed=None), read_zarr),
    "Zarr, zstd": Case(".zarr", _write_zarr(packed="auto"), read_zarr),
    "Zarr, zstd, shards": Case(".zarr", _write_zarr(packed="auto", sharded=True), read_zarr),
}


def read_covdist(path: Path, height: int) -> Iterator[np.ndarray]:
    """Open a log and read its widest array chunk by chunk, into one buffer where that is used, as a fold does."""
    entries = (entry for node in log_nodes(path).values() for entry in node.entries.values())
    source: Any = max((entry.source for entry in entries), key=lambda source: len(source.shape))
    assert isinstance(source, GridSource)
    buffer = np.empty(source.buffer_size, np.uint8) if source.buffer_size else None
    grid = (range(-(-size // cut)) for size, cut in zip(source.shape, source.chunks, strict=True))
    return (source.read_chunk(index, buffer) for index in itertools.product(*grid))


def seconds(read: Read, path: Path, height: int) -> float:
    start = time.perf_counter()
    for _ in read(path, height):
        pass
    return time.perf_counter() - start


def check(case: Case, path: Path, height: int, x: np.ndarray) -> None:
    for read in (case.read, read_covdist):
        found = np.concatenate([np.array(rows) for rows in read(path, height)])
        np.testing.assert_array_equal(found, x)


@click.command()
@click.option("--megabytes", default=256, show_default=True, help="Of each log, as float32.")
@click.option("--columns", default=256, show_default=True)
@click.option("--repeats", default=9, show_default=True, help="Runs of each, in turns.")
@click.option("--only", multiple=True, help="Begin of the name of a format.")
@click.option("--directory", help="Folder for the logs; a temporary one by default.")
def main(megabytes: int, columns: int, repeats: int, only: tuple[str, ...], directory: str | None) -> None:
    """Print MB/s of covdist and of the library, both from opening the file on, and the median of their ratios."""
    x = np.random.default_rng(0).normal(size=(megabytes * 1_000_000 // (4 * columns), columns)).astype("f4")
    x[:, ::4] = np.round(x[:, ::4])  # what is packed shrinks a little
    height = max(1, CHUNK // (4 * columns))
    print(f"{'format':24} {'covdist':>8} {'library':>8}   ratio")
    for name, case in CASES.items():
        if only and not name.startswith(only):
            continue
        with tempfile.TemporaryDirectory(prefix="covdist-formats-", dir=directory) as folder:
            path = Path(folder) / f"x{case.ending}"
            try:
                case.write(path, x, height)
            except ImportError as error:
                print(f"{name:24} left out: {error}")
                continue
            check(case, path, height, x)
            pairs = [(seconds(read_covdist, path, height), seconds(case.read, path, height)) for _ in range(repeats)]
        ours, theirs = (x.nbytes / 1e6 / statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(their / our for our, their in pairs)
        print(f"{name:24} {ours:8,.0f} {theirs:8,.0f}   {ratio:5.2f}")


if __name__ == "__main__":
    main()

"""Zarr and NumPy's formats, held to what each format is."""

from __future__ import annotations

import numpy as np
import zarr

from tests.hostile.headers import PROMISES, _npy, _npz
from tests.logs.conformance import NUMPY, SMALL, FormatTests, save_zarr


class TestZarr(FormatTests):
    dtypes = (*NUMPY, "complex64", *SMALL)
    names = ("fc1/activation", "block 3/attn.q/gradient", "ä", 'it\'s "x"', "1")

    def write(self, folder, arrays):
        root = zarr.open_group(str(folder), mode="w")
        for name, data in arrays.items():
            root.require_group(name.rpartition("/")[0] or "/")
            save_zarr(folder / name, data, tuple(max(1, min(4, size)) for size in data.shape))
        return folder

    def says_of(self, how):
        return "has changed since|was written|cut off|damaged|is not in the store|no longer"


class TestNpy(FormatTests):
    dtypes = (*NUMPY, ">f4", ">i2", "complex64")

    def write(self, folder, arrays):
        for name, data in arrays.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{name}.npy", data)
        return folder

    def lies(self, folder):
        for name, (shape, _) in PROMISES.items():
            yield _npy(folder / name, tuple(shape)).rename(folder / f"{name}.npy")


class TestColumnsFirst(TestNpy):
    def write(self, folder, arrays):
        return super().write(folder, {name: np.asarray(data, order="F") for name, data in arrays.items()})


class TestNpz(TestNpy):
    checksummed = True

    def write(self, folder, arrays):
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    def lies(self, folder):
        for name, (shape, _) in PROMISES.items():
            yield _npz(folder / name, tuple(shape)).rename(folder / f"{name}.npz")
        np.savez(folder / "skips.npz", a=np.eye(3), b=np.eye(3))
        data = bytearray((folder / "skips.npz").read_bytes())
        data[data.index(b"PK\x01\x02") + 33] = 2  # a comment of 512 bytes, in which the second member lies
        (folder / "skips.npz").write_bytes(data)
        yield folder / "skips.npz"


class TestCompressedNpz(TestNpz):
    def write(self, folder, arrays):
        np.savez_compressed(folder / "x.npz", **arrays)
        return folder / "x.npz"

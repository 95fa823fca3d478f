"""A result of many states and a job, as format 2 has them; ``python -m tests.compat.packed`` writes both, by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client

import covdist
from covdist.results.saving import save

from .cases import DATA
from .write import pack

COUNT = 17  # one more than have groups of their own
ROWS = np.load(DATA / "rows.npy")  # (24, 8)
PHASE = np.array(["warm-up", "été"])[np.arange(len(ROWS)) % 2]


def columns(number: int) -> np.ndarray:
    return ROWS[:, number % 5 : number % 5 + 1 + number % 3] * (1 + number)


def layers() -> dict[str, covdist.Moments]:
    found = {}
    for number in range(COUNT):
        names = {"unit": [f"u{i}" for i in range(columns(number).shape[1])], "phase": ("step", PHASE)}
        rows = xr.DataArray(columns(number), dims=("step", "unit"), coords=names)
        found[f"full/{number}"] = covdist.moments(rows.drop_vars("phase"), dim="step")
        found[f"by/{number}"] = covdist.moments(rows, dim="step", by="phase")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, log = Path(folder) / "kept", Path(folder) / "log"
        place.mkdir()
        save(layers(), place / "packed.zarr")
        for number in range(COUNT):
            (log / f"layer{number}").mkdir(parents=True)
            np.save(log / f"layer{number}" / "activation.npy", columns(number))
        with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
            covdist.submit(log, job=place / "job", client=client).wait()
        pack(place, DATA / "packed.tar.xz")


if __name__ == "__main__":
    main()

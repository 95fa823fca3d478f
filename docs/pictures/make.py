"""Makes the pictures of the docs from the demo's log: ``python docs/pictures/make.py``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from rich.console import Console

import covdist
from covdist.demo import run

HERE = Path(__file__).parent
DOTS = 80  # an inch: less than 60 kB a picture

if __name__ == "__main__":
    matplotlib.use("agg")
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder) / "demo", Console(quiet=True))
        vanishing, sound = (covdist.open_log(f"{folder}/demo/{name}.zarr") for name in ("vanishing", "sound"))
        pictures = {
            "health": covdist.plot.health(vanishing, by=()),
            "gradients": covdist.plot.gradients(vanishing, dim="step"),
            "correlation": covdist.moments(sound["layer4/activation"], dim="sample").compute().plot(),
        }
        for name, ax in pictures.items():
            ax.figure.savefig(HERE / f"{name}.png", dpi=DOTS)
            plt.close(ax.figure)

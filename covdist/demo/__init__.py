"""The demo: train one network from two initialisations, record both, and let the logs say what differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import covdist
from covdist.demo.training import Initialise, he, small_weights, train
from covdist.terminal.health import health_records, health_sentences, health_table

if TYPE_CHECKING:
    from distributed import Client
    from rich.console import Console

RUNS: Mapping[str, tuple[str, Initialise]] = {
    "vanishing": ("weights too small", small_weights),
    "sound": ("He initialisation", he),
}


def run(directory: Path, console: Console, client: Client | None = None) -> dict[str, Any]:
    """Train and record two small networks, analyse both logs and print what they say.

    ``directory`` gets the logs ``vanishing.zarr`` and ``sound.zarr``; without ``client``, dask's threads compute. What
    was found is returned by the name of the run, with one dict of numbers per layer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, (title, initialise) in RUNS.items():
        path = directory / f"{name}.zarr"
        with console.status(f"{name}: training and recording"), covdist.Recorder(path, chunk_bytes=1 << 20) as recorder:
            trained = train(initialise, recorder)
        with console.status(f"{name}: reading the log"):
            health = covdist.health(covdist.open_log(path), by=()).compute(scheduler=client or "threads")
        sentences = health_sentences(health)
        console.print(health_table(health, f"{name}: {title}"))
        console.print(f"accuracy: {trained.train_accuracy:.1%} in training, {trained.test_accuracy:.1%} held out")
        for sentence in sentences:
            console.print(f"-> {sentence}")
        console.print()
        found[name] = {
            "log": str(path),
            "train_accuracy": trained.train_accuracy,
            "test_accuracy": trained.test_accuracy,
            "steps": trained.steps,
            "suggestions": sentences,
            "layers": health_records(health),
        }
    return found

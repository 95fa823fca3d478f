"""Writes the kept results and jobs anew: ``python -m tests.compat.write``, with the version that is to be kept.

By hand, and seldom: later versions have to read what earlier ones wrote. Nothing else here reaches into covdist.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import zarr
from click.testing import CliRunner
from distributed import Client

import covdist

from .cases import CASES, DATA, FIRST, NOT_SHOWN, numbers, values
from .jobs import CHUNKS, JOBS, Asked, content, move, put
from .reading import described

WRITTEN = 1_700_000_000  # seconds; when all files were
SOMEBODY = "a machine (process 1)"
NODES = ["", "fc1", "fc1/weight", "mean", "root", "a/b", "a.b"]  # layers inside layers, called as arrays are
LOG = {"fc1": ("activation", "gradient"), "block1/attn": ("activation",)}


def main() -> None:
    DATA.mkdir(exist_ok=True)
    np.save(DATA / "rows.npy", np.random.default_rng(0).normal(size=(24, 8)))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = {"results": results(place / "results"), "jobs": jobs(place / "jobs")}
        for name in found:
            pack(place / name, DATA / f"{name}.tar.xz")
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found["results"].items()]
    more = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found["jobs"].items()]
    text = ",\n".join(lines), ",\n".join(more)
    (DATA / "numbers.json").write_text(f'{{"results": {{\n{text[0]}\n}}, "jobs": {{\n{text[1]}\n}}}}\n')


def pack(folder: Path, target: Path) -> None:
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder), recursive=False, filter=_plain)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid, info.gid, info.uname, info.gname, info.mtime = 0, 0, "", "", WRITTEN
    info.mode = 0o755 if info.isdir() else 0o644
    return info


# ---- results


def results(place: Path) -> dict[str, Any]:
    place.mkdir()
    for name, make in CASES.items():
        make(FIRST).save(place / f"{name}.zarr")
    _nodes(place / "nodes.zarr")
    with tempfile.TemporaryDirectory() as folder:
        log = _log(Path(folder) / "log.zarr")
        called("run", log, "-o", place / "log.zarr", "--workers", 1)
        called("run", log, "-o", place / "variances of a log.zarr", "--workers", 1, "--max-columns", 0)
        called("run", log, "-o", place / "log by epoch.zarr", "--workers", 1, "--layer", "fc1", "--by", "epoch")
    return {path.stem: _said(path) for path in sorted(place.glob("*.zarr"))}


def _nodes(target: Path) -> None:
    from covdist.readings.store import save

    save({node: covdist.moments(values(FIRST) * (number + 1)) for number, node in enumerate(NODES)}, target)


def _log(path: Path) -> Path:
    group = zarr.open_group(path, mode="w")
    _write(group, "embedding", numbers()[FIRST, 2:5], ("step", "part"))
    for layer, variables in LOG.items():
        for number, variable in enumerate(variables):
            _write(group, f"{layer}/{variable}", numbers()[FIRST, number : number + 4].astype("f4"), ("step", "unit"))
        _write(group, f"{layer}/epoch", 1 + np.arange(12) // 4, ("step",))
    return path


def _write(group: zarr.Group, name: str, array: np.ndarray, dims: tuple[str, ...]) -> None:
    group.create_array(name, data=array, chunks=(6, *array.shape[1:]), dimension_names=dims)


def _said(path: Path) -> dict[str, Any]:
    """What a result says, to `show` too."""
    found = covdist.load(path)
    nodes = {"": found} if isinstance(found, covdist.Moments) else found
    shown = {} if path.stem in NOT_SHOWN else json.loads(called("show", path, "--json"))
    return {node: {**described(one), "shown": shown.get(node)} for node, one in nodes.items()}


def called(*words: object) -> str:
    from covdist.cli import main

    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


# ---- jobs


def jobs(place: Path) -> dict[str, Any]:
    place.mkdir()
    _small(place / "small")
    _patchy(place / "patchy.zarr")
    _holes(place / "holes.zarr")
    for file in place.rglob("*"):
        os.utime(file, (WRITTEN, WRITTEN))
    found, whole = {}, place.with_name("whole")
    with _in_order(), Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        for name, asked in JOBS.items():
            log = place / asked.log
            found[name] = _said(_whole(whole / name, log, asked, client))
            if name != "finished":
                _part(place / name, log, asked, client)
    shutil.copytree(whole / "finished", place / "finished")
    for name, asked in JOBS.items():
        _anonymous(place / name, asked)
    return found


def _small(path: Path) -> None:
    """A folder of files, one chunk each."""
    for number, layer in enumerate(("fc1", "fc2")):
        (path / layer).mkdir(parents=True)
        np.save(path / layer / "activation.npy", numbers()[:12, number : number + 3].astype("f4"))


def _patchy(path: Path) -> None:
    """Two layers, of which every 200th row was written; the second has holes."""
    group, rng = zarr.open_group(path, mode="w"), np.random.default_rng(0)
    for layer, width in (("fc1", 3), ("fc2", 2)):
        sides = {"gradient": (width, "param"), "input": (2, "unit")}
        for name, (columns, dim) in sides.items():
            rows = rng.normal(1, 1, (CHUNKS, columns)).astype("f4")
            rows[::400, 0] = np.nan if (layer, name) == ("fc2", "gradient") else 1
            _rows(group, f"{layer}/{name}", rows, dim, range(0, CHUNKS, 200))
        epoch = 1 + 5 * np.arange(CHUNKS) // CHUNKS  # a shard has two of them
        group.create_array(f"{layer}/epoch", data=epoch, chunks=(CHUNKS,), dimension_names=("step",))


def _rows(group: zarr.Group, name: str, rows: np.ndarray, dim: str, written: range) -> None:
    array = group.create_array(
        name, shape=rows.shape, chunks=(1, rows.shape[1]), dtype=rows.dtype, dimension_names=("step", dim)
    )
    for row in written:
        array[row] = rows[row]


def _holes(path: Path, columns: int = 340, moving: int = 4) -> None:
    """Few columns that are not constant, and more patterns of holes than a table holds of so many columns."""
    rng, rows = np.random.default_rng(0), np.zeros((CHUNKS, columns), "f4")
    written = range(0, CHUNKS, 13)
    mixed = rng.normal(size=(len(written), moving)) @ rng.normal(size=(moving, moving))
    rows[written, :moving] = mixed
    for number, row in enumerate(written[::4]):
        rows[row, [number % moving, moving + number]] = np.nan
    _rows(zarr.open_group(path, mode="w"), "fc1/gradient", rows, "param", written)


@contextmanager
def _in_order() -> Iterator[None]:
    """One task at a time, and nobody's name on it."""
    from covdist.engine.job.dask_runner import DaskRunner

    places = [f"covdist.engine.job.owners.{name}" for name in ("this_owner", "dead")]
    with (
        mock.patch.object(DaskRunner, "slots", return_value=1),
        mock.patch(places[0], return_value=SOMEBODY),
        mock.patch(places[1], return_value=False),
        mock.patch("covdist.jobs.driving.here", return_value=""),
    ):
        yield


def _whole(path: Path, log: Path, asked: Asked, client: Client) -> Path:
    job = covdist.submit(log, job=path, client=client, **asked.options).wait(300)
    while not content(path / "lease" / "000001.json")["released"]:
        time.sleep(0.1)
    return Path(job.path)


def _part(path: Path, log: Path, asked: Asked, client: Client) -> None:
    """Drive a job until what is wanted is on disk, and leave it: cancelled, or as a driver that dies does."""
    from covdist.engine.job.shape import Node
    from covdist.readings.whole_log import Selection

    from covdist.jobs.job import job_directory
    from covdist.jobs.trees import Trees, question

    directory, options = job_directory(path), dict(asked.options)
    Trees(question(log, Selection(**_without(options)), options["missing_chunks"], None)).begin(directory)
    held = {Node.named(name) for name in asked.held}
    _driven(directory, client, lambda: held <= directory.saved(), cancel=path.name == "half")
    time.sleep(2)  # what was begun may still be saved
    directory.forget(directory.saved() - held)


def _without(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "missing_chunks"}


def _driven(directory: Any, client: Client, there: Callable[[], bool], cancel: bool) -> None:
    from covdist.engine.job.dask_runner import DaskRunner
    from covdist.engine.job.driver import Driver, Settings

    from covdist.jobs.driving import LEASE, opened

    job, trees = directory.manifest()["job"], opened(directory)
    lease, following = directory.owners.acquire(time.time(), LEASE), partial(trees.due, directory, job)
    work, often = trees.work(directory, job), Settings(progress_seconds=0.0)
    with closing(DaskRunner(client, work, lease.nonce, lambda: False, time.time())) as runner:
        driver = Driver(directory, lease, following(), runner, time.time, often, following)
        while not there():
            assert driver.step()
        if cancel:
            directory.owners.ask_to_cancel()
            with mock.patch.object(type(lease), "due", return_value=True):
                assert not driver.step()


def _anonymous(job: Path, asked: Asked) -> None:
    """Leave no place in a job, times long ago, and only what was to be there."""
    assert {state.name for state in (job / "states").iterdir()} == set(asked.held)
    move(job, f"/logs/{asked.log}")
    lease, progress = job / "lease" / "000001.json", job / "progress.json"
    put(lease, {**content(lease), "until": WRITTEN + 30.0, "nonce": "0" * 32})
    put(progress, {**content(progress), "time": float(WRITTEN)})
    events = [json.loads(line) for line in (job / "events.jsonl").read_text().splitlines()]
    dated = [{**event, "time": event["time"] - events[0]["time"] + WRITTEN} for event in events]
    (job / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in dated))


if __name__ == "__main__":
    main()

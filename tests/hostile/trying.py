"""Opens, plans and folds what lies at a path, in a process of its own, and says what it took.

One process answers good logs, which imports all that the tries need, and forks for each, so that a try costs its own
time only.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import dask

from tests.hostile.case import v2, v3

SECONDS, MIBS = 10, 400  # of a core: beside others it may take longer
_PATIENCE = 200  # seconds; only a hang takes as long
_ROOM = 3 << 30  # of addresses, should measuring fail


def main() -> None:
    """Serve: a line of JSON in, [path, folder to watch, options]; a line of JSON out."""
    _prepare()
    for line in sys.stdin:
        print(json.dumps(_forked(*json.loads(line))), flush=True)  # noqa: T201


def _prepare() -> None:
    import numcodecs.zarr3  # noqa: F401
    import scipy.linalg.blas  # noqa: F401
    import zarr.codecs.numcodecs
    import zarr.storage  # noqa: F401

    import covdist.logs.zarr.reading  # noqa: F401

    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="synchronous"):  # no thread is to be forked
        for good in (v3(Path(folder) / "v3"), v2(Path(folder) / "v2")):
            _plan(str(good), {})
            _run(str(good), {})
    gc.freeze()  # forks need not look through what is here, which took a third of their time


def _forked(path: str, watched: str, options: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            found = _tried(path, watched, options)
        except BaseException:
            found = {"crash": traceback.format_exc()}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    killer = threading.Timer(_PATIENCE, os.kill, (child, signal.SIGKILL))
    start = time.monotonic()
    killer.start()
    with open(reading, "rb") as stream:
        said = stream.read()
    _, status, used = os.wait4(child, 0)
    killer.cancel()
    took = {"seconds": time.monotonic() - start, "peak": used.ru_maxrss >> 10, "status": status}
    return {**took, **(json.loads(said) if said else {"killed": True})}


def _tried(path: str, watched: str, options: dict[str, Any]) -> dict[str, Any]:
    os.chdir(Path(path).parent)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    before = _status("VmRSS")
    room = _status("VmSize") + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    opened: set[str] = set()
    sys.addaudithook(lambda event, values: _note(opened, event, values))
    found: dict[str, Any] = {}
    for name, step in (("plan", _plan), ("run", _run)):
        start = time.monotonic()
        try:
            found[name] = {"value": step(path, options)}
        except BaseException as error:
            found[name] = _described(error)
        found[name]["seconds"] = time.monotonic() - start
    found["outside"] = sorted(each for each in opened if _is_outside(each, watched))
    return {**found, "grown": (_status("VmHWM") - before) >> 20}


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) << 10


def _note(opened: set[str], event: str, values: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(values[0], str | bytes):
        path, flags = os.fsdecode(values[0]), values[2] or 0
        if not (flags & os.O_NOFOLLOW and os.path.islink(path)):
            opened.add(path)
    elif event in ("os.listdir", "os.scandir") and isinstance(values[0], str | bytes):
        opened.add(os.fsdecode(values[0]))


def _is_outside(path: str, watched: str) -> bool:
    real = os.path.realpath(path)
    if real.startswith("/dev/"):
        return real not in ("/dev/null", os.path.realpath("/dev/stdin")) or os.path.islink(path)
    return real == "/" or real.startswith(watched)


def _described(error: BaseException) -> dict[str, Any]:
    from covdist.errors import CovdistError

    ours = isinstance(error, CovdistError)
    trace = "" if ours else traceback.format_exc()
    return {"error": type(error).__name__, "ours": ours, "says": str(error), "trace": trace}


def _plan(path: str, options: dict[str, Any]) -> str:
    from covdist.cli import main

    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["--debug", "plan", path, *words], standalone_mode=False)
    return out.getvalue()


def _run(path: str, options: dict[str, Any]) -> dict[str, Any]:
    from covdist.commands.options import print_results
    from covdist.folding.fold import fold_request
    from covdist.folding.selection import Selection, requests
    from covdist.logs.opening import log_nodes
    from covdist.logs.tree import tree

    nodes = log_nodes(path, **options)
    tree(nodes)  # as open_log does
    results = {name: fold_request(one).compute() for name, one in requests(nodes, Selection()).items()}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_results(results, False)
    pages = "".join(one._repr_html_() + repr(one) for one in results.values())
    return {"said": out.getvalue() + pages, "means": [float(one.mean().mean()) for one in results.values()]}


if __name__ == "__main__":
    main()

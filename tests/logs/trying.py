"""Opens and reads damaged and lying logs in a process of its own, which may crash, hang or take too much memory."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np

from covdist.errors import LogError
from covdist.logs.opening import log_nodes
from covdist.logs.source import Source

MIBS, SECONDS = 200, 20  # more memory than before; time of a core, at which a log is given up
_PATIENCE = 200  # seconds; only a hang takes as long
ROOT = Path(__file__).parents[2]


def sources(path: Path | str, **options: Any) -> dict[str, Source]:
    """Return the arrays of a log by their paths; LogError where one cannot be read."""
    found = {}
    for place, node in log_nodes(path, **options).items():
        for name in node.unreadable:
            node.check(name)
        found.update({f"{place}/{name}".lstrip("/"): entry.source for name, entry in node.entries.items()})
    return found


def bits(array: np.ndarray) -> str:
    """Return shape, kind and bits of an array, of whatever byte order."""
    array = np.asarray(array)
    if array.dtype.isbuiltin == 2:
        array = array.astype("f4")
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return f"{array.shape} {native.dtype} {hashlib.blake2b(native.tobytes(), digest_size=8).hexdigest()}"


class Trying:
    """A process that answers; started anew after it has crashed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, logs: Mapping[str, tuple[Path, Path | None, bytes]]) -> dict[str, dict[str, Any]]:
        """Read logs by name: each a path, and a file of it that has other content meanwhile.

        What was read is told by its bits, what was refused by the message.
        """
        return {name: self._tried(str(path), file and str(file), data) for name, (path, file, data) in logs.items()}

    def _tried(self, path: str, file: str | None, data: bytes) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, "-m", "tests.logs.trying"]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True)
        process, kept = self._process, _replaced(file, data) if file else b""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(path) + "\n")
        process.stdin.flush()
        killer = threading.Timer(_PATIENCE, process.kill)
        killer.start()
        said = process.stdout.readline()
        killer.cancel()
        if file:
            _replaced(file, kept)
        if said:
            return dict(json.loads(said))
        self.close()
        return {"crash": f"it ended with {process.returncode}, or was killed after {SECONDS} s of a core"}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def main() -> None:
    """Answer one path a line."""
    warnings.simplefilter("ignore")
    _read(str(ROOT / "nowhere"), {"said": []})
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        before, found = _peak(), {"read": {}, "said": []}
        until = int(time.process_time()) + 1 + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
        try:
            _read(json.loads(line), found)
        except Exception as error:
            found["crash"] = f"{type(error).__name__}: {error}"
        if _peak() - before > MIBS << 10:
            found["crash"] = f"took {(_peak() - before) >> 10} MiB"
        print(json.dumps(found), flush=True)  # noqa: T201


def _read(path: str, found: dict[str, Any]) -> None:
    try:
        nodes = log_nodes(path)
    except LogError as error:
        found["said"].append(str(error))
        return
    for place, node in nodes.items():
        found["said"] += [str(each.error) for each in node.unreadable.values()]
        for name, entry in node.entries.items():
            try:
                read = bits(_sampled(entry.source))
            except LogError as error:
                found["said"].append(str(error))
            else:
                found["read"][f"{place}/{name}".lstrip("/")] = read


def _sampled(source: Source) -> np.ndarray:
    """Return all of an array, of one that is larger than any here its first chunk."""
    cut = source.shape if np.prod(source.shape, dtype=float) < 1e6 else source.chunks
    return source[tuple(slice(0, size) for size in cut)]


def _replaced(file: str, data: bytes) -> bytes:
    before = Path(file).read_bytes()
    Path(file).write_bytes(data)
    return before


def _peak() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()

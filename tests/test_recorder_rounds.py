"""Many rounds of several ranks, and of kills at random moments, with all options of a recorder at once."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

import covdist
from covdist.record.projection import matrix
from tests.child import child

ROUNDS, KILLS, RANKS, STEPS, WIDTH = 20, 8, 8, 14, 64
ROUND = 900_000  # steps that a round may have, a multiple of all every=
OPTIONS = [
    {"chunk": 25, "shard": 3, "dtype": "float16", "every": {"*/b": 3}, "units": {"*/a": [1, 5, 40]}},
    {"chunk": 300, "shard": 2, "project": {"*/b": 16}, "units": {"*/a": 32}, "memory": "2MiB"},
    {"shard": 5, "every": {"*/a": 2, "*/b": 3}, "dtype": {"*/b": "float16"}, "chunk_bytes": 8192},
    {"chunk": 64, "max_bytes": "100kB", "project": {"*/b": 8}, "dtype": {"*/a": "float16"}, "memory": "2MiB"},
]
# Forks a recorder for each line, which has imported all that it needs.
FORKS = """
import gc, json, os, sys, warnings
import numpy as np
import scipy.sparse
import covdist
import covdist.record.recorder
from covdist.record.lent import Lent

warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from tests.test_recorder_rounds import rows

def record(path, first, last, rank, options):
    with covdist.Recorder(path, mode="a", rank=rank, **options) as rec:
        for step in range(first, last):
            a, b = rows(rank, step, "a"), rows(rank, step, "b")
            rec.log(step, {"fc/a": Lent(a) if step % 2 else a, "fc/b": b, "fc/gradient": a[0]}, epoch=step // 9)
            os.write(1, b"%d\\n" % step)

gc.freeze()
for line in sys.stdin:
    calls, pids = json.loads(line), []
    for call in calls:
        pids.append(os.fork())
        if not pids[-1]:
            code = 1
            try:
                record(**call)
                code = 0
            finally:
                os._exit(code)
    os.write(1, f"pids {pids}\\n".encode())
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    os.write(1, f"codes {codes}\\n".encode())
"""


def rows(rank: int | None, step: int, name: str) -> np.ndarray:
    """Return some rows that no other rank, step or array has, of numbers that float16 holds."""
    rng = np.random.default_rng([rank or 0, step, ord(name)])
    return rng.integers(-2048, 2049, (16 + step % 5, WIDTH)).astype("f4")


@pytest.fixture
def forks() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = os.path.dirname(os.path.dirname(__file__))
    pipe = subprocess.PIPE
    with child([sys.executable, "-c", FORKS, root], stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        yield process


def check_rows(x, mine, steps, rank):
    """Check that some rows of an array are the first of these steps, one after the other, and return how many."""
    dim, name = x.dims[0], x.name
    found, marks = x.values[mine].astype("f8"), x[f"{dim}_step"].values[mine]
    given = [rows(rank, step, name) for step in range(steps.start, 1 + marks.max(initial=-1), steps.step)]
    expected = np.concatenate([*given, np.empty((0, WIDTH), "f4")])[: len(found)]
    assert np.array_equal(marks, np.repeat(list(steps)[: len(given)], [len(each) for each in given])[: len(found)])
    assert np.array_equal(x[f"{dim}_epoch"].values[mine], marks // 9)
    if "covdist_units" in x.attrs:
        expected = expected[:, x.attrs["covdist_units"]["units"]]
    if "covdist_projection" in x.attrs:
        assert np.allclose(found, expected @ matrix(x.attrs), rtol=2e-3, atol=2)
    else:
        assert np.array_equal(found, expected)
    return len(found)


def every_of(options, name):
    return options.get("every", {}).get(f"*/{name}", 1)


def count(rank, steps, name):
    return sum(len(rows(rank, step, name)) for step in steps)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ranks_lose_and_mix_no_row(tmp_path, forks):
    for number in range(ROUNDS):
        options, path = OPTIONS[number % len(OPTIONS)], str(tmp_path / str(number))
        calls = [{"path": path, "first": 0, "last": STEPS, "rank": rank, "options": options} for rank in range(RANKS)]
        print(json.dumps(calls), file=forks.stdin, flush=True)
        assert next(line for line in forks.stdout if line.startswith("codes")) == f"codes {[0] * RANKS}\n"
        log = covdist.open_log(path)
        for name in "ab":
            x, steps = log[f"fc/{name}"], range(0, STEPS, every_of(options, name))
            for rank, ranks in enumerate(np.equal.outer(range(RANKS), x[f"{x.dims[0]}_rank"].values)):
                found, given = check_rows(x, ranks, steps, rank), count(rank, steps, name)
                assert found == given or ("max_bytes" in options and given // 4 < found < given)
        if "max_bytes" in options:
            files = (os.path.join(at, each) for at, _, names in os.walk(path) for each in names)
            assert sum(map(os.path.getsize, files)) <= RANKS * 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "most"),
    [
        (OPTIONS[0], 25),
        # One or two chunks, and what may wait: twice the writer's part of the memory, in rows of 256 bytes.
        ({**OPTIONS[1], "max_bytes": "1GB"}, 300 + 2 * (2 << 20) * 3 // 16 // 256),
        ({"chunk": 1000, "shard": 2, "every": {"*/b": 3}, "memory": "4MiB"}, 2000 + 2 * (4 << 20) * 3 // 16 // 256),
    ],
    ids=["small chunks", "larger ones", "lent rows"],
)
def test_a_kill_at_any_moment_loses_the_last_buffer_at_most(tmp_path, forks, options, most):
    path, clock, kept = str(tmp_path / "log"), random.Random(0), 0
    for first in range(0, KILLS * ROUND, ROUND):
        call = {"path": path, "first": first, "last": first + ROUND, "rank": None, "options": options}
        print(json.dumps([call]), file=forks.stdin, flush=True)
        pid, last = None, None
        while pid is None or last is None or last < first + options["chunk"]:
            word, _, rest = forks.stdout.readline().partition(" ")
            pid, last = (json.loads(rest)[0], last) if word == "pids" else (pid, int(word))
        time.sleep(clock.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        said = list(itertools.takewhile(lambda line: not line.startswith("codes"), forks.stdout))
        last = int(said[-1]) if said else last
        covdist.Recorder(path, mode="a", **options).close()  # cuts all arrays to the length of the shortest
        log = covdist.open_log(path)
        for name in "ab":
            x, every = log[f"fc/{name}"], every_of(options, name)
            now = x[f"{x.dims[0]}_step"].values >= first
            found = check_rows(x, now, range(first, first + ROUND, every), None)
            assert count(None, range(first, last + 1, every), name) - found <= most
            kept += found
    assert kept > 4 * most

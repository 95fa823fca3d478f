"""Progress where a person watches, silence elsewhere, and a way to stop."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Self

import psutil
import pytest
from distributed import Client

from .running import COVDIST, PATIENCE

BAR = "% Completed"


class Watched:
    """A `covdist` whose stderr is a terminal of its own, as in a window of its own."""

    def __init__(self, *words: object):
        self._master, slave = pty.openpty()
        command = [COVDIST, *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, start_new_session=True)
        os.close(slave)
        self.seen = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._reader.join(PATIENCE)
        os.close(self._master)

    def _read(self) -> None:
        try:
            while found := os.read(self._master, 4096):
                self.seen += found.decode()
        except OSError:  # the last process has let go of the terminal
            return

    def end(self) -> tuple[int, str]:
        stdout, _ = self.process.communicate(timeout=PATIENCE)
        self._reader.join(PATIENCE)
        return self.process.returncode, stdout.decode()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def endless(log, place):
    return ["run", log.path, "-o", place / "result", "--missing-chunks", "fill"]


def test_progress_on_a_terminal_spares_stdout(log, tmp_path, scheduler):
    words = ["run", log.path, "-o", tmp_path / "result", "--scheduler", scheduler, "--json"]
    with Watched(*words) as watched:
        code, stdout = watched.end()
    assert code == 0
    assert json.loads(stdout).keys() == log.arrays.keys()
    assert BAR in watched.seen


@pytest.mark.parametrize("moment", ["starting", "folding"])
def test_ctrl_c_ends_the_own_cluster(moment, endless_log, tmp_path):
    with Watched(*endless(endless_log, tmp_path)) as watched:
        process = psutil.Process(watched.process.pid)
        wait_for(process.children if moment == "starting" else lambda: BAR in watched.seen)
        children = process.children(recursive=True)
        os.killpg(watched.process.pid, signal.SIGINT)  # a terminal tells the whole group
        code, stdout = watched.end()
    assert (code, stdout) == (130, "")
    assert watched.seen.endswith("interrupted\r\n")
    assert "Traceback" not in watched.seen
    assert " - " not in watched.seen  # as in dask's own lines
    assert children
    assert not psutil.wait_procs(children, timeout=PATIENCE)[1]
    assert not list(tmp_path.iterdir())


def test_interrupt_frees_a_named_scheduler(endless_log, tmp_path, scheduler):
    words = [COVDIST, *endless(endless_log, tmp_path), "--scheduler", scheduler]
    with Client(scheduler) as client, subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(client.processing().values()))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
        wait_for(lambda: not any(client.processing().values()))
    assert (process.returncode, stderr) == (130, "interrupted\n")
    assert not list(tmp_path.iterdir())

"""Progress where a person watches, silence elsewhere, and a way to stop."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import threading
from typing import Self

import psutil
import pytest
from distributed import Client

from tests.child import child
from tests.jobs.clusters import until
from tests.jobs.folded import Folds

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


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """What workers of a cluster of its own fold: one shard each, and that never to its end."""
    found = Folds(tmp_path / "folds", most=0)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    return found


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
def test_ctrl_c_ends_the_own_cluster(moment, endless_log, tmp_path, folds):
    with Watched(*endless(endless_log, tmp_path)) as watched:
        group = watched.process.pid
        until(lambda: len(members(group)) > 1 if moment == "starting" else BAR in watched.seen and folds.begun())
        os.killpg(group, signal.SIGINT)  # as a terminal does
        code, stdout = watched.end()
    assert (code, stdout) == (130, "")
    assert watched.seen.endswith("interrupted\r\n")
    assert "Traceback" not in watched.seen
    assert " - " not in watched.seen  # as in dask's own lines
    until(lambda: not members(group))
    assert [each.name for each in tmp_path.iterdir()] == ["folds"]


def members(group: int) -> list[int]:
    """Return the processes of a group that live; a container may have nobody to bury the others."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.slow
def test_workers_that_die_are_told_in_one_sentence(endless_log, tmp_path, folds):
    with Watched(*endless(endless_log, tmp_path), "--workers", "1") as watched:
        until(lambda: BAR in watched.seen)
        for number in range(1, 5):
            until(lambda number=number: folds.begun() >= number)
            kill_workers(psutil.Process(watched.process.pid))
        assert watched.end() == (1, "")
    said = watched.seen.rpartition("covdist: ")[2]
    assert said.startswith("4 workers died")
    assert said.endswith("logs\r\n")
    assert "Traceback" not in watched.seen
    assert [each.name for each in tmp_path.iterdir()] == ["folds"]


def kill_workers(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()


def test_interrupt_frees_a_named_scheduler(endless_log, tmp_path, scheduler):
    words = [COVDIST, *endless(endless_log, tmp_path), "--scheduler", scheduler]
    with Client(scheduler) as client, child(words, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: any(client.processing().values()))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
        until(lambda: not any(client.processing().values()))
    assert (process.returncode, stderr) == (130, "interrupted\n")
    assert not list(tmp_path.iterdir())

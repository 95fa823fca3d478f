"""Real `covdist` processes, and what every one of them owes its user."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
COVDIST = str(SCRIPTS / "covdist")
DASK = str(SCRIPTS / "dask")
PATIENCE = 240  # seconds; only a hang takes as long


def covdist(*words: object) -> subprocess.CompletedProcess[str]:
    return run(COVDIST, *words)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=PATIENCE)


def output(*words: object) -> str:
    """Run `covdist` to success, silent on stderr, and return what it printed."""
    return succeeded(covdist(*words))


def sentence(*words: object, code: int = 1) -> str:
    """Run `covdist` to a failure, told in one line on stderr and nowhere else, and return that line."""
    return told(covdist(*words), code)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    line, end, rest = done.stderr.partition("\n")
    assert (end, rest) == ("\n", ""), done.stderr
    assert line.startswith("covdist: ")
    assert "unexpected" not in line, line
    return line

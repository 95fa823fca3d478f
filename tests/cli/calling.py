"""`covdist` called in this process, where what it says and writes does not depend on a process of its own."""

from __future__ import annotations

from subprocess import CompletedProcess

from click.testing import CliRunner

from covdist.cli import main

from .running import succeeded, told


def call(*words: object) -> CompletedProcess[str]:
    done = CliRunner().invoke(main, [str(word) for word in words], prog_name="covdist")
    return CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def output(*words: object) -> str:
    """Call `covdist` to success, silent on stderr, and return what it printed."""
    return succeeded(call(*words))


def sentence(*words: object, code: int = 1) -> str:
    """Call `covdist` to a failure, told in one line on stderr and nowhere else, and return that line."""
    return told(call(*words), code)

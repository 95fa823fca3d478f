"""A bar while the files of a log are opened: on a terminal, of many files, and gone when they are."""

from __future__ import annotations

import io
import sys

import pytest

from covdist.commands.progress import showing_files
from covdist.engine.progress import counted


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("terminal", "files", "shown"), [(True, 5000, True), (True, 500, False), (False, 5000, False)])
def test_a_bar_of_files(monkeypatch, terminal, files, shown):
    monkeypatch.setattr(sys, "stderr", said := Terminal() if terminal else io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    with showing_files():
        for _ in range(2):  # logs
            assert list(counted(iter(range(files)), files)) == list(range(files))
    text = said.getvalue()
    assert ("opening files" in text and "5000/5000" in text) is shown
    assert bool(text) is shown


def test_a_bar_ends_with_what_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    monkeypatch.setenv("TERM", "xterm")

    def failing():
        yield from range(2000)
        raise OSError

    with pytest.raises(OSError, match=r"^$"), showing_files():
        list(counted(failing(), 5000))
    assert said.getvalue().endswith("\x1b[2K")  # the line is cleared

"""Names and texts that are not ASCII, in a locale that is nothing else, and file names that are not UTF-8."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from distributed import Client

import covdist
from covdist.cli import main
from covdist.page.html import page


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a layer and an array whose names are no UTF-8."""
    folder = tmp_path / "log"
    layer = folder / os.fsdecode(b"l\xff")
    try:
        layer.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    np.save(layer / "activation.npy", np.eye(3))
    np.save(folder / os.fsdecode(b"x\xff.npy"), np.eye(4))
    return folder


@pytest.mark.parametrize("words", [["inspect"], ["health", "--activation", "activation"], ["plan"]])
def test_where_the_locale_is_ascii(words, log):
    done = CliRunner(charset="ascii").invoke(main, [words[0], str(log), *words[1:]])
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    assert b"l\\udcff" in done.stdout_bytes
    assert max(done.stdout_bytes) > 127  # as click writes where a locale is none


def test_jobs_of_names_that_are_no_utf8(log, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Client(processes=False, dashboard_address=":0", n_workers=1) as client:
        job = covdist.submit(log, job=tmp_path / os.fsdecode(b"job\xff"), client=client).wait()
    assert covdist.Job(job.id).path == job.path
    assert sorted(job.result()) == ["", os.fsdecode(b"l\xff")]


def test_the_page_where_the_locale_is_ascii(monkeypatch):
    pytest.importorskip("bokeh")
    monkeypatch.setattr(io, "text_encoding", lambda encoding, _=2: encoding or "ascii")
    assert "…" in page("a page", "…")

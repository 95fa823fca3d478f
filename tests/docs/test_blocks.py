"""The blocks of every page run as they stand, in order, in a folder that holds a log of the demo's network."""

from __future__ import annotations

import shutil

import click
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner

import covdist
from covdist.cli import main
from covdist.demo.training import TrainingSettings, small_weights, train

from .blocks import DOCS, PAGES, ROOT, blocks, commands, name

# Run elsewhere: with torch and others at hand, and with the page's own files as plug-ins.
ELSEWHERE = {DOCS / "using" / "hooks.md", DOCS / "development.md"}
TRIED = [page for page in PAGES if page not in ELSEWHERE and any(each.language == "python" for each in blocks(page))]
SHELL_TOO = [DOCS / "start", DOCS / "recipes"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "run.zarr"
    with covdist.Recorder(path) as recorder:
        train(small_weights, recorder, TrainingSettings(hidden=(24,) * 5, samples=500, epochs=6))
    return path


@pytest.fixture
def folder(log, tmp_path, monkeypatch):
    shutil.copytree(log, tmp_path / "run.zarr")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    yield tmp_path
    plt.close("all")


@pytest.mark.parametrize("page", TRIED, ids=name)
def test_the_blocks_run(page, folder):
    namespace: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, page, "exec"), namespace)
        elif block.language == "sh" and any(part in page.parents for part in SHELL_TOO):
            for words in commands(block.text):
                found = CliRunner().invoke(main, words)
                assert found.exit_code == 0, (words, found.output)
    for value in namespace.values():
        if isinstance(value, np.lib.npyio.NpzFile):
            value.close()  # as the end of a script does; or it warned in the middle of another test


LINES = [
    (name(page), words)
    for page in [*PAGES, ROOT / "README.md", ROOT / "deploy" / "README.md"]
    for block in blocks(page)
    if block.language == "sh"
    for words in commands(block.text)
]


@pytest.mark.parametrize(("page", "words"), LINES)
def test_commands_and_their_options_exist(page, words):
    command: click.Command = main
    given = [word for word in words if word not in ("--verbose", "--debug", "...", "…")]
    while isinstance(command, click.Group) and given and not given[0].startswith("-"):
        found = command.get_command(click.Context(command), given[0])
        assert found, f"{page}: there is no command {given[0]}"
        command, given = found, given[1:]
    if command.context_settings.get("ignore_unknown_options"):  # options of whatever it reads
        return
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    assert {word for word in given if word.startswith("-") and not word[1:].replace(".", "").isdigit()} <= known


def test_the_pages_that_run_elsewhere_exist():
    assert all(page.exists() for page in ELSEWHERE)

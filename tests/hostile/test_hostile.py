"""Whatever lies at the path: an answer or one sentence, soon, in little memory, from inside the log's folder only."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.child import child
from tests.hostile import bombs, headers, links, metadata, names
from tests.hostile.case import VALUES, Case
from tests.hostile.trying import MIBS, SECONDS

ROOT = Path(__file__).parents[2]
Try = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")


@pytest.fixture(scope="module")
def attempt() -> Iterator[Try]:
    command = [sys.executable, "-m", "tests.hostile.trying"]
    with child(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(path: Path, watched: Path, options: dict[str, Any]) -> dict[str, Any]:
            stdin.write(json.dumps([str(path), str(watched), options]) + "\n")
            stdin.flush()
            return dict(json.loads(stdout.readline()))

        yield ask


ALL = [
    pytest.param(case, id=f"{kind.__name__.rsplit('.')[-1]}-{case.name}", marks=() if case.fast else pytest.mark.slow)
    for kind in (headers, bombs, links, metadata, names)
    for case in kind.cases()
]


@pytest.mark.parametrize("case", ALL)
def test_answer_or_one_sentence(case: Case, attempt: Try, tmp_path: Path) -> None:
    path = case.make(tmp_path / "at")
    before = listing(tmp_path)
    found = attempt(path, tmp_path / "at" / "outside", case.options)
    assert "killed" not in found, f"took more than {SECONDS} s of a core, or hung: {found}"
    assert "crash" not in found, found["crash"]
    assert not found["outside"]
    assert found["grown"] <= MIBS, found
    for step in (found["plan"], found["run"]):
        if "error" in step:
            assert step["ours"], step["trace"]
            check_sentence(step["says"])
    check_outcome(case, found)
    assert listing(tmp_path) == before


def check_sentence(said: str) -> None:
    assert said.isprintable(), said
    assert len(said) < 2000


def check_outcome(case: Case, found: dict[str, Any]) -> None:
    run = found["run"]
    for said in (found["plan"].get("value", ""), run.get("value", {}).get("said", "")):
        assert all(character.isprintable() or character == "\n" for character in said)
        assert not re.search(r"[x\u0301\U0001f9e0]{200}", said)
    if case.outcome == "refused":
        assert "error" in run, f"not refused: {run}"
        assert re.search(case.says, run["says"])
    if case.outcome == "read":
        assert "value" in run, run["says"]
    if "value" in run and "scale_factor" not in case.name and "add_offset" not in case.name:
        assert all(value in (float(VALUES.mean()), 0.0) for value in run["value"]["means"]), run["value"]["means"]


def listing(folder: Path) -> list[str]:
    return sorted(os.path.join(place, name) for place, *several in os.walk(folder) for some in several for name in some)

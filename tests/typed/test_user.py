"""Who types their own code gets types from covdist, and no Any."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import covdist
from covdist.engine.plan import Plan

ROOT = Path(__file__).parents[2]
USER = Path(__file__).with_name("user.py")
# What covdist hands itself: states without names, how a job's folder and a plan's work are made, what hooks round to.
FOR_COVDIST = {
    covdist.Moments: {
        "state",
        "deferred",
        "matrix",
        "read",
        "read_matrix",
        "read_rows",
        "read_columns",
        "can_answer",
        "asking",
        "with_tiles_in",
    },
    covdist.Job: {"directory"},
    Plan: {"work", "cuts", "in_short", "peak", "fold_bytes", "at_once", "check_workers"},
    covdist.Recorder: {"begin", "defer", "dtype_of"},
}


def checked(path: Path) -> str:
    """Return what mypy says of a file, by the project's settings: with its cache, and for ``user.py`` all of strict."""
    command = [sys.executable, "-m", "mypy", str(path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    return found.stdout + found.stderr


@pytest.mark.slow
def test_a_users_script_has_types_throughout():
    assert "Success" in (said := checked(USER)), said


@pytest.mark.slow
def test_slips_are_found(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import covdist\nimport numpy as np\n"
        "covdist.covariance(np.eye(3))\n"
        "covdist.moments(np.eye(3)).covariance()\n"
        "covdist.cov()\n"
    )
    said = checked(script).splitlines()
    for number, kind in (3, "attr-defined"), (4, "attr-defined"), (5, "call-arg"):
        assert any(f"script.py:{number}:" in line and line.endswith(f"[{kind}]") for line in said), said


def names_read(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def readings() -> set[str]:
    """Names of the readings: the files with a function ``read``, which Moments has as methods."""
    folder = Path(covdist.__file__).parent / "readings"
    names = {path.stem for path in folder.iterdir() if path.name[0] not in "_."}
    return {name for name in names if hasattr(importlib.import_module(f"covdist.readings.{name}"), "read")}


def test_every_public_name_stands_in_the_users_script():
    assert set(covdist.__all__) <= names_read(USER)


@pytest.mark.parametrize("cls", FOR_COVDIST, ids=lambda cls: cls.__name__)
def test_every_member_stands_in_the_users_script(cls):
    public = {name for name in {*dir(cls), *getattr(cls, "__dataclass_fields__", {})} if not name.startswith("_")}
    public |= readings() if cls is covdist.Moments else set()
    assert public - FOR_COVDIST[cls] <= names_read(USER)


def test_the_marker_for_type_checkers_is_there():
    assert (Path(covdist.__file__).parent / "py.typed").read_bytes() == b""

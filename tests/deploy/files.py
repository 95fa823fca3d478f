"""The files of ``deploy/``, read."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = DEPLOY / "docker" / "compose.yaml"
BATCH = DEPLOY / "slurm" / "covdist.sbatch"


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def commands() -> list[tuple[str, list[str]]]:
    """Return every ``dask`` or ``covdist`` command of the files, by the file it stands in."""
    found = []
    for path in KUBERNETES:
        found += [(path.name, [*c["command"], *c.get("args", [])]) for c in containers(loaded(path))]
    found += [(COMPOSE.name, service["command"]) for service in loaded(COMPOSE)["services"].values()]
    for path in [*UNITS, BATCH, DEPLOY / "README.md"]:
        found += [(path.name, words) for words in _lines(path.read_text())]
    return [(name, words) for name, words in found if words[0] in ("dask", "covdist")]


def containers(tree: Any) -> list[Any]:
    """Return every container anywhere below."""
    if isinstance(tree, list):
        return [found for inner in tree for found in containers(inner)]
    if not isinstance(tree, dict):
        return []
    return tree.get("containers", []) + [found for inner in tree.values() for found in containers(inner)]


def _lines(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").replace("ExecStart=/opt/covdist/bin/", "").splitlines()
    lines = [line.strip().rstrip("&").replace("$(tls scheduler)", "").replace("$(tls worker)", "") for line in lines]
    return [shlex.split(line) for line in lines if line.startswith(("dask ", "covdist "))]


@cache
def help_of(*command: str) -> str:
    """Return what ``--help`` says; nothing where there is no such command."""
    program = [str(Path(sys.executable).with_name(command[0])), *command[1:], "--help"]
    found = subprocess.run(program, capture_output=True, text=True, check=False, timeout=200)
    return found.stdout if found.returncode == 0 else ""

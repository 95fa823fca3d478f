"""Imports go downward only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import covdist

ROOT = Path(covdist.__file__).parent
LAYERS = [
    "errors",
    "storage",
    "numerics",
    "state",
    "logs",
    "rows",
    "engine",
    "results",
    "folding",
    "readings",
    "jobs",
    "report",
    "record",
    "demo",
    "commands",
    "cli",
]
STATE_MAY_IMPORT = {"numpy", "scipy", "threadpoolctl", "covdist"} | sys.stdlib_module_names


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(["covdist", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules a file imports, wherever in it they stand."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            module = str(node.module)
            # `from covdist import x` names a layer, or one of the public names.
            yield from (f"covdist.{alias.name}" for alias in node.names) if module == "covdist" else [module]


def layer_of(module: str) -> int:
    """Rank of a module; the package itself offers the public names, and stands below what uses them."""
    layer = module.split(".")[1] if "." in module else ""
    return LAYERS.index(layer) if layer in LAYERS else LAYERS.index("demo")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_downward(path):
    for module in imported(path):
        if module.split(".")[0] == "covdist":
            assert layer_of(module) <= layer_of(name_of(path)), f"{name_of(path)} imports {module}"


def test_every_file_stands_in_a_layer():
    assert {name_of(path).split(".")[1] for path in modules()} <= set(LAYERS)


def roots(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize("path", sorted((ROOT / "state").glob("*.py")), ids=name_of)
def test_the_algebra_knows_numpy_alone(path):
    assert roots(path) <= STATE_MAY_IMPORT


def test_the_plan_knows_no_dask():
    assert roots(ROOT / "engine" / "plan.py") <= {"numpy", "covdist"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "engine").glob("*.py")), ids=name_of)
def test_the_engine_knows_no_labels(path):
    assert roots(path).isdisjoint({"xarray", "pandas", "zarr"})


HEAVY = ("dask", "distributed", "xarray", "zarr", "pandas", "scipy")


@pytest.mark.parametrize("module", ["covdist", "covdist.errors"])
def test_importing_the_package_alone_is_light(module):
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []

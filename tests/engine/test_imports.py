"""Rooms import downward by a table of allowed edges, and no file imports in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import covdist

ROOT = Path(covdist.__file__).parent
ALLOWED = {
    "errors": "",
    "given": "errors",
    "limits": "errors given",
    "plugins": "",
    "storage": "errors given kernel",
    "kernel": "errors",
    "numerics": "errors kernel",
    "state": "errors given limits plugins kernel numerics",
    "engine": "errors limits kernel numerics",
    "logs": "errors limits plugins given storage engine",
    "rows": "errors limits kernel numerics engine logs",
    "results": "errors limits plugins given storage kernel numerics state engine rows",
    "folding": "errors limits plugins given kernel numerics state engine rows results",
    "missing": "errors numerics state rows results folding",
    "exports": "errors given numerics state logs results",
    "readings": "errors limits plugins given numerics state engine rows results folding",
    "growth": "errors given engine logs results folding",
    "jobs": "errors limits given storage numerics state engine logs rows results folding growth",
    "plot": "errors plugins given engine results folding readings",
    "terminal": "errors engine results readings jobs plot",
    "page": "errors given engine logs folding state results readings jobs plot terminal",
    "record": "errors given kernel numerics storage state results",
    "demo": "terminal",
    "commands": "errors plugins given engine logs results folding growth jobs terminal page record",
    "cli": "errors kernel numerics engine logs results folding growth readings terminal demo commands",
    "__main__": "cli",
}
STATE_MAY_IMPORT = {"numpy", "scipy", "threadpoolctl", "covdist"} | sys.stdlib_module_names


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(["covdist", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


FILES = {name_of(path): path for path in files()}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules a file imports, wherever in it they stand: for typing, in functions, or named by a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in FILES:
            yield str(node.value)


def file_of(module: str) -> str | None:
    """Return the file of a module, or of what is imported from it; the package itself stands above all."""
    while module and module not in FILES:
        module = module.rpartition(".")[0]
    return module if module not in ("", "covdist") else None


@cache
def edges() -> dict[str, set[str]]:
    return {
        name: {found for module in imported(path) if (found := file_of(module)) is not None and found != name}
        for name, path in FILES.items()
        if name != "covdist"  # offers the public names, by their homes
    }


def room(module: str) -> str:
    return module.split(".")[1]


def test_rooms_import_what_the_table_allows():
    found = {(name, module) for name, modules in edges().items() for module in modules}
    allowed = {above: {above, *below.split()} for above, below in ALLOWED.items()}
    assert {(name, module) for name, module in found if room(module) not in allowed[room(name)]} == set()


def test_the_table_goes_downward_and_names_every_room():
    assert list(TopologicalSorter({above: below.split() for above, below in ALLOWED.items()}).static_order())
    assert {room(name) for name in edges()} == set(ALLOWED)


def test_no_file_imports_in_a_circle():
    try:
        TopologicalSorter(edges()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_rooms_stay_small():
    folders = [path for path in ROOT.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    crowded = {str(folder): count for folder in folders if (count := len(list(folder.glob("*.py")))) > 20}
    long = {name: lines for name, path in FILES.items() if (lines := path.read_text().count("\n")) > 350}
    assert not crowded
    assert not long


def test_no_class_name_stands_twice():
    names: dict[str, str] = {}
    for name, path in FILES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                assert node.name not in names, f"{node.name} stands in {name} and in {names[node.name]}"
                names[node.name] = name


def packages(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize("path", [*(ROOT / "state").rglob("*.py"), *(ROOT / "numerics").rglob("*.py")], ids=name_of)
def test_the_algebra_knows_numpy_alone(path):
    assert packages(path) <= STATE_MAY_IMPORT


def test_the_plan_knows_no_dask():
    assert packages(ROOT / "engine" / "plan.py") <= {"numpy", "covdist"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "engine").glob("*.py")), ids=name_of)
def test_the_engine_knows_no_labels(path):
    assert packages(path).isdisjoint({"xarray", "pandas", "zarr"})


HEAVY = ("dask", "distributed", "xarray", "zarr", "pandas", "scipy")


@pytest.mark.parametrize("module", ["covdist", "covdist.errors"])
def test_importing_the_package_alone_is_light(module):
    code = f"import sys, {module}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []

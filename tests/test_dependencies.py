"""What the package imports is what it declares."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = SETTINGS["project"], SETTINGS["build-system"]
# by fsspec for s3:// paths, by xarray for netCDF 4
FOUND_BY_OTHERS = {"s3fs", "h5netcdf"}
USERS_HAVE = {"lightning", "pytorch-lightning", "transformers"}  # callbacks for those who train with them
FRAMEWORKS = {"jax", "torch"}  # large, and there already where anything is trained
FOR_PEOPLE = {"all", "docs", "notebooks", "test"}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def lowest(requirements: list[str]) -> dict[str, Version]:
    """Return the lowest version of each, where one is asked for by >= or ==."""
    parsed = [Requirement(line) for line in requirements]
    return {
        canonicalize_name(one.name): Version(each.version)
        for one in parsed
        for each in one.specifier
        if each.operator in (">=", "==")
    }


def imported(path: Path) -> Iterator[str]:
    """Yield the top modules a file imports: also those in functions, and for the types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


def packages_imported(folder: Path) -> set[str]:
    modules = {module for path in folder.rglob("*.py") for module in imported(path)}
    found = packages_distributions()
    others = modules - sys.stdlib_module_names - {"covdist", "tests"}
    return {canonicalize_name(found.get(module, [module])[0]) for module in others}


def test_everything_imported_is_declared_and_everything_declared_imported():
    extras = {extra: lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in FOR_PEOPLE}
    always, sometimes = names(PROJECT["dependencies"]), names([line for lines in extras.values() for line in lines])
    used = packages_imported(ROOT / "covdist") - names(BUILD["requires"])  # of the hook that compiles the kernel
    assert used - USERS_HAVE <= always | sometimes, "imported, but neither a dependency nor in an extra"
    assert always | sometimes - FOUND_BY_OTHERS <= used, "declared, but nothing imports it"
    assert not always & sometimes


def test_all_is_every_extra_for_users():
    (line,) = PROJECT["optional-dependencies"]["all"]
    assert Requirement(line).extras == set(PROJECT["optional-dependencies"]) - {"all", "docs", "test"} - FRAMEWORKS


def test_the_lowest_versions_are_those_that_are_tried():
    lines = [line for line in (ROOT / ".ci" / "lowest.txt").read_text().splitlines() if not line.startswith("#")]
    declared = lowest(PROJECT["dependencies"])
    assert all("==" in line for line in lines)
    assert lowest(lines) == declared
    assert set(declared) == names(PROJECT["dependencies"]), "a dependency without its lowest version"
    assert declared["dask"] == declared["distributed"]


@pytest.mark.parametrize("code", ["import a.b", "from a import b", "def f():\n    from a.b import c"])
def test_imports_are_found_wherever_they_stand(code, tmp_path):
    (tmp_path / "x.py").write_text(f"if TYPE_CHECKING:\n    import b.c\nfrom . import d\n{code}\n")
    assert packages_imported(tmp_path) == {"a", "b"}

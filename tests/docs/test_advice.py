"""What the sentences of errors advise exists, and a page says what it is."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from dataclasses import is_dataclass
from functools import cache

import click

import covdist
from covdist import plugins
from covdist.cli import main
from covdist.state.named import state_types

from .blocks import ROOT

ERROR = re.compile(r"\w*Error$")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
INSTALL = (ROOT / "docs" / "start" / "install.md").read_text()


@cache
def sentences():
    """Return the texts of all errors that the package raises, with ``…`` for what is filled in."""
    nodes = (
        node for path in sorted((ROOT / "covdist").rglob("*.py")) for node in ast.walk(ast.parse(path.read_text()))
    )
    calls = [node for node in nodes if isinstance(node, ast.Call) and ERROR.search(called(node))]
    return [text for call in calls for argument in call.args if (text := words(argument))]


def called(node):
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def words(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) or "…" for part in node.values)
    return ""


def every_command(group=main):
    for each in group.commands.values():
        yield each
        if isinstance(each, click.Group):
            yield from every_command(each)


@cache
def commands():
    return {each.name: each for each in every_command()}


@cache
def functions():
    """Return those that are public, those of formats, whose options `covdist export` and `import` take, and plots."""
    found = [getattr(covdist, each) for each in covdist.__all__ if inspect.isfunction(getattr(covdist, each))]
    modules = [module for room in ("exports", "plot") for module in plugins.modules(room)]
    return found + [each for module in modules for each in vars(module).values() if inspect.isfunction(each)]


def options():
    shown = [main, *commands().values()]
    named = {name for each in functions() for name in inspect.signature(each).parameters}
    return {
        *(option for each in shown for part in each.params for option in (*part.opts, *part.secondary_opts)),
        *(f"--{name.replace('_', '-')}" for name in named),
    }


@cache
def calls():
    classes = [getattr(covdist, each) for each in covdist.__all__ if inspect.isclass(getattr(covdist, each))]
    states = (each for each in state_types().values() if is_dataclass(each))
    methods = (each for cls in classes for name, each in inspect.getmembers(cls, callable) if not name.startswith("_"))
    return [*functions(), *classes, *states, *methods]


def takers():
    """Yield the name of each parameter of each public call, with the call."""
    for each in calls():
        try:
            names = inspect.signature(each).parameters
        except ValueError:  # of what is not written in Python
            continue
        for name in names:
            yield name, each


def advised(pattern):
    return {found for text in sentences() for found in re.findall(pattern, text)}


def test_there_are_sentences():
    assert len(sentences()) > 300


def test_the_options_exist():
    others = advised(r"dask scheduler (--[a-z-]+)") | {"--in-file"}
    assert advised(r"(?<![\w-])--[a-z][a-z-]+") - options() - others == set()


def test_the_extras_exist_and_the_page_on_installing_has_them():
    found = {extra for text in advised(r"covdist\[([\w,]+)\]") for extra in text.split(",")}
    assert found
    assert found <= EXTRAS.keys()
    assert all(f"`{extra}`" in INSTALL for extra in EXTRAS)


def test_the_parameters_exist():
    others = {"write_empty_chunks", "scheduler", "epoch"}  # of zarr, of dask, of a log
    assert advised(r"(?<![\w.{-])([a-z]\w*)=") - {name for name, _ in takers()} - others == set()


def test_the_values_of_parameters_are_told_where_the_parameters_are():
    pages = {"state": "".join(f'"{name}"' for name in state_types()), "shrink": covdist.shrink.__doc__}
    pages["scheduler"] = '"threads"'  # dask's own
    for name, call in takers():
        pages[name] = pages.get(name, "") + (inspect.getdoc(call) or "")
    found = advised(r"(?<![\w.{-])([a-z]\w*)=[\"']([\w-]+)[\"']")
    assert len(found) > 10
    assert {(name, value) for name, value in found if f'"{value}"' not in pages.get(name, "")} == set()


def test_the_commands_exist():
    found = advised(r"`covdist ([a-z]+)")
    assert found
    assert found <= commands().keys()


def test_the_functions_exist():
    found = advised(r"\bcovdist\.([a-z_]+)\(")
    assert found
    assert found <= {*covdist.__all__}


def test_the_policies_and_their_page():
    found = advised(r"missing='([a-z]+)'")
    assert found
    assert found <= {each.rstrip("_") for each in plugins.names("missing")}
    assert all(f'"{each}"' in (ROOT / "docs" / "concepts" / "missing.md").read_text() for each in found)


def test_the_page_on_refusals_advises_only_what_exists():
    page = (ROOT / "docs" / "reference" / "refused.md").read_text()
    assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)} <= options()
    assert {*re.findall(r"covdist ([a-z]+) (?=[A-Z])", page)} <= commands().keys()


def test_the_page_on_refusals_quotes_what_is_said():
    page = (ROOT / "docs" / "reference" / "refused.md").read_text()
    quoted = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ") and "sentence says" not in line]
    parts = {part.strip(" :,") for quote in quoted for part in re.split("[…;]", re.sub(r"\b(nan|inf)\b", "…", quote))}
    literals = package_texts()
    assert [part for part in sorted(parts - {""}) if not any(part in text for text in literals)] == []


@cache
def package_texts():
    """Return all texts that stand in the package, with ``…`` for what is filled in."""
    paths = sorted((ROOT / "covdist").rglob("*.py"))
    return {text for path in paths for node in ast.walk(ast.parse(path.read_text())) if (text := words(node))}

"""The examples of docs/development.md and the README run as they stand, and what the documentation names exists."""

from __future__ import annotations

import importlib
import logging
import re
import sys
from pathlib import Path

import pytest
from docs.blocks import PAGES
from docs.blocks import name as name_of
from engine.test_imports import ALLOWED
from state import test_laws
from state.kinds import Kind

import covdist
from covdist import plugins
from covdist.logs import formats
from covdist.state import named

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "development.md"
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *PAGES]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [block.group(1) for block in FENCED.finditer(PAGE.read_text())]
PLUGIN = re.compile(r"# covdist/(\w+)/(\w+)\.py\n")
LAWS = (
    test_laws.test_empty_is_the_identity,
    test_laws.test_an_unused_accumulator_gives_the_empty_state,
    test_laws.test_any_merge_tree_of_any_cut,
    test_laws.test_merge_leaves_its_arguments_alone,
    test_laws.test_a_state_is_not_changed_by_later_rows,
)


def _forget() -> None:
    plugins._modules.cache_clear()
    formats.formats.cache_clear()
    named.state_types.cache_clear()


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """The plug-ins of the page as files in the rooms that they name, beside those that are there."""
    found = {match.groups(): block for block in BLOCKS if (match := PLUGIN.match(block))}
    for (room, name), text in found.items():
        folder = tmp_path / room
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        package = importlib.import_module(f"covdist.{room}")
        assert not (Path(package.__path__[0]) / f"{name}.py").exists()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("covdist").level
    _forget()
    yield set(found)
    _forget()
    logging.getLogger("covdist").setLevel(level)
    for room, name in found:
        sys.modules.pop(f"covdist.{room}.{name}", None)
        vars(importlib.import_module(f"covdist.{room}")).pop(name, None)


def test_the_examples_run(rooms):
    assert {room for room, _ in rooms} == {"readings", "state", "logs", "missing"}
    namespace: dict[str, object] = {}
    for block in BLOCKS:
        if not PLUGIN.match(block):
            line = PAGE.read_text()[: PAGE.read_text().index(block)].count("\n")
            exec(compile("\n" * line + block, PAGE, "exec"), namespace)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("grouped", [False, True])
def test_the_state_keeps_the_laws(rooms, law, grouped):
    extremes = importlib.import_module("covdist.state.extremes").Extremes
    law(kind=Kind(extremes, 1, grouped))


def test_every_word_of_the_glossary_stands_once_and_in_order():
    words = re.findall(r"^\| (\S[^|]*?) \|", PAGE.read_text().split("## Glossary")[1], re.MULTILINE)[1:]
    assert words[0] != "---"
    assert words == sorted(set(words))


def test_the_smallest_case_prints_what_the_readme_shows(capsys):
    case = (ROOT / "README.md").read_text().split("## The smallest case")[1].split("\n## ")[0]
    first, second = FENCED.findall(case)
    namespace: dict[str, object] = {}
    exec(first, namespace)
    assert f"```\n{capsys.readouterr().out}```" in case
    exec(second, namespace)


# ---- names and links


def _exists(name: str) -> bool:
    """Say whether a dotted name is a module, or an attribute of one."""
    found: object = covdist
    for part in name.split(".")[1:]:
        if not hasattr(found, part):
            try:
                importlib.import_module(f"{getattr(found, '__name__', '')}.{part}")
            except ModuleNotFoundError:
                return False
        found = getattr(found, part, None) or sys.modules[f"{found.__name__}.{part}"]
    return True


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_names_exist(path, rooms):
    names = set(re.findall(r"(?<![\w/.@-])covdist(?:\.[A-Za-z]\w*)+", path.read_text()))
    assert not {name for name in names if not _exists(name)}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_files_exist(path, rooms):
    text = path.read_text()
    named = set(re.findall(r"\b((?:covdist|tests|docs|deploy|notebooks|benchmarks)/[\w/]+\.(?:py|md|ipynb))\b", text))
    made = {f"covdist/{room}/{name}.py" for room, name in rooms}
    assert not {each for each in named - made if not (ROOT / each).exists()}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target or target.startswith("made/"):  # the site's tests follow what is made with it
            continue
        place, _, heading = target.partition("#")
        file = path.parent / place if place else path
        assert file.exists(), target
        assert not heading or heading in _headings(file), target


def _headings(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_picture_of_the_rooms_is_that_of_the_table():
    picture = re.findall(r"^  (\w+) .* <- ?(.*)$", PAGE.read_text(), re.MULTILINE)
    assert dict(picture) == ALLOWED


CLASSES = {
    name for path in (ROOT / "covdist").rglob("*.py") for name in re.findall(r"^class (\w+)", path.read_text(), re.M)
}
OTHERS = {"DataArray", "DataTree", "Delayed", "IncrementalPCA", "ValueError"}  # of dask, of xarray, ...
OTHERS |= {"Extremes"}  # of the page's own example


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_classes_exist(path):
    plain = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([A-Z][a-z]+[A-Za-z]*)[`(.]", plain))
    assert named <= CLASSES | OTHERS

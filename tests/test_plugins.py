"""Plug-ins: each module of a room, by name; none is imported before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import covdist
from covdist import plugins
from covdist.plugins import NoSuchPluginError, find, modules, names


@pytest.fixture
def room(tmp_path, monkeypatch) -> str:
    """A room with a plug-in, one named by a keyword, a package, one that is broken, and what is none."""
    files = {
        "__init__": "",
        "plain": "VALUE = 1",
        "raise_": "VALUE = 2",
        "wide/__init__": "VALUE = 3",
        "broken": "import a_package_that_nobody_has",
        "_helper": "raise AssertionError",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "notes.txt").write_text("no module")
    monkeypatch.setattr(covdist, "__path__", [*covdist.__path__, str(tmp_path.parent)])
    plugins._modules.cache_clear()
    yield tmp_path.name
    plugins._modules.cache_clear()
    for name in [each for each in sys.modules if each.startswith(f"covdist.{tmp_path.name}")]:
        del sys.modules[name]


def test_names_and_modules(room):
    assert names(room) == ["broken", "plain", "raise", "wide"]
    assert [find(room, name).VALUE for name in ("plain", "raise", "wide")] == [1, 2, 3]


def test_a_name_that_is_none(room):
    for name in ("other", "plain.VALUE", "_helper", "raise_", ""):
        with pytest.raises(NoSuchPluginError, match="only broken, plain, raise, wide"):
            find(room, name)


def test_a_package_that_is_missing_is_named_as_such(room):
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        find(room, "broken")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        modules(room)


def test_names_imports_no_plugin():
    code = (
        "import sys; from covdist.plugins import names; assert 'cov' in names('readings');"
        "assert 'covdist.readings.cov' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

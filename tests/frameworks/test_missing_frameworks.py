"""covdist needs none of the frameworks, and says what to install where one is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import covdist

FRAMEWORKS = {"torch": "rank()", "jax": "gradients({})"}
CALLBACKS = ("lightning", "transformers")


@pytest.mark.parametrize(("module", "call"), FRAMEWORKS.items())
def test_a_missing_framework_is_named(module, call, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.accelerator", None)
    home = __import__(f"covdist.record.{module}", fromlist=["record"])
    with pytest.raises(covdist.CovdistError, match=rf"pip install 'covdist\[{module}\]'"):
        eval(f"home.{call}", {"home": home})


@pytest.mark.parametrize("module", CALLBACKS)
def test_a_callback_names_what_is_missing(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.pytorch", None)
    monkeypatch.delitem(sys.modules, f"covdist.record.{module}", raising=False)
    home = importlib.import_module(f"covdist.record.{module}")
    with pytest.raises(covdist.CovdistError, match=f"pip install {module}"):
        _ = home.Callback
    with pytest.raises(AttributeError, match=f"module 'covdist.record.{module}' has no attribute 'callback'"):
        _ = home.callback


def test_importing_the_hooks_alone_is_light():
    modules = [f"covdist.record.{name}" for name in (*FRAMEWORKS, *CALLBACKS)]
    code = f"import sys, {', '.join(modules)}; print(*sorted({ {*FRAMEWORKS, *CALLBACKS} } & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []

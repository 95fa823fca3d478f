"""Every public name is on the API page, and has an example that runs as a doctest."""

from __future__ import annotations

import doctest
import inspect
import re
import sys

import pytest

import covdist
from covdist import plugins

from .blocks import DOCS, PAGES, ROOT, name

PLOTS = [f"plot.{each}" for each in plugins.names("plot")]


def public(dotted):
    found = covdist
    for part in dotted.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("dotted", [*covdist.__all__, *PLOTS])
def test_a_public_name_has_an_example(dotted):
    assert doctest.DocTestParser().get_examples(inspect.getdoc(public(dotted))), f"covdist.{dotted} has none"


@pytest.mark.parametrize("kind", ["Job", "Moments", "Plan", "Recorder"])
def test_a_public_method_says_what_it_does(kind):
    methods = {each: found for each, found in vars(public(kind)).items() if not each.startswith("_")}
    silent = [each for each, found in methods.items() if inspect.isfunction(found) and not inspect.getdoc(found)]
    assert not silent


def test_the_api_page_lists_every_public_name(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    try:
        import made_pages

        listed = re.findall(r"^   (\w+)$", made_pages._api(), re.MULTILINE)
    finally:
        sys.modules.pop("made_pages", None)
    assert sorted(listed) == sorted([*set(covdist.__all__) - {"plot"}, *plugins.names("plot")])


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=name)
def test_a_page_names_no_place_of_one_machine(page):
    assert not re.search(r"/(home|Users|root|work|tmp)/\w", page.read_text())

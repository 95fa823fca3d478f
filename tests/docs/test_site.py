"""The site is built without a warning, fetches nothing, and answers a newcomer within two clicks."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import covdist

from .blocks import DOCS, PAGES, ROOT

pytestmark = pytest.mark.docs


class Page(HTMLParser):
    """The links, anchors, headings and fetched files of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.fetched: set[str] = set()
        self.without_words = 0
        self.text = path.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in given:
            self.fetched.add(given["src"])
        if tag == "link" and given.get("rel") not in ("canonical", "index", "search", "next", "prev", "author"):
            self.fetched.add(given.get("href", ""))
        self.without_words += tag == "img" and not given.get("alt")


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("myst_nb", reason="the site needs the extra docs, which has an environment of its own")
    out = DOCS / "_build" / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", DOCS, out]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert built.returncode == 0, built.stderr
    return {path.relative_to(out).as_posix(): Page(path) for path in out.rglob("*.html")}


def target(page: str, link: str) -> tuple[str, str]:
    """Return the page and the anchor that a link of a page leads to."""
    found = urlsplit(link)
    place = Path(page).parent.joinpath(unquote(found.path)) if found.path else Path(page)
    parts: list[str] = []
    for part in place.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts), unquote(found.fragment)


def test_links_lead_somewhere(site):
    lost = []
    for name, page in site.items():
        for link in page.links:
            if urlsplit(link).scheme:
                assert re.fullmatch(r"(https?|mailto|tcp|tls):\S+", link), (name, link)
                continue
            place, anchor = target(name, link)
            if place in site:
                if anchor and anchor not in site[place].anchors:
                    lost.append((name, link))
            elif not (DOCS / "_build" / "html" / place).exists():
                lost.append((name, link))
    assert not lost


def test_nothing_is_fetched_from_elsewhere(site):
    assert not {(name, each) for name, page in site.items() for each in page.fetched if urlsplit(each).netloc}


def test_pictures_of_written_pages_have_words(site):
    written = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in PAGES}
    assert not [name for name in written & site.keys() if site[name].without_words]


TASKS = {
    "install": ("start/install.html", "install"),
    "analyse my own npy folder": ("start/ten-minutes.html", "your-own-folder"),
    "submit to a cluster": ("using/jobs.html", "submit-to-a-cluster"),
    "find out why it refused": ("reference/refused.html", "when-covdist-refuses"),
    "add a reading": ("development.html", "how-to-add-a-reading"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_newcomer_needs_two_clicks(site, task):
    place, heading = TASKS[task]
    assert heading in site[place].anchors
    first = {target("index.html", link)[0] for link in site["index.html"].links}
    second = {target(name, link)[0] for name in first & site.keys() for link in site[name].links}
    assert place in first | second


def test_every_public_name_has_a_page_with_an_example(site):
    for name in {*covdist.__all__} - {"plot"}:
        assert "&gt;&gt;&gt;" in site[f"made/api/covdist.{name}.html"].text, name


def test_the_gallery(site):
    scripts = sorted((DOCS / "gallery").glob("plot_*.py"))
    assert len(scripts) >= 10
    for script in scripts:
        page = site[f"made/gallery/{script.stem}.html"].text
        assert f"sphx_glr_{script.stem}_001" in page, script


def test_llms_txt_leads_to_the_pages(site):
    text = (DOCS / "_build" / "html" / "llms.txt").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert text.startswith("# covdist\n\n> ")
    assert len(links) > 40
    assert set(links) <= site.keys()


def test_words_are_spelt():
    pytest.importorskip("codespell_lib", reason="the checks of the site need the extra docs")
    files = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.glob("gallery/*.py")]
    files += [ROOT / "deploy" / "README.md", ROOT / "benchmarks" / "README.md"]
    found = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "-L", "leace", *files], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout

"""Pages that are made when the site is built: files of the repository that live elsewhere, the API, ``llms.txt``."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import covdist
from covdist import plugins
from covdist.readings import SHELVES

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MADE = DOCS / "made"
PAGES = {  # files outside of docs/ that are pages of the site
    "deploy/README.md": "clusters",
    "benchmarks/README.md": "benchmarks",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changes",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def setup(app: Any) -> dict[str, bool]:
    app.connect("config-inited", _make)
    app.connect("source-read", _links_within_the_site)
    app.connect("autodoc-process-docstring", _bars_as_they_are, priority=100)  # before numpydoc makes tables
    app.connect("build-finished", _write_llms)
    return {"parallel_read_safe": True}


def _make(app: Any, config: Any) -> None:
    for place, name in PAGES.items():
        _write(MADE / f"{name}.md", _with_site_links((ROOT / place).read_text(), ROOT / place))
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        _write(MADE / "notebooks" / notebook.name, _with_site_links(notebook.read_text(), notebook))
    _write(MADE / "api" / "index.rst", _api())


def _write(path: Path, text: str) -> None:
    """Write a file where it differs, so that what has not changed is not built anew."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# ---- links


def _links_within_the_site(app: Any, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if MADE not in path.parents and path.suffix == ".md":
        source[0] = _with_site_links(source[0], path)


def _with_site_links(text: str, path: Path) -> str:
    """Return a page with links to pages as Sphinx wants them, and those to other files as plain words."""

    def link(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        place, hash_, heading = target.partition("#")
        if "://" in target or not place or place.startswith("/"):
            return match[0]
        file = Path(os.path.normpath(path.parent / place))
        page = _page(file)
        return f"{picture}[{words}]({page}{hash_}{heading})" if page else words

    return LINK.sub(link, text)


def _page(file: Path) -> str | None:
    if DOCS in file.parents:
        return f"/{file.relative_to(DOCS).as_posix()}" if file.suffix != ".py" else None
    place = file.relative_to(ROOT).as_posix()
    if place == "README.md":
        return "/index.md"
    if place.startswith("notebooks/") and file.suffix == ".ipynb":
        return f"/made/{place}"
    return f"/made/{PAGES[place]}.md" if place in PAGES else None


# ---- API


def _api() -> str:
    """Return the page that lists every public name, readings by the shelf that they stand on."""
    plain = ["Job", "Moments", "Plan", "Recorder", "CovdistError"]
    shelves: dict[str, list[str]] = {}
    for name in covdist.__all__:
        if name not in plain and name != "plot":
            shelves.setdefault(_shelf(getattr(covdist, name)), []).append(name)
    text = [_title("API", "="), "Every public name of covdist. Each page has an example that runs as it stands.\n"]
    sections = {"Logs, states, jobs": shelves.pop(""), "Statistics": shelves.pop("readings")}
    for shelf in SHELVES:
        sections[_first_sentence(importlib.import_module(f"covdist.readings.{shelf}"), shelf)] = shelves.pop(shelf)
    sections["Classes"] = plain
    assert not shelves
    for title, names in sections.items():
        text += [_title(title, "-"), _summary("covdist", names)]
    text += [_title("Plots", "-"), _first_paragraph(covdist.plot), _summary("covdist.plot", plugins.names("plot"))]
    return "\n".join(text)


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _summary(module: str, names: list[str]) -> str:
    entries = "\n".join(f"   {name}" for name in names)
    return f".. currentmodule:: {module}\n\n.. autosummary::\n   :toctree: .\n   :nosignatures:\n\n{entries}\n"


def _shelf(of: Any) -> str:
    parts = of.__module__.split(".")
    if parts[1] != "readings":
        return ""
    return parts[2] if parts[2] in SHELVES else "readings"


def _first_sentence(module: Any, name: str) -> str:
    sentence = re.split(r"[.:;]\s", f"{inspect.getdoc(module) or name} ", maxsplit=1)[0]
    return sentence.strip().rstrip(".")


def _first_paragraph(module: Any) -> str:
    return (inspect.getdoc(module) or "").split("\n\n")[0] + "\n"


def _bars_as_they_are(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of |x|, which reStructuredText takes for a substitution, outside of code."""
    for number, line in enumerate(lines):
        if line.strip() == "Examples":
            break
        lines[number] = "``".join(
            part if code % 2 else part.replace("|", r"\|") for code, part in enumerate(line.split("``"))
        )


# ---- llms.txt


def _write_llms(app: Any, error: Exception | None) -> None:
    """Write ``llms.txt``: the site's pages with their titles and first sentences, as plain text."""
    if error or app.builder.format != "html":
        return
    lines = ["# covdist", "", f"> {inspect.getdoc(covdist)}", ""]
    for section in app.env.toctree_includes["index"]:
        lines += ["", f"## {app.env.titles[section].astext()}", ""]
        for page in [section, *app.env.toctree_includes.get(section, [])]:
            lines.append(f"- [{app.env.titles[page].astext()}]({page}.html)")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n")

"""The fenced blocks of the docs' pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if not {"made", "_build"} & set(path.relative_to(DOCS).parts)]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    text: str
    line: int  # of the page, of the block's first one, counted from 0


def blocks(path: Path) -> list[Block]:
    text = path.read_text()
    return [Block(found[1], found[2], text[: found.start(2)].count("\n")) for found in _FENCED.finditer(text)]


def commands(text: str) -> list[list[str]]:
    """Return the ``covdist`` commands of a block for a shell, each as its words after ``covdist``."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["covdist"]]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()

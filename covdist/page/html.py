"""The page itself: text that is only text, scripts and styles that are allowed by name, and nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from covdist.errors import shown
from covdist.page.canvas import LONGEST_NAME, Drawing

_LONGEST = 1600  # letters of a sentence


def text(words: object, most: int = _LONGEST) -> str:
    """Return words for a page: markup is text, and what does not print is written out."""
    return escape(shown(str(words), most))


def facts(caption: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table of facts in words, which wrap."""
    return table(caption, ("fact", "value"), rows, look="facts")


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    links: dict[str, str] | None = None,
    *,
    look: str = "numbers",
) -> str:
    """Return a table that scrolls by itself where it is wider than the page; first cells may be links within it."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in header)
    body = "".join(_row(row, (links or {}).get(row[0])) for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}"><table class="{look}">'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Sequence[str], link: str | None) -> str:
    first = text(row[0], LONGEST_NAME)
    if link is not None:
        first = f'<a href="#{link}">{first}</a>'
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text(each, LONGEST_NAME)}</td>" for each in row[1:])}</tr>'


def figure(drawing: Drawing, number: int) -> str:
    """Return a place for a drawing, its data, what it shows in words, and its numbers."""
    from bokeh.embed import json_item

    scale = None if drawing.scale is None else dict(zip(("low", "high", "log"), drawing.scale, strict=True))
    item: Any = json_item(drawing.figure)
    data = {"item": item, "names": _shown(drawing.names), "scale": scale}
    numbers = ""
    if drawing.rows:
        rows = table(f"Numbers: {drawing.title}", drawing.header, drawing.rows)
        of = f'<span class="hidden"> of {text(drawing.title)}</span>'
        numbers = f"<details><summary>Numbers{of}</summary>{rows}</details>"
    shape = ' class="square"' if drawing.square else ""
    key = "".join(f'<li class="{look}">{text(name)}</li>' for name, look in drawing.key.items())
    legend = f'<ul class="key">{key}</ul>' if key else ""
    return (
        f'<figure{shape} aria-labelledby="title-{number} about-{number}"><figcaption><b id="title-{number}">'
        f'{text(drawing.title)}</b> <span id="about-{number}">{text(drawing.about)}</span>{legend}</figcaption>'
        f'<div class="drawing" data-figure="data-{number}"></div>'
        f'<script type="application/json" id="data-{number}">{_as_json(data)}</script>{numbers}</figure>'
    )


def _shown(names: dict[str, list[str]]) -> dict[str, list[str]]:
    return {axis: [shown(name, LONGEST_NAME) for name in each] for axis, each in names.items()}


def _as_json(data: object) -> str:
    """Return JSON in which nothing ends the element that holds it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def page(title: str, body: str) -> str:
    """Return a whole page that runs its own scripts alone; bokeh's own styles bear a number used once."""
    style, nonces, draw = (files("covdist.page").joinpath(name).read_text(encoding="utf-8") for name in _PARTS)
    library, once = _bokeh(), secrets.token_urlsafe(16)
    scripts = [nonces, library, draw]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src 'nonce-{once}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    run = "".join(f'<script data-once="{once}">{script}</script>' for script in scripts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f'<title>{text(title, LONGEST_NAME)}</title><style nonce="{once}">{style}</style></head>\n'
        f"<body>{body}{run}</body></html>\n"
    )


_PARTS = "page.css", "nonces.js", "draw.js"


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _bokeh() -> str:
    import bokeh

    place = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return place.read_text(encoding="utf-8").replace("</script", "<\\/script")

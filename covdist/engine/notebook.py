"""Facts as HTML for a notebook: in its colours, dark or light, with names as people are to see them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from covdist.errors import shown

_MOST = 300  # letters of a fact
_CELL = '<td style="text-align:left;vertical-align:top">'


def facts_html(title: str, facts: Iterable[tuple[str, object]], picture: str = "", below: str = "") -> str:
    """Return a title, a table of names and values, and before and below it HTML that is passed on as it is."""
    rows = "".join(f"<tr>{_CELL}{_text(name)}</td>{_CELL}{_text(value)}</td></tr>" for name, value in facts)
    beside = '<div style="display:flex;gap:1em;align-items:flex-start;overflow-wrap:anywhere">'
    return f"<div><b>{_text(title)}</b>{beside}{picture}<table>{rows}</table></div>{below}</div>"


def _text(value: object) -> str:
    return escape(shown(str(value), _MOST))

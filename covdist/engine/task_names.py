"""Names of tasks by what they do: dask's dashboard shows the words of a key up to the first that is not of letters."""

from __future__ import annotations

import re

_MOST = 40  # letters
_LETTERS = re.compile(r"[^\W\d_]+")


def letters(name: str) -> str:
    """Return what of a name dask's dashboard shows, maybe nothing.

    Examples
    --------
    >>> letters("block3/attn/grad_norm2"), letters("activation"), letters("7")
    ('grad-norm', 'activation', '')
    """
    return "-".join(_LETTERS.findall(name.rpartition("/")[2]))[:_MOST].rstrip("-")

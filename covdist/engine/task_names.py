"""Names of tasks by what they do: dask's dashboard shows the words of a key up to the first that is not of letters."""

from __future__ import annotations

_MOST = 40  # letters


def letters(name: str) -> str:
    """Return what of a name dask's dashboard shows, maybe nothing.

    Examples
    --------
    >>> letters("block3/attn/grad_norm2"), letters("activation"), letters("7")
    ('grad-norm', 'activation', '')
    """
    words = "".join(each if each.isalpha() else " " for each in name.rpartition("/")[2]).split()
    return "-".join(words)[:_MOST].rstrip("-")

"""Every error covdist raises on purpose.

CovdistError
├── LogError              a path that cannot be read as a log
│   └── MissingChunkError a chunk that the log's metadata promises and its store lacks
├── DataError             rows that cannot be folded
│   └── NonFiniteError    NaN or infinity where the policy expects none
├── MergeError            two states that do not describe the same columns
├── PlanError             work that cannot fit, said before any of it runs
├── ResultError           a result that exists already, or is not one
├── ClusterError          no scheduler, or one that cannot be used
└── JobError              a job directory that is none, is somebody else's, or no longer fits its input
"""

from __future__ import annotations

import re

HIDDEN = "***"  # in the place of what is secret
_USER = re.compile(r"(?<=://)[^/\s?#]+(?=@)")
_QUERY = re.compile(
    r"([?&](?:X-(?:Amz|Goog)-[A-Za-z-]*|sig|signature|token|key|[a-z_]*access[a-z_]*|[a-z_]*secret[a-z_]*)=)[^&\s\"']+",
    re.I,
)
_LONG_WORD = re.compile(r"\S{301,}")
_LONG_IN_PAGE = re.compile(r"[^<>\s]{301,}")
_LONG_TEXT = 1600


def shown(name: str, most: int = 80) -> str:
    r"""Return a name as people are to see it: escaped where it does not print, cut in its middle where it is long.

    Examples
    --------
    >>> print(shown("red\x1b[31m"), shown("x" * 100, 20))
    red\x1b[31m xxxxxxxxx…xxxxxxxxxx
    """
    if len(name) > most:
        name = f"{name[: (most - 1) // 2]}…{name[-(most // 2) :]}"
    return _escaped(name)


def shown_page(page: str) -> str:
    """Return HTML that another library made of a log's names, with these as people are to see them."""
    return _escaped(_LONG_IN_PAGE.sub(lambda name: shown(name[0]), page), "\n")


def without_credentials(text: str) -> str:
    """Return a text without the credentials in its URLs.

    Examples
    --------
    >>> print(without_credentials("ftp://me:1234@host/a and https://host/a.npy?sig=1234&v=2"))
    ftp://***@host/a and https://host/a.npy?sig=***&v=2
    """
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USER.sub(HIDDEN, text)) if "://" in text else text


def _escaped(text: str, but: str = "") -> str:
    return "".join(
        each if each.isprintable() or each in but else each.encode("unicode_escape").decode() for each in text
    )


class CovdistError(Exception):
    """Base of all errors that covdist raises on purpose; its text is one sentence for the user.

    Examples
    --------
    >>> import covdist
    >>> try:
    ...     covdist.open_log("no-such-log")
    ... except covdist.CovdistError as error:
    ...     print(str(error).partition(":")[0])
    no-such-log does not exist
    """

    def __str__(self) -> str:
        return shown(_LONG_WORD.sub(lambda word: shown(word[0]), without_credentials(super().__str__())), _LONG_TEXT)


class LogError(CovdistError):
    """A path that is missing, or holds nothing covdist can read as a log."""


class MissingChunkError(LogError):
    """A chunk that the log's metadata promises and its store lacks."""


class DataError(CovdistError, ValueError):
    """Arrays, dims or options that do not fit together."""


class NonFiniteError(DataError):
    """NaN or infinity where the policy for missing values expects none.

    ``amount`` such values are in one block. The first is at ``row`` and ``column``, counted within what was folded so
    far, of x (``side`` 0) or y (1). ``advice`` says what was expected and what to do.
    """

    def __init__(
        self, message: str, *, row: int = 0, column: int = 0, amount: int = 0, side: int = 0, advice: str = ""
    ):
        super().__init__(message)
        self.row, self.column, self.amount, self.side, self.advice = row, column, amount, side, advice


class MergeError(CovdistError, ValueError):
    """Two states of different shapes or labels."""


class PlanError(CovdistError):
    """Work that does not fit the memory it is given."""


class ResultError(CovdistError):
    """An output that exists already, or a path that holds no covdist result."""


class ClusterError(CovdistError):
    """A scheduler that cannot be reached or used."""


class JobError(CovdistError):
    """A job directory that is no such thing, belongs to someone else, or no longer fits its input."""

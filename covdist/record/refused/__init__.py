"""What a recorder says when the system refuses its writes, and how it ends."""

from __future__ import annotations

import os
from typing import Self

from covdist.errors import ResultError
from covdist.storage.refusal import reason_of


def not_begun(path: str | os.PathLike[str], error: OSError) -> ResultError:
    """Return the error for a log that cannot be opened."""
    return _unwritten(path, error, "choose another place, or {}" if reason_of(error).remedy else "choose another place")


def ended(path: str | os.PathLike[str], error: OSError) -> ResultError:
    """Return the error for a log of which the rows that were stored remain."""
    return _unwritten(path, error, '{}, and go on after the rows that are stored with Recorder(path, mode="a")')


def _unwritten(path: str | os.PathLike[str], error: OSError, advice: str) -> ResultError:
    reason, remedy = reason_of(error)
    return ResultError(f"{path} cannot be written ({reason}): {advice.format(remedy or 'see to that')}.")


class Closing:
    """Base of what is closed when a block ends."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self.close()
        except ResultError as refused:
            if error is None:
                raise
            error.add_note(str(refused))  # which says less of why the block has ended

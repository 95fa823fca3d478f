"""The one sentence of an environment without torch."""

from __future__ import annotations

from covdist.errors import DataError


def check_torch() -> None:
    """Raise DataError where torch is missing, or too old for the hooks."""
    try:
        from torch.accelerator import synchronize as synchronize
    except ImportError as error:
        raise DataError("recording from torch needs torch 2.6 or later: pip install 'covdist[torch]'.") from error

"""``rank``: which of several processes this is."""

from __future__ import annotations

from covdist.record.torch.installed import check_torch


def rank() -> int | None:
    """Return the rank of this process in ``torch.distributed``; None where it trains alone.

    Each process records into the same log with ``Recorder(path, rank=rank())``. DistributedDataParallel gives all of
    them the same gradients: let one record them, ``what=("input", "activation")`` the others.
    """
    check_torch()
    import torch

    return torch.distributed.get_rank() if torch.distributed.is_available() and _is_one_of_several() else None


def _is_one_of_several() -> bool:
    import torch

    return bool(torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1)

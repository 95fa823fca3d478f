"""Arrays that are needed before anything is planned: coordinates, groups and labels of rows."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from dask.base import is_dask_collection

from covdist.errors import ClusterError


def values(array: Any) -> np.ndarray:
    """Return the values of an array, lazy ones read on this machine unless parts of them lie on a cluster's workers."""
    if not is_dask_collection(array):
        return np.asarray(array)
    distributed = sys.modules.get("distributed")
    kept = distributed.futures_of(array) if distributed else []
    if not kept:
        return np.asarray(array.compute(scheduler="threads"))
    client = kept[0].client
    if client.asynchronous or not client.scheduler_info(n_workers=1)["workers"]:
        has = "is asked asynchronously" if client.asynchronous else "has no workers"
        raise ClusterError(
            f"{getattr(array, 'name', 'an array')} is kept on the cluster at {client.scheduler.address}, which {has}: "
            "its values are needed here before anything can be planned; start a worker, or pass them computed"
        )
    return np.asarray(client.compute(array, sync=True))

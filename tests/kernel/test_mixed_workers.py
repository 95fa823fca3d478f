"""Workers with different processors: the same bits, and refused where they fold with another kind of kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from distributed import Client

import covdist
from covdist.errors import ClusterError
from covdist.kernel import library
from covdist.logs.dask_arrays import to_dask
from tests.cli.running import PATIENCE
from tests.engine.fake import FakeSource
from tests.jobs.clusters import cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not library.compiled(), reason="no kernel was compiled here"),
]


def rows(columns: int = 21) -> da.Array:
    """Return few rows in so many chunks that the plan makes eight shards of them."""
    return to_dask(FakeSource((30_300, columns), (3, columns)))


@contextmanager
def workers(place: Path, kernels: Sequence[str]) -> Iterator[Client]:
    """Yield a client of a cluster with one worker for each kernel."""
    with cluster(place, 0) as found, pytest.MonkeyPatch.context() as patch:
        for kernel in kernels:
            patch.setenv("COVDIST_KERNEL", kernel)
            found.workers.append(found.add_worker())
        patch.delenv("COVDIST_KERNEL")
        with Client(found.address) as client:
            client.wait_for_workers(len(kernels), timeout=PATIENCE)
            yield client


def test_any_mix_of_instruction_sets_gives_the_same_bits(tmp_path):
    x, y = rows(), rows(8)
    asked = (
        covdist.moments(x), covdist.moments(x, precision="fast"), covdist.moments(x, y),
        covdist.moments(x, by=np.arange(len(x)) % 3), covdist.var(x, weights=np.linspace(0.5, 1.5, len(x))),
    )  # fmt: skip
    expected = [each.compute(scheduler="synchronous") for each in asked]
    levels = [each for each in library.available() if each != library.NUMPY]
    with workers(tmp_path, list(islice(cycle(levels), 4))) as client:
        names = client.run(library.name)
        assert set(names.values()) == set(levels)
        of_each = {name: at for at, name in names.items()}
        for some in ([of_each[levels[0]]], [of_each[name] for name in levels[:2]], list(names)):
            found = [client.compute(each, sync=True, workers=some) for each in asked]
            for ours, its in zip(found, expected, strict=True):
                ours, its = (each if hasattr(each, "identical") else each.dataset for each in (ours, its))
                assert ours.identical(its)


def test_another_kind_is_refused_before_a_row_is_read(tmp_path):
    def read(block: np.ndarray) -> np.ndarray:
        (tmp_path / "read").touch()
        return block

    large = da.zeros((2_000_000, 64), chunks=(100_000, 64)).map_blocks(read, meta=np.zeros((0, 0)))
    with workers(tmp_path, ["numpy", library.name()]):
        for fold in (covdist.moments, covdist.cov, covdist.var):
            with pytest.raises(ClusterError, match=r"worker tcp://.* with the numpy kernel .* set COVDIST_KERNEL="):
                fold(large)
        with pytest.raises(ClusterError, match="a worker folds with the numpy kernel"):
            covdist.cov(rows()).compute()  # too little to ask about first
    assert not (tmp_path / "read").exists()

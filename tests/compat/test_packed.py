"""Many states in shared groups, and a job of as many arrays, kept by an earlier version, say what their rows say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import covdist

from .kept import called, unpacked
from .packed import COUNT, PHASE, columns


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return unpacked("packed", tmp_path_factory.mktemp("packed"))


def says(found: covdist.Moments, rows: np.ndarray) -> None:
    np.testing.assert_allclose(found.mean(), rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.cov(), np.cov(rows.T, ddof=0).reshape(found.cov().shape), rtol=1e-12)
    assert int(found.count) == len(rows)


def test_a_packed_result(kept, tmp_path):
    found = covdist.load(kept / "packed.zarr")
    assert zarr.open_group(kept / "packed.zarr", mode="r").attrs["covdist"] == 2
    assert set(found) == {f"{kind}/{number}" for kind in ("full", "by") for number in range(COUNT)}
    for number in range(COUNT):
        rows = columns(number)
        says(found[f"full/{number}"], rows)
        assert found[f"full/{number}"].mean()["unit"].values.tolist() == [f"u{i}" for i in range(rows.shape[1])]
        for phase in set(PHASE):
            says(found[f"by/{number}"].sel(phase=phase), rows[phase == PHASE])
    assert set(json.loads(called("show", kept / "packed.zarr", "--json"))) >= {"full/0"}
    twice = found["full/3"] + found["full/3"]
    twice.save(tmp_path / "twice.zarr")
    says(covdist.load(tmp_path / "twice.zarr"), np.concatenate([columns(3)] * 2))


def test_a_finished_job(kept):
    assert covdist.Job(kept / "job").status()["status"] == "done"
    found = covdist.load(kept / "job")
    assert len(found) == COUNT
    for number in range(COUNT):
        says(found[f"layer{number}"], columns(number))

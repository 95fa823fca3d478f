"""Logs of many arrays: what opening, choosing and planning cost grows with their number and no faster."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import covdist
from covdist.folding.selection import Selection, requests
from covdist.readings.plan import request_plan


def planned(log: Path) -> int:
    chosen = requests(covdist.open_log(log), Selection())
    return sum(request_plan(request).work.rows for request in chosen.values())


def calls(function: Callable[[], object]) -> int:
    """Count function calls: as good as seconds, and the same on any machine."""
    with cProfile.Profile() as profile:
        function()
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["a{}.npy", "a{}/activation.npy", "a/b{}/activation.npy"])
def test_planning_takes_a_time_in_proportion(place, tmp_path):
    for count in (50, 200):
        for number in range(count):
            file = tmp_path / str(count) / place.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.ones((3, 2)))
    assert planned(tmp_path / "50") == 150  # warm
    few, many = (calls(lambda count=count: planned(tmp_path / str(count))) for count in (50, 200))
    assert many < 4.4 * few

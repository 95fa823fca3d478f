"""Many schedules of the state machine; a seed that fails is named and can be run alone."""

from __future__ import annotations

import pytest

from tests.jobs.simulator import Simulation


def run(seeds: range) -> None:
    for seed in seeds:
        try:
            Simulation(seed).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_schedules(first):
    run(range(first, first + 50))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 1_100, 250))
def test_many_schedules(first):
    run(range(first, first + 250))

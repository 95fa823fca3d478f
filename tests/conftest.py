"""What all tests share.

A property tries a tenth of the examples that it says, at least five. ``HYPOTHESIS_PROFILE=full`` lets it try all, as
.ci/run does once; ``many`` ten times as many.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator

import dask
import pytest
from hypothesis import settings

FACTORS = {"": 0.1, "full": 1, "many": 10}  # of examples, by HYPOTHESIS_PROFILE

# Where it is set, each of the hundreds of processes that tests start would compile covdist anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="covdist-tests-")  # where jobs are noted by their ids
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# What a shell starts in the background ignores Ctrl-C, and so would the commands that tests send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Half of what idle workers cost. Clusters of covdist's own leave it out too.
os.environ["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"
dask.config.refresh()

# Beside other tests on the same cores any example may take long.
settings.register_profile("covdist", deadline=None, max_examples=50)
settings.load_profile("covdist")


def pytest_configure(config: pytest.Config) -> None:
    # By itself xdist ends with the files of the fewest tests, and those take longest.
    config.option.loadscopereorder = False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # nearly all that is made here stays: looking for cycles took a quarter of the time
    try:
        return (yield)
    finally:
        gc.freeze()  # nor need what tests leave be looked for among the tests
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def no_scheduler_left_behind():
    yield
    assert dask.config.get("scheduler", None) is None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Hypothesis' own profiles are no help: what a test says itself, as most here do, comes before the profile.
    factor = FACTORS[os.environ.get("HYPOTHESIS_PROFILE", "")]
    tests = {getattr(item.obj, "__func__", item.obj) for item in items if hasattr(item, "obj")}
    for test in tests:
        if asked := getattr(test, "_hypothesis_internal_use_settings", None):
            examples = max(5, round(asked.max_examples * factor))
            test._hypothesis_internal_use_settings = settings(asked, max_examples=examples)

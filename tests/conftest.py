import dask
import pytest


@pytest.fixture(autouse=True, scope="module")
def no_scheduler_left_behind():
    yield
    assert dask.config.get("scheduler", None) is None

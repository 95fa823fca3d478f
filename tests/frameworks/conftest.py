"""What tests of hooks share."""

from __future__ import annotations

import pytest

from .logged import Log


@pytest.fixture
def seed():
    """Have torch draw the same numbers in each test."""
    import torch

    torch.manual_seed(0)


@pytest.fixture
def log():
    return Log()

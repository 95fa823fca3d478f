"""What tests of matrices in tiles share."""

from __future__ import annotations

import pytest

from covdist.engine import bands


@pytest.fixture
def few_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small matrices into 9 × 9 tiles rather than 32 × 32, of a column or three and milliseconds each."""
    monkeypatch.setattr(bands, "_LEAST_TILES", 9)

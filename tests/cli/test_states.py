"""Every state by its name: what is folded is written, read again and said, or refused before anything is read."""

from __future__ import annotations

import numpy as np
import pytest
from dask import config

import covdist
from covdist.errors import DataError
from covdist.state.named import is_beside_matrix, state_types

from .calling import output, sentence

X, Y = np.random.default_rng(0).normal(size=(2, 30, 3))
NAMED = {"together": ("full", "higher")}  # of what needs more than its name
OFFERED = [name for name, kind in state_types().items() if not is_beside_matrix(kind)]
CHOSEN = ["--layer", "fc1", "--var", "activation"]


@pytest.mark.parametrize("by", [None, np.arange(30) % 2], ids=["whole", "groups"])
@pytest.mark.parametrize("name", OFFERED)
def test_every_state_is_written_and_read_again(tmp_path, name, by):
    pair = [Y] * (name not in NAMED and state_types()[name].sides == 2)
    with config.set(scheduler="synchronous"):
        m = covdist.moments(X, *pair, state=NAMED.get(name, name), by=by).compute()
    m.save(tmp_path / "out")
    again = covdist.load(tmp_path / "out")
    assert again.layout.state == m.layout.state
    assert again.dataset.equals(m.dataset)
    assert name in output("show", tmp_path / "out")
    assert output("read", tmp_path / "out", "mean").startswith("mean, in units of the columns")


@pytest.mark.parametrize("several", [(), ("--state", "variances")], ids=["alone", "together"])
def test_what_stands_beside_tiles_is_no_state_to_ask_for(log, tmp_path, several):
    said = sentence("run", log.path, *CHOSEN, "--state", "tiles", *several, "-o", tmp_path / "out")
    assert "pass matrix='tiles' in place of it, to `covdist run` --beyond tiles with --max-columns" in said
    assert not list(tmp_path.iterdir())


def test_it_is_not_offered_either(log):
    assert "'tiles'" not in sentence("plan", log.path, *CHOSEN, "--state", "tile")
    assert "tiles" not in sentence("plan", log.path, *CHOSEN, "--state", "together")
    with pytest.raises(DataError, match="kind pairwise variances or variances, found"):
        covdist.moments(X, Y, state="columnwise").asking("mean")

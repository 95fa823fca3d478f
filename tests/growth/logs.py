"""Logs that grow, and results of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import covdist
from covdist.folding.selection import Selection, requests
from covdist.growth.made_from import MadeFrom
from covdist.growth.update import folded
from covdist.logs.opening import log_nodes
from covdist.results.saving import save
from covdist.state.named import state_type
from covdist.state.together import Together

STEPS, SAMPLES = 60, 3
VALUES = np.random.default_rng(5).normal(2, 1, (STEPS, SAMPLES, 4))


def record(place: Path | str, start: int, stop: int, *, values: np.ndarray = VALUES, **options: Any) -> str:
    """Record some steps: activations, of which a chunk holds 16 rows, and from step 40 on another layer."""
    with covdist.Recorder(place, mode="a" if start else "x", chunk_bytes=512, **options) as rec:
        for step in range(start, stop):
            new = {"fc2/input": values[step, :, :2] ** 2} if step >= 40 else {}
            rows = {"fc1/activation": values[step], "fc1/input": values[step] ** 2 + 1}
            rec.log(step, {**rows, **new}, epoch=step // 8)
    return str(place)


def fold(log: Any, result: Path | str, **selection: Any) -> Any:
    """Do what ``covdist run`` does."""
    nodes, chosen = log_nodes(log), Selection(**selection)
    found = folded(requests(nodes, chosen))
    about = MadeFrom.of(nodes, chosen, {"missing_chunks": "raise", "follow_links": False}).as_json()
    save(found if len(found) > 1 else {"": next(iter(found.values()))}, result, about=about)
    return covdist.load(result)


def as_named(found: Any) -> dict[str, covdist.Moments]:
    return found if isinstance(found, dict) else {"": found}


def assert_same(found: Any, expected: Any, rtol: float = 1e-10) -> None:
    """Hold states against those of one run over all rows: names, groups, what they come from, and every field."""
    found, expected = as_named(found), as_named(expected)
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        assert found[name].layout.provenance == one.layout.provenance
        a, b = found[name].dataset, one.dataset
        assert (a.sizes, list(a.coords), list(a)) == (b.sizes, list(b.coords), list(b))
        for field in b:
            # How numbers lie in their parts and units depends on how rows were cut; keys of rows are of their numbers.
            elsewhere = ("norm_", "third_p", "fourth_p", "sampled_")
            if field not in ("mean_low", "exponent") and not field.startswith(elsewhere):
                np.testing.assert_allclose(a[field], b[field], rtol=rtol, atol=1e-9, err_msg=f"{name}: {field}")


def state_of(named: Any) -> Any:
    return Together(named) if isinstance(named, tuple) else state_type(named)

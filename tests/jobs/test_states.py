"""States go to disk and come back bit for bit."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from covdist.jobs.states import dump_state, load_state
from covdist.numerics.accumulator import Options
from covdist.state.cross import Cross
from covdist.state.few_rows import Folding
from covdist.state.grouped import Grouped
from covdist.state.scatter import Scatter
from covdist.state.variances import Variances

MAKE = {
    "scatter": partial(Scatter.accumulator, 4, options=Options()),
    "cross": partial(Cross.accumulator, 4, 3, options=Options()),
    "variances": partial(Variances.accumulator, 4, options=Options()),
}
MAKE |= {f"grouped {name}": partial(Grouped.accumulator, make) for name, make in MAKE.items()}
KEPT = {"scatter": Folding(Scatter, (4,), Options(), 50), "cross": Folding(Cross, (4, 3), Options(), 2)}
MAKE |= {f"grouped {name} and rows": partial(Grouped.accumulator, folding, 1000) for name, folding in KEPT.items()}


def folded(name, rows):
    accumulator = MAKE[name]()
    rng = np.random.default_rng(rows)
    blocks = [rng.normal(1e8, 1e-30, (rows, width)) for width in ((4, 3) if "cross" in name else (4,))]
    if rows:
        accumulator.add(*blocks, **({"by": np.arange(rows) % 3 * 2} if "grouped" in name else {}))
    return accumulator.state()


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("name", MAKE)
def test_what_was_written_is_read(name, rows):
    data = dump_state(folded(name, rows))
    again = load_state(MAKE[name], memoryview(data))
    assert dump_state(again) == data
    assert type(again) is type(folded(name, rows))


@pytest.mark.parametrize("name", MAKE)
def test_what_was_read_merges_like_the_original(name):
    a, b = folded(name, 300), folded(name, 7)
    loaded = [load_state(MAKE[name], dump_state(state)) for state in (a, b)]
    assert dump_state(loaded[0].merge(loaded[1])) == dump_state(a.merge(b))


def test_another_kind_of_state_is_refused():
    with pytest.raises(ValueError, match="columns_y"):
        load_state(MAKE["cross"], dump_state(folded("scatter", 5)))
    with pytest.raises(ValueError, match="expected "):
        load_state(partial(Scatter.accumulator, 5, options=Options()), dump_state(folded("scatter", 5)))

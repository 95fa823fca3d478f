"""States that are alike answer, and are written, together: bit for bit what each is by itself."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.numerics import packed
from covdist.results.saving import save
from covdist.state.base import field_value, stacked
from covdist.state.named import state_types
from covdist.terminal.tables import result_records

RNG = np.random.default_rng(0)


def rows(scale: float = 1.0, height: int = 12, width: int = 5) -> np.ndarray:
    x = RNG.normal(size=(height, width)) * scale
    x[:, 1], x[3, 2] = 0.1, 0.0
    return x


MANY = {f"x{number}": covdist.moments(rows(10.0 ** (number % 7 * 40 - 120))) for number in range(20)}
OTHERS = {
    "fewer": covdist.moments(rows(height=9)),
    "wider": covdist.moments(rows(width=6)),
    "single": covdist.moments(rows()[:, 0]),
    "constant": covdist.moments(np.full((12, 5), 0.1)),
    "dropped": covdist.moments(np.where(rows() > 1, np.nan, rows()), missing="drop"),
    "weighted": covdist.moments(rows(), weights=np.arange(12.0)),
    "variances": covdist.moments(rows(), state="variances"),
    "pairwise": covdist.moments(np.where(rows() > 1, np.nan, rows()), missing="pairwise"),
    "higher": covdist.moments(rows(), state="higher"),
    "cross": covdist.moments(rows(), rows(width=3)),
    "lagged": covdist.moments(rows(), state="lagged(lag=1)"),
    "groups": covdist.moments(rows(), by=np.arange(12) % 3),
    "named": covdist.moments(xr.DataArray(rows(), dims=("t", "u"), coords={"u": list("abcde")}), dim="t"),
    "named too": covdist.moments(xr.DataArray(rows(), dims=("t", "u"), coords={"u": list("fghij")}), dim="t"),
}


@pytest.mark.parametrize("width", [1, 2, 3, 6, 7])
def test_many_triangles_are_unpacked_as_each_is(width):
    triangles = RNG.normal(size=(4, packed.size(width)))
    assert (packed.unpack(triangles, width) == [packed.unpack(each, width) for each in triangles]).all()
    assert packed.order(triangles) == width


@pytest.mark.parametrize("name", state_types())
def test_the_fields_of_a_stack_are_those_of_its_states(name):
    alone = [one.deferred.joined() for one in [*MANY.values(), *OTHERS.values()] if one.layout.kind == name]
    alone = [state for state in alone if isinstance(state, state_types()[name])]
    if not alone or not isinstance(state_types()[name], type):
        return
    kind, alike = state_types()[name], [s for s in alone if s.columns.width == alone[0].columns.width]
    together = stacked(kind, alike)
    for field in kind.FIELDS.values():
        expected = np.array([field_value(state, field) for state in alike])
        assert np.array_equal(*np.broadcast_arrays(field_value(together, field), expected), equal_nan=True)


def test_summaries_are_those_of_each_state_alone():
    named = MANY | OTHERS
    found = result_records(named)
    assert list(found) == list(named)
    for path, one in named.items():
        assert found[path] == result_records({"": one})[""], path
    assert found["constant"]["largest_correlation"] is None


def test_summaries_are_right():
    x = rows()
    found = result_records({"a": covdist.moments(x), "b": covdist.moments(x[:, ::-1])})
    for record in found.values():
        with np.errstate(invalid="ignore"):
            correlation = np.abs(np.corrcoef(x.T)[np.triu_indices(5, 1)])
        assert np.isclose(record["largest_correlation"], np.nanmax(correlation), rtol=1e-13)
        assert np.isclose(record["mean"], x.mean(), rtol=1e-13)
        assert np.isclose(record["std"], x.std(), rtol=1e-13)
        assert (record["rows"], record["constant_columns"]) == (12, 1)
        assert record["zero_fraction"] == 1 / 60


def test_states_written_together_are_read_again_bit_by_bit(tmp_path):
    named = MANY | OTHERS
    save(named, tmp_path / "result")
    found = covdist.load(tmp_path / "result")
    for path, one in named.items():
        xr.testing.assert_identical(found[path].dataset, one.dataset)

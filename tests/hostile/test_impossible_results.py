"""Arrays of a result with right checksums and numbers that no state has: one sentence, and no wrong answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import covdist
from covdist.errors import ResultError
from covdist.limits import changed
from covdist.results.arrays import CHECKED
from covdist.results.saving import save
from covdist.state.base import Field, column_fields, field_value
from covdist.state.scatter import Scatter

X = np.random.default_rng(0).normal(size=(12, 3))
HOLED = np.where(X > 1, np.nan, X)
MADE: dict[str, dict[str, Any]] = {
    "full": {"x": X, "state": "full"},
    "pairwise": {"x": HOLED, "missing": "pairwise"},
    "variances": {"x": HOLED, "missing": "pairwise", "state": "variances"},
    "cross": {"x": X, "y": X[:, :2]},
    "both": {"x": X, "y": X[:, :2], "state": "both"},
    "fourier": {"x": X, "y": X[:, :2], "state": "fourier"},
    **{state: {"x": X, "state": state} for state in ("higher", "comoments", "norms", "signs", "serial", "sampled",
                                                     "lagged(lag=2)", "projected")},
}  # fmt: skip


def made(name: str, **more: Any) -> covdist.Moments:
    options = {**MADE[name], **more}
    rows = [options.pop(side) for side in ("x", "y") if side in options]
    return covdist.moments(*rows, **options)


def impossible(field: Field) -> Iterator[float]:
    """Yield numbers that a field does not hold."""
    whole = np.dtype(field.dtype).kind == "i"
    if field.least > -np.inf:
        yield int(field.least) - 1 if whole else -1.0
        yield from (np.iinfo(np.int64).min,) if whole else (-np.inf,)
    if field.most < np.inf:
        yield from (int(field.most) + 1, np.iinfo(np.int64).max) if whole else (np.inf, np.nan)


def opened(place: Path) -> Any:
    """Return an array of which all chunks are written."""
    return zarr.open_array(place, mode="r+").with_config(CHECKED["config"])


def set_last(place: Path, value: float) -> None:
    """Write a number into the last entry of an array, which is on the diagonal."""
    values = np.array(opened(place)[...])
    values[(-1,) * values.ndim] = value
    opened(place)[...] = values


@pytest.mark.parametrize("name", MADE)
def test_no_field_holds_what_it_cannot(name: str) -> None:
    m = made(name)
    bounded = {key: field for key, field in m.layout.state.FIELDS.items() if any(impossible(field))}
    assert {"weight", "squares", "exponent", "zeros"} <= bounded.keys()
    for key, field in bounded.items():
        right = np.array(field_value(m.deferred.parts[0], field))
        assert field.holds(right), key
        for value in impossible(field):
            wrong = right.copy()
            wrong[(-1,) * wrong.ndim] = value  # on the diagonal
            assert not field.holds(wrong), (key, value)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("results")
    covdist.moments(X).save(place / "alone")
    covdist.moments(X, by=np.arange(12) % 2).save(place / "groups")
    with changed(unpacked_states=2):
        save(dict.fromkeys("abc", covdist.moments(X)), place / "layers")
    return place


WRONG: list[tuple[str, str, float]] = [
    *(("alone", "count", -1), ("alone", "weight", np.nan), ("alone", "weight", np.inf), ("alone", "weight2", -1.0)),
    *(("alone", "squares", -1.0), ("alone", "scatter", -1.0), ("alone", "exponent", 2000), ("alone", "zeros", -1)),
    *(("groups", "weight", np.nan), ("groups", "scatter", -1.0), ("layers/packed-0", "squares", -1.0)),
]


@pytest.mark.parametrize(("where", "field", "value"), WRONG)
def test_nor_is_it_loaded(where: str, field: str, value: float, results: Path, tmp_path: Path) -> None:
    place = where.partition("/")[0]
    shutil.copytree(results / place, tmp_path / place)
    set_last(tmp_path / where / field, value)
    with pytest.raises(ResultError, match=rf"{place} is damaged \({field} holds values .*that are not from"):
        covdist.load(tmp_path / place)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_nor_do_weights_of_rows_that_are_kept(value: float, tmp_path: Path) -> None:
    wide = np.random.default_rng(0).normal(size=(12, 90))
    covdist.moments(wide, by=np.arange(12) // 2, weights=np.ones(12)).save(tmp_path / "m")
    set_last(tmp_path / "m" / "_few_reliability", value)
    with pytest.raises(ResultError, match=r"m is damaged .*weights must be finite"):
        covdist.load(tmp_path / "m")


ODD = {
    "infinite": np.where(X > 1, np.inf, X),
    "NaN": np.where(X > 1, np.nan, X),
    "nothing else": X * np.nan,
    "overflowing": X * 4e307,
    "subnormal": X * 1e-310,
    "of all sizes": X * [1e-300, 1.0, 1e300],
    "constant": np.ones((12, 3)),
}
WEIGHTS = {"none": None, "none at all": np.zeros(12), "of all sizes": np.geomspace(1e-300, 1e300, 12)}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_states_do_hold_is_held(odd: np.ndarray, weights: np.ndarray | None) -> None:
    options: dict[str, Any] = {} if weights is None else {"weights": weights[: len(odd)]}
    for state in ("full", "higher", "norms", "comoments", "projected"):
        m = covdist.moments(odd, missing="propagate", state=state, **options)
        for name, field in m.layout.state.FIELDS.items():
            assert field.holds(field_value(m.deferred.parts[0], field)), (state, name)


def test_infinities_and_nan_that_rows_brought_are_loaded(tmp_path: Path) -> None:
    m = covdist.moments(ODD["infinite"], missing="propagate")
    m.save(tmp_path / "m")
    np.testing.assert_array_equal(covdist.load(tmp_path / "m").cov(), m.cov())


def test_a_triangle_may_be_negative_beside_its_diagonal() -> None:
    assert Scatter.FIELDS["scatter"].holds(np.array([[1.0, -1.0], [-1.0, np.nan]]))
    assert not column_fields()["squares"].holds(np.array([1.0, -1.0]))

"""How results look in a notebook: a picture of |corr|, what lazy ones will take, and names that break nothing."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from html.parser import HTMLParser

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import covdist
from covdist.engine.plan import human_bytes
from covdist.results.looks.correlations import thumbnail
from covdist.results.looks.counts import counts
from covdist.results.looks.png import png

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5))
WIDE = RNG.normal(size=(40, 20)) @ RNG.normal(size=(20, 150))
LAZY = da.zeros((1_000_000, 1024), chunks=(4096, 1024), dtype="f4")
BY = np.arange(60) % 3
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e&\"'"


class Page(HTMLParser):
    """Collects tags and the text of cells."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.text, self.sources = list[str](), list[str](), list[str]()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name == "src"]

    def handle_data(self, data):
        self.text.append(data)

    def fact(self, name: str) -> str:
        return self.text[self.text.index(name) + 1]


def expected(corr: np.ndarray, places: int = 64) -> np.ndarray:
    """The same by loops: of each block the first four rows, and all columns."""
    down, across = ([size * i // min(size, places) for i in range(min(size, places) + 1)] for size in corr.shape)
    found = np.full((len(down) - 1, len(across) - 1), np.nan)
    for i in range(len(found)):
        for j in range(found.shape[1]):
            block = np.abs(corr[down[i] : min(down[i + 1], down[i] + 4), across[j] : across[j + 1]])
            if not np.isnan(block).all():
                found[i, j] = np.nanmean(block)
    return found


# ---- pictures


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70), elements=st.floats(0, 1)))
def test_a_png_is_what_a_library_reads(values):
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png(values)))
    assert image.size == values.shape[::-1]
    places = np.asarray(image)
    np.testing.assert_array_equal(places, np.rint(values * 254))
    values[0, 0] = np.nan
    coloured = pytest.importorskip("PIL.Image").open(io.BytesIO(png(values))).convert("RGB")
    assert coloured.getpixel((0, 0)) == (200, 200, 200)


def test_the_colours_go_from_dark_to_bright():
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png(np.linspace(0, 1, 255)[None]))).convert("L")
    assert (np.diff(np.asarray(image)[0].astype(int)) >= 0).all()


@pytest.mark.parametrize("x", [X, WIDE, WIDE[:, :65], WIDE[:, :2]], ids=lambda x: str(x.shape[1]))
def test_a_thumbnail_is_of_means_of_blocks(x):
    x = x.copy()
    x[:, 1] = 7.0  # constant, so that its correlations are NaN
    picture = thumbnail(covdist.moments(x))
    np.testing.assert_allclose(picture.values, expected(covdist.moments(x).corr().values), rtol=1e-12)


def test_a_thumbnail_of_two_arrays():
    m = covdist.moments(WIDE, X[:40])
    np.testing.assert_allclose(thumbnail(m).values, expected(m.corr().values), rtol=1e-12)


def test_a_thumbnail_of_pairs_that_are_complete():
    x = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    m = covdist.moments(x, missing="pairwise")
    np.testing.assert_allclose(thumbnail(m).values, np.abs(m.corr().values), rtol=1e-12)


def test_a_thumbnail_of_groups_is_of_all_rows(monkeypatch):
    m = covdist.moments(X, by=BY)
    np.testing.assert_allclose(thumbnail(m).values, np.abs(covdist.moments(X).corr().values), rtol=1e-9)
    monkeypatch.setattr("covdist.results.looks.correlations._MOST_MERGED", 0)
    picture = thumbnail(m)
    assert "group 0" in picture.caption
    np.testing.assert_allclose(picture.values, np.abs(m.sel(group=0).corr().values), rtol=1e-12)


@pytest.mark.parametrize(
    "m",
    [
        covdist.moments(X[:, :1]),
        covdist.moments(X[:, 0]),
        covdist.moments(X, state="variances"),
        covdist.moments(np.ones((3, 4))),
        covdist.moments(LAZY),
    ],
    ids=["one column", "a vector", "variances", "constant", "lazy"],
)
def test_no_picture_where_there_is_nothing_to_see(m):
    assert thumbnail(m) is None
    assert "img" not in Page(m._repr_html_()).tags


def test_a_page_has_the_picture_in_it():
    (source,) = Page(covdist.moments(X)._repr_html_()).sources
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    assert b64decode(data) == png(thumbnail(covdist.moments(X)).values)


# ---- facts


@pytest.mark.parametrize("missing", ["drop", "propagate", "pairwise", "interpolate", "maxent"])
@pytest.mark.parametrize("by", [None, BY])
def test_rows_and_missing_values_are_those_of_the_state(missing, by):
    if by is not None and missing == "maxent":
        return
    x = X.copy()
    x[[3, 8], 1] = x[8, 2] = np.nan
    m = covdist.moments(x, by=by, missing=missing)
    found = counts(m.deferred.joined(), 1)
    assert found.rows == int(m.rows.sum()) == (58 if missing == "drop" else 60)
    assert (found.missing, found.skipped) == (3, 60 - found.rows)
    said = Page(m._repr_html_()).fact("missing")
    assert said == f"{missing}: 3 values" + (", 2 rows left out" if missing == "drop" else "")


@pytest.mark.parametrize("weights", [None, np.where(np.arange(60) < 20, 0.0, 2.0)])
@pytest.mark.parametrize("rows", [60, 5, 1])
def test_rows_of_groups_that_are_not_folded(weights, rows):
    weights = None if weights is None else weights[:rows]
    m = covdist.moments(X[:rows], by=BY[:rows], weights=weights)
    assert f" of {int(m.rows.sum())} rows" in repr(m)


def test_missing_values_of_both_sides():
    x, y = X.copy(), X[:, :2].copy()
    x[0, 0] = y[1, :] = np.nan
    assert (
        Page(covdist.moments(x, y, missing="drop")._repr_html_()).fact("missing") == "drop: 3 values, 2 rows left out"
    )


def _refuse(*arguments, **options):
    raise AssertionError("something was computed")


def test_lazy_ones_say_what_they_take():
    m, plan = covdist.moments(LAZY), covdist.plan(LAZY)
    with dask.config.set(scheduler=_refuse):
        page, text = Page(m._repr_html_()), repr(m)
    assert text == "<covdist.Moments, lazy: full state of unit (1024), 3.81 GiB to read>"
    assert page.fact("rows") == "1,000,000"
    assert page.fact("to read") == "3.81 GiB in 245 chunks"
    assert page.fact("shards") == f"{plan.shards}"
    assert page.fact("peak memory of a worker") in str(plan)


@pytest.mark.parametrize(
    "options",
    [{"by": np.arange(1_000_000) // 10_000}, {"missing": "maxent"}, {"state": "variances"}, {"matrix": "tiles"}],
    ids=str,
)
def test_every_lazy_way_says_what_it_reads(options):
    read = human_bytes(covdist.plan(LAZY, **options).bytes_read)
    assert Page(covdist.moments(LAZY, **options)._repr_html_()).fact("to read").startswith(f"{read} in ")


def test_sums_read_both_and_persisted_ones_nothing():
    x = da.from_array(X, chunks=(20, 5))
    m = covdist.moments(x[:40]) + covdist.moments(x[40:])
    assert Page(m._repr_html_()).fact("rows") == "60"
    assert "to read" not in repr(m.persist(scheduler="synchronous"))
    assert "to read" in repr(covdist.moments(x, by=BY).sel(group=1))


def test_plans():
    plan = covdist.plan(LAZY)
    assert repr(plan).startswith("<covdist.Plan of 1,000,000 rows of 1,024 columns: read 3.81 GiB, ")
    page = Page(plan._repr_html_())
    assert {name for name, _ in plan.rows_of_text()} <= {*page.text}
    assert page.fact("rows") == "1,000,000"


# ---- names


def test_names_break_no_page_and_no_terminal():
    x = xr.DataArray(X, dims=("sample", "unit"), name=HOSTILE, coords={"unit": [HOSTILE + str(i) for i in range(5)]})
    by = xr.DataArray([HOSTILE + str(i) for i in BY], dims="sample", name=HOSTILE)
    for m in (
        covdist.moments(x, dim="sample"),
        covdist.moments(x, dim="sample", by=by),
        covdist.moments(x.chunk(sample=20), dim="sample", by=by),
        covdist.moments(x.rename(unit=HOSTILE), dim="sample"),
    ):
        for said in (repr(m), m._repr_html_()):
            assert not set(re.sub(r"\s", "", said)) & {"\x1b", "\u202e"}
        assert "script" not in Page(m._repr_html_()).tags
        assert "\n" not in repr(m)


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X[:1], {}),
        (np.full((3, 3), np.nan), {"missing": "drop"}),
        (np.full((3, 3), np.nan), {"missing": "pairwise"}),
        (X, {"by": np.where(BY == 1, 1.0, np.nan)}),
        (X.reshape(12, 5, 5), {"each": 1}),
        (X * 1e-160, {}),
        (X, {"state": ("full", "higher")}),
        (X, {"blocks": 4}),
        (X, {"state": "serial"}),
    ],
    ids=str,
)
def test_odd_states_are_shown(x, options):
    m = covdist.moments(x, **options)
    assert repr(m).startswith("<covdist.Moments")
    assert "table" in Page(m._repr_html_()).tags


def test_tiles_on_disk_are_not_read(tmp_path, monkeypatch):
    m = covdist.moments(da.from_array(WIDE, chunks=(20, 150)), matrix="tiles")
    m.save(tmp_path / "tiles.zarr")
    loaded = covdist.load(tmp_path / "tiles.zarr")
    monkeypatch.setattr(type(loaded.matrix), "corr", None)
    page = Page(loaded._repr_html_())
    assert page.fact("matrix").startswith("in tiles")
    assert "img" not in page.tags

"""What plots draw: the data of their artists, their labels, panels of groups, and what they refuse."""

from __future__ import annotations

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from xarray.plot.facetgrid import FacetGrid

import covdist
from covdist import plugins
from covdist.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) @ RNG.normal(size=(4, 6)) + RNG.normal(size=(120, 6)) + 1
EPOCH = np.arange(120) // 40
ODD = ["a$x$", "_own", "<script>alert(1)</script>", "\x1b[31mred", "$", "\\frac{$", "%&#^{}~"]


def rows(x=X, **coords):
    return xr.DataArray(x, dims=("sample", "unit"), coords={"epoch": ("sample", EPOCH), **coords})


def by_epoch(x=X, **options):
    return covdist.moments(rows(x), dim="sample", by="epoch", **options)


def log(sizes):
    gradient = RNG.normal(size=(120, 5))
    nodes = {
        name: xr.Dataset(
            {"gradient": (("step", "param"), size * gradient), "activation": (("step", "unit"), X)},
            {"epoch": ("step", EPOCH)},
        )
        for name, size in sizes.items()
    }
    return xr.DataTree.from_dict(nodes)


LOG = log({"fc1": 1e-6, "fc2": 1e-2, "head": 1.0})
GIVEN = {
    "correlation": covdist.moments(X),
    "drift": by_epoch(),
    "gradients": {"fc1": covdist.moments(X * 1e-6), "head": covdist.moments(X)},
    "health": covdist.health(LOG, by=()).compute(),
    "missing": covdist.moments(X, missing="drop"),
    "plan": covdist.plan(da.zeros((1000, 8), chunks=(100, 8))),
    "similarity": covdist.similarity({"fc1": X, "fc2": X[:, :2]}),
    "spectrum": covdist.moments(X),
}
GROUPED = {
    "correlation": by_epoch(),
    "gradients": {"fc1": by_epoch(X * 1e-6), "head": by_epoch()},
    "health": covdist.health(LOG, by="epoch").compute(),
    "similarity": covdist.similarity({"fc1": rows(), "fc2": rows()[:, :2]}, dim="sample", by="epoch"),
    "spectrum": by_epoch(),
}


def texts(labels):
    return [each.get_text() for each in labels]


def drawn(figure_or_axes):
    figure = getattr(figure_or_axes, "fig", None) or figure_or_axes.figure
    figure.canvas.draw()
    return figure_or_axes


# ---- all of them


@pytest.mark.parametrize("name", plugins.names("plot"))
def test_each_draws_on_given_axes_or_new_ones_with_title_and_labels(name):
    plot = getattr(covdist.plot, name)
    figure, ax = plt.subplots()
    assert plot(GIVEN[name], ax=ax) is ax
    new = drawn(plot(GIVEN[name]))
    assert isinstance(new, Axes)
    assert new.figure is not figure
    assert new.get_title()
    assert new.get_ylabel() or texts(new.get_yticklabels())


@pytest.mark.parametrize("name", GROUPED)
def test_groups_have_a_panel_each(name):
    grid = drawn(getattr(covdist.plot, name)(GROUPED[name]))
    assert isinstance(grid, FacetGrid)
    assert [panel.get_title() for panel in grid.axs.flat] == ["epoch 0", "epoch 1", "epoch 2"]
    with pytest.raises(DataError, match="ax= has room for one picture, found groups by 'epoch'"):
        getattr(covdist.plot, name)(GROUPED[name], ax=plt.subplots()[1])


@pytest.mark.parametrize("name", plugins.names("plot"))
@pytest.mark.parametrize("given", [None, 3, "fc1", {}, xr.Dataset()], ids=str)
def test_what_is_nothing_of_the_kind_is_refused_in_a_sentence(name, given):
    with pytest.raises(DataError, match="found"):
        getattr(covdist.plot, name)(given)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", plugins.names("plot"))
def test_a_missing_package_is_named_with_the_extra(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(DataError, match=r"plots need the package matplotlib .*: pip install 'covdist\[plot\]'"):
        getattr(covdist.plot, name)(GIVEN[name])


def test_names_are_found_and_complete():
    assert set(plugins.names("plot")) == set(covdist.plot.__all__) == set(GIVEN)
    assert set(GIVEN) <= set(dir(covdist.moments(X).plot))
    assert all(callable(getattr(covdist.plot, name)) for name in GIVEN)
    with pytest.raises(AttributeError, match="there is no plot 'corelation', only correlation, drift"):
        covdist.moments(X).plot.corelation  # noqa: B018


def test_methods_of_moments_draw_the_same():
    m = covdist.moments(X)
    np.testing.assert_array_equal(m.plot().images[0].get_array(), covdist.plot.correlation(m).images[0].get_array())
    np.testing.assert_array_equal(m.plot.spectrum(k=3).lines[0].get_ydata(), m.spectrum(3)["eigenvalue"])


def test_odd_names_are_text():
    layers = {name: covdist.moments(X[:, i : i + 2]) for i, name in enumerate(ODD[:5])}
    shown = ["a$x$", "_own", "<script>alert(1)</script>"[:11] + "…" + "<script>alert(1)</script>"[-12:]]
    ax = drawn(covdist.plot.gradients(layers))
    assert texts(ax.get_xticklabels())[:3] == shown
    assert texts(ax.get_xticklabels())[3:] == [r"\x1b[31mred", "$"]
    assert not any(each.get_parse_math() for each in ax.get_xticklabels())
    dims = {"$u$": ODD, "$u$_2": ODD}
    ax = drawn(
        covdist.plot.correlation(xr.DataArray(np.eye(7), dims=list(dims), coords=dims, name="$r$"), order="given")
    )
    assert texts(ax.get_yticklabels())[:2] == ODD[:2]
    assert (ax.get_title(), ax.title.get_parse_math()) == ("$r$", False)
    drift = drawn(covdist.plot.drift({name: by_epoch(X[:, :2]) for name in ODD}))
    assert texts(drift.get_legend().get_texts())[:2] == ["a$x$", "_own"]


# ---- correlation


def test_correlations_are_in_clustered_order_with_symmetric_colours():
    x = RNG.normal(size=(200, 3))[:, [0, 1, 2, 0, 1, 2]] + 0.1 * RNG.normal(size=(200, 6))
    ax = covdist.plot.correlation(covdist.moments(x))
    (image,) = ax.images
    order = [int(text) for text in texts(ax.get_xticklabels())]
    assert sorted(order) == list(range(6))
    assert [{order[i] % 3 for i in (j, j + 1)} for j in (0, 2, 4)] == [{order[j] % 3} for j in (0, 2, 4)]
    np.testing.assert_array_equal(image.get_array(), covdist.corr(x).values[np.ix_(order, order)])
    assert image.get_clim() == (-1, 1)
    assert ax.get_xlabel() == "unit (6, clustered)"
    given = covdist.plot.correlation(covdist.corr(x), order="given")
    np.testing.assert_array_equal(given.images[0].get_array(), covdist.corr(x))


def test_other_matrices_have_limits_of_their_own():
    cov = covdist.cov(X * 1e-100)
    ax = covdist.plot.correlation(cov)
    most = float(abs(cov).max())
    assert ax.images[0].get_clim() == (-most, most)
    assert ax.get_title() == "Covariance"


def test_wide_matrices_are_averaged_in_blocks_and_say_so():
    x = RNG.normal(size=(50, 1100))
    ax = covdist.plot.correlation(covdist.moments(x), order="given")
    corr = np.corrcoef(x.T)
    assert ax.get_title() == "Correlation, means of 3 × 3"
    image = ax.images[0].get_array()
    assert image.shape == (367, 367)
    np.testing.assert_allclose(image[1, 5], corr[3:6, 15:18].mean())
    np.testing.assert_allclose(image[366, 366], corr[1098:, 1098:].mean())
    assert ax.images[0].get_clim()[1] == np.abs(image[~np.eye(367, dtype=bool)]).max()


def test_very_wide_lazy_matrices_are_averaged_before_they_are_computed():
    lazy = xr.DataArray(da.ones((5000, 5000), chunks=500), dims=("unit", "unit_2"), name="corr")
    ax = covdist.plot.correlation(lazy)
    assert (ax.get_title(), ax.get_xlabel()) == ("Corr, means of 10 × 10", "unit (5,000)")
    assert ax.images[0].get_array().shape == (500, 500)


@pytest.mark.parametrize("missing", ["propagate", "pairwise"])
def test_columns_without_values_are_grey_and_last(missing):
    x = X.copy()
    x[:, 1] = np.nan
    x[:, 3] = 2.0
    ax = drawn(covdist.plot.correlation(covdist.moments(x, missing=missing)))
    assert texts(ax.get_xticklabels())[-2:] == ["1", "3"]
    assert np.ma.getmaskarray(ax.images[0].get_array())[:, -2:].all()
    everything = covdist.moments(np.full((5, 3), np.nan), missing=missing)
    assert np.ma.getmaskarray(drawn(covdist.plot.correlation(everything)).images[0].get_array()).all()
    drawn(covdist.plot.spectrum(everything)) if missing == "propagate" else None


def test_one_column_and_x_with_y():
    assert covdist.moments(X[:, 0]).plot().images[0].get_array().tolist() == [[1.0]]
    assert covdist.moments(X, X[:, 0]).plot().images[0].get_array().shape == (6, 1)
    ax = covdist.moments(X, X[:, [5, 0]]).plot()
    np.testing.assert_allclose(
        np.sort(ax.images[0].get_array(), axis=None), np.sort(covdist.corr(X, X[:, [5, 0]]), None)
    )


def test_groups_share_an_order_and_many_are_left_out():
    grid = by_epoch().plot()
    assert len({tuple(texts(panel.get_xticklabels())) for panel in grid.axs.flat}) == 1
    many = covdist.moments(X, by=np.arange(120) // 4)
    grid = covdist.plot.spectrum(many)
    assert len([panel for panel in grid.axs.flat if panel.get_visible()]) == 12
    assert grid.fig.get_suptitle() == "Spectrum (12 of 30 groups)"
    assert grid.axs.flat[11].get_title() == "group 29"
    two = covdist.moments(rows(label=("sample", np.arange(120) % 2)), dim="sample", by=("epoch", "label")).plot()
    assert two.axs.flat[1].get_title() == "epoch 0, label 1"


@pytest.mark.parametrize("bad", [covdist.var(X), covdist.corr(X, X, pairs="columns"), xr.DataArray(np.array([["a"]]))])
def test_what_is_no_matrix_is_refused(bad):
    with pytest.raises(DataError, match="draws a matrix of numbers along the last two dims, found"):
        covdist.plot.correlation(bad)


def test_states_without_a_matrix_are_refused():
    with pytest.raises(DataError, match="needs a state of kind"):
        covdist.moments(X, state="variances").plot()
    with pytest.raises(DataError, match="found the dims"):
        covdist.moments(X, X, state="columnwise").plot()
    with pytest.raises(DataError, match="order='sorted'"):
        covdist.moments(X).plot(order="sorted")


# ---- spectrum


def test_a_spectrum_has_its_eigenvalues_and_the_edge_of_noise():
    found = covdist.moments(X).spectrum(6)
    ax = covdist.plot.spectrum(found)
    line, edge = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), found["eigenvalue"])
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert set(edge.get_ydata()) == {float(found["marchenko_pastur_edge"])}
    assert texts(ax.get_legend().get_texts()) == ["eigenvalue", "Marchenko-Pastur edge"]
    assert f"effective rank {float(found['effective_rank']):.3g}" in ax.get_title()


def test_blocks_give_error_bars():
    m = covdist.moments(X, blocks=8)
    ax = drawn(covdist.plot.spectrum(m, k=3))
    expected = m.jackknife("spectrum", 3)["eigenvalue_error"].values
    (bars,) = (each for each in ax.collections)
    heights = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    values = m.merge("block").spectrum(3)["eigenvalue"].values
    np.testing.assert_allclose(heights, expected + np.minimum(expected, 0.9 * values))
    assert "standard error" in texts(ax.get_legend().get_texts())
    of_epochs = covdist.plot.spectrum(by_epoch(blocks=4))
    assert [panel.get_title() for panel in of_epochs.axs.flat] == ["epoch 0", "epoch 1", "epoch 2"]


@pytest.mark.parametrize("x", [np.ones((5, 3)), np.zeros((2, 2))])
def test_constant_columns_have_no_spectrum(x):
    ax = drawn(covdist.plot.spectrum(covdist.moments(x)))
    assert texts(ax.texts) == ["no eigenvalue above 0"]
    assert not ax.lines


def test_tiny_columns_are_drawn_by_roots_and_few_rows_without_rounding():
    ax = drawn(covdist.plot.spectrum(covdist.moments(X * 1e-200)))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1e-200 * covdist.moments(X).spectrum(6)["std"], rtol=1e-10)
    few = covdist.plot.spectrum(covdist.moments(X[:3]))
    assert len(few.lines[0].get_ydata()) == 2


# ---- gradients


def test_gradients_from_the_input_to_the_output_with_the_band_where_they_vanish():
    stats = covdist.gradient_stats(LOG, dim="step")
    expected = stats["layer_norm"].values / np.sqrt(5)
    health = covdist.health(LOG, by=())
    moments = {name: covdist.moments(LOG[name]["gradient"], dim="step") for name in ("fc1", "fc2", "head")}
    for given in (LOG, stats, health, moments):
        ax = drawn(covdist.plot.gradients(given, **({"dim": "step"} if given is LOG else {})))
        rms, std, mean = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(rms, expected)
        np.testing.assert_allclose(rms**2, std**2 + mean**2)
        assert texts(ax.get_xticklabels()) == ["fc1", "fc2", "head"]
        band = ax.patches[-1]
        np.testing.assert_allclose(band.get_y() + band.get_height(), expected[-1] / 100)
        assert expected[0] < band.get_y() + band.get_height() < expected[2]


def test_gradients_of_one_layer_over_epochs_and_parameters():
    ax = covdist.plot.gradients(by_epoch())
    assert ax.get_xlabel() == "epoch"
    expected = [np.sqrt((X[epoch == EPOCH] ** 2).mean()) for epoch in range(3)]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected)
    ax = covdist.plot.gradients(covdist.gradient_stats(X))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sort(np.sqrt((X**2).mean(axis=0)))[::-1])
    many = covdist.plot.gradients(covdist.moments(np.ones((1100, 2)), by=np.arange(1100)))
    assert (many.get_title(), len(many.lines[0].get_ydata())) == ("Gradients by group, means of 3", 367)


def test_gradients_that_are_zero_or_tiny():
    ax = drawn(covdist.plot.gradients({"a": covdist.moments(np.zeros((3, 2)))}))
    assert texts(ax.texts) == ["no gradient other than 0"]
    tiny = drawn(covdist.plot.gradients({name: covdist.moments(X * 1e-300) for name in "ab"}))
    assert 0 < tiny.lines[0].get_ydata()[0] < 1e-299
    with pytest.raises(DataError, match="vanishing=2 is not a share"):
        covdist.plot.gradients(LOG, vanishing=2)
    with pytest.raises(DataError, match=r"dim is of covdist\.gradient_stats"):
        covdist.plot.gradients(covdist.moments(X), dim="step")


# ---- health, similarity, drift, missing, plan


def test_health_has_a_colour_and_a_number_for_each_question():
    ax = drawn(covdist.plot.health(LOG, by=()))
    found = GIVEN["health"]
    colours = ax.images[0].get_array()
    assert colours.shape == (3, 5)
    assert (colours[:, 0] == np.where(found["vanishing"], 2, 1)).all()
    assert (colours[:, 2] == 0).all()  # without bounds nobody knows what is saturated
    assert texts(ax.texts)[0] == f"{float(found['relative'][0]):.1e}"
    assert texts(ax.get_legend().get_texts()) == ["fine", "a finding", "not known"]


def test_similarity_is_in_the_order_of_depth():
    expected = covdist.similarity(LOG)
    ax = covdist.plot.similarity(LOG)
    np.testing.assert_array_equal(ax.images[0].get_array(), expected)
    assert texts(ax.texts)[1] == f"{float(expected[0, 1]):.2f}"
    assert ax.get_title() == "Similarity of layers (cka)"
    assert covdist.plot.similarity(LOG, method="procrustes").get_title().endswith("(procrustes)")
    with pytest.raises(DataError, match="method is of"):
        covdist.plot.similarity(expected, method="cca")
    with pytest.raises(DataError, match="layers with layers"):
        covdist.plot.similarity(xr.DataArray([1.0]))


def test_drift_is_the_distance_from_each_group_to_the_next():
    m = by_epoch(X + EPOCH[:, None] ** 2)
    shift, distance, corr = (line.get_ydata() for line in covdist.plot.drift(m).lines)
    for number in (0, 1):
        a, b = m.sel(epoch=number), m.sel(epoch=number + 1)
        found = covdist.compare(a, b)
        np.testing.assert_allclose([shift[number], corr[number]], [found["mean_shift"], found["corr_change"]])
        np.testing.assert_allclose(distance[number], np.sqrt(covdist.frechet(a, b) / a.var().sum()))
    tiny = covdist.plot.drift(by_epoch(1e-200 * (X + EPOCH[:, None] ** 2)))
    np.testing.assert_allclose(tiny.lines[0].get_ydata(), shift)
    assert len(tiny.lines) == 2
    assert len(covdist.plot.drift(by_epoch(state="variances")).lines) == 1


def test_drift_of_layers_many_groups_and_refusals():
    ax = covdist.plot.drift({"a": by_epoch(), "b": by_epoch(X[:, :2]), "c": covdist.moments(X)})
    assert texts(ax.get_legend().get_texts()) == ["a", "b"]
    many = covdist.plot.drift(covdist.moments(np.tile(X, (5, 1)), by=np.arange(600) // 2))
    assert many.get_title() == "Drift, each group from the one before (200 of 300 groups)"
    both = rows(label=("sample", np.arange(120) % 2))
    with pytest.raises(DataError, match=r"add up those of the others, such as by m.merge\('label'\)"):
        covdist.plot.drift(covdist.moments(both, dim="sample", by=("epoch", "label")))
    with pytest.raises(DataError, match="two or more groups"):
        covdist.plot.drift(covdist.moments(X))


def test_missing_values_by_column_group_and_row():
    x = X.copy()
    x[:40, 2] = np.nan
    x[5, 0] = np.inf
    counted = covdist.plot.missing(covdist.moments(x, missing="drop", inf="missing"))
    np.testing.assert_allclose([bar.get_height() for bar in counted.patches], [1 / 120, 0, 1 / 3, 0, 0, 0])
    assert counted.get_title() == "Missing values: 41 of 720"
    by = covdist.plot.missing(by_epoch(x, missing="pairwise", inf="missing")).images[0].get_array()
    np.testing.assert_allclose(by[:, 2], [1, 0, 0])
    for given in (rows(x), rows(x).chunk(sample=7)):
        ax = covdist.plot.missing(given)
        np.testing.assert_array_equal(ax.images[0].get_array(), ~np.isfinite(x))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("unit (6)", "sample (120)")
    long = xr.DataArray(np.where(np.arange(1100) < 550, np.nan, 1.0), dims="step")
    ax = covdist.plot.missing(long)
    assert ax.get_title() == "Missing values: 550 of 1,100, means of 3 × 1"
    assert ax.images[0].get_array()[:183].min() == 1
    with pytest.raises(DataError, match="dim='epochs' is not a dim of the rows"):
        covdist.plot.missing(long, dim="epochs")


def test_a_plan_beside_what_was_measured():
    plan = GIVEN["plan"]
    ax = drawn(covdist.plot.plan(plan, measured={"bytes_read": 5000, "peak_bytes": 2**20}))
    assert [bar.get_width() for bar in ax.patches][:2] == [plan.bytes_read, plan.peak_bytes]
    assert ax.lines[0].get_xdata().tolist() == [5000, 2**20]
    two = covdist.plot.plan({"a": plan, "b": plan})
    assert [bar.get_width() for bar in two.patches][:2] == [2 * plan.bytes_read, plan.peak_bytes]
    with pytest.raises(DataError, match="measured has seconds"):
        covdist.plot.plan(plan, measured={"seconds": 1})


@pytest.mark.filterwarnings("error")
def test_matrices_with_infinite_values_keep_the_order_of_the_others():
    """Everything was alike beside infinity."""
    x = np.column_stack([X[:, 0], 1e200 * X[:, 1], X[:, 2], -X[:, 0]])
    matrix = covdist.corr(x)
    matrix[1, 1] = np.inf
    ax = covdist.plot.correlation(matrix)
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert abs(names.index("0") - names.index("3")) == 1

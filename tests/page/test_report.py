"""The page as a file: what it says, what it may do, and that names are text."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

import covdist
from covdist.errors import DataError, ResultError, shown
from covdist.page.arrays import most_drawn
from covdist.page.heat_maps import heat_map

from .logs import ANSI, BIDI, ODD, SCRIPT, odd_log, rows


class Page(HTMLParser):
    """Elements with their attributes, and the text and scripts between them."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attrs, text = self.scripts.pop()
            self.scripts.append((attrs, text + data))
        elif not self.open or self.open[-1] != "style":
            self.words += data

    @property
    def data(self):
        return [json.loads(text) for attrs, text in self.scripts if attrs.get("type") == "application/json"]

    @property
    def policy(self):
        (found,) = [attrs["content"] for tag, attrs in self.tags if attrs.get("http-equiv")]
        return {each.split()[0]: each.split()[1:] for each in found.split("; ")}


def page_of(x, folder, **options):
    covdist.report(x, folder / "report.html", **options)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(odd_log(), tmp_path_factory.mktemp("page"))


def test_it_begins_with_the_sentences_of_health(page):
    said = covdist.health(odd_log(), by=()).advice.item().split("\n")
    wrong = page.words[page.words.index("What is wrong") : page.words.index("The layers")]
    assert wrong == "What is wrong" + "".join(shown(each, 10_000) for each in said)
    assert "Activations are not finite" in wrong


def test_all_drawings_have_names_words_and_numbers(page):
    figures = [attrs for tag, attrs in page.tags if tag == "figure"]
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert len(figures) == len(page.data) > 15
    assert all(set(each["aria-labelledby"].split()) <= ids for each in figures)
    for title in (
        "Gradients from the input to the output", "Mean of the gradient over steps and depth",
        "Variance of the gradient over steps and depth", "Signal-to-noise ratio of the gradient over steps and depth",
        "Similarity of layers (CKA)", "Correlation", "Spectrum", "Gradient by step", "Missing values",
    ):  # fmt: skip
        assert title in page.words
    assert sum(tag == "details" for tag, _ in page.tags) >= len(figures) - 1
    for part in ("Plan and measurement", "Where it comes from", "held by a worker at most", "time that passed"):
        assert part in page.words


def test_its_scripts_are_allowed_by_their_hashes_and_nothing_else_is(page):
    allowed = page.policy
    assert allowed["default-src"] == ["'none'"]
    assert not any("unsafe" in each or ":" in each for each in [*allowed["script-src"], *allowed["style-src"]])
    run = [text for attrs, text in page.scripts if "type" not in attrs]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert allowed["script-src"] == hashes
    assert len(run) == 3
    assert set(allowed) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}


def test_a_policy_is_never_the_same_twice(page, tmp_path):
    other = page_of(covdist.moments(rows()), tmp_path)
    assert page.policy["style-src"] != other.policy["style-src"]


def test_nothing_is_fetched(page):
    for _, attrs in page.tags:
        assert not {"src", "srcset", "style", "onload", "onerror", "onclick"} & attrs.keys()
        assert attrs.get("href", "#").startswith("#")
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "img", "base", "form")]
    assert "bokeh.org" not in json.dumps(page.data)


def test_names_are_text(page):
    assert SCRIPT in page.words
    assert r"\x1b[31mred\x1b[0m" in page.words
    assert "abc\\u202egnp.exe" in page.words
    whole = json.dumps(page.data, ensure_ascii=False) + page.words
    assert not {ANSI, BIDI, "\x1b", "\u202e"} & set(whole)
    assert ANSI not in whole
    assert BIDI not in whole
    names = {name for each in page.data for axis in each["names"].values() for name in axis}
    assert any(name.startswith("<script>alert(1)<") for name in names)


def test_labels_of_a_log_are_plain_text_to_bokeh_too(page):
    def objects(value):
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value["name"], value.get("attributes", {})
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from objects(each)

    found = list(objects([each["item"] for each in page.data]))
    labels = [about["axis_label"] for name, about in found if name.endswith("Axis")]
    assert all(each["name"] == "PlainText" for each in labels)
    assert "unit<b>" in {each["attributes"]["text"] for each in labels}
    assert not [name for name, about in found if name in ("Title", "LegendItem") and about.get("text")]


def test_bins_of_steps_are_named_by_the_whole_step_that_they_begin_with(page):
    names = {tuple(each["names"]["x"]) for each in page.data if each["names"].get("x", [""])[0] == "0"}
    assert ("0", "3", "6", "8", "11") in {each[:5] for each in names}


@pytest.mark.parametrize("steps", [np.arange(40) * 2**58, np.full(40, 3), np.arange(40.0) / 7, list("ab" * 20)])
def test_steps_of_other_kinds(steps, tmp_path):
    node = xr.Dataset({"gradient": (("step", "param"), rows(amount=40))}, {"step": steps})
    assert "40 rows of 6" in page_of(xr.DataTree.from_dict({"/fc": node}), tmp_path).words


def test_a_log_that_was_opened_is_named_by_its_path(tmp_path):
    xr.DataTree.from_dict({"/fc": xr.Dataset({"activation": (("sample", "unit"), rows())})}).to_zarr(
        tmp_path / "log.zarr", zarr_format=2
    )
    found = page_of(covdist.open_log(tmp_path / "log.zarr"), tmp_path)
    assert f"says{tmp_path / 'log.zarr'}What is wrong" in found.words
    assert "covdist: log.zarr" in found.words


def test_credentials_of_an_address_are_not_on_the_page(tmp_path):
    from tests.logs.serving import in_memory

    with open(tmp_path / "log.npz?token=secret1234", "wb") as file:
        np.savez(file, activation=rows())
    url = in_memory(tmp_path / "log.npz?token=secret1234")
    for number, log in enumerate((url, covdist.open_log(url))):
        (tmp_path / f"{number}").mkdir()
        words = page_of(log, tmp_path / f"{number}").words
        assert "/log.npz?token=***" in words
        assert "secret1234" not in words


# ---- heat maps


def test_bytes_of_a_heat_map_are_the_values_again():
    values = np.array([[-1.0, 0.25, np.nan], [1.0, np.inf, 0.0]])
    drawn = heat_map("t", "a", values, (-1.0, 1.0), {}, ("x", "y"), "v", signed=True)
    (low, high, log), data = drawn.scale, drawn.figure.renderers[0].data_source.data["image"][0]
    assert not log
    back = np.where(data < -127, np.nan, low + (data + 127.0) / 254 * (high - low))
    np.testing.assert_allclose(back, np.where(np.isfinite(values), values, np.nan), atol=(high - low) / 254 / 2)


@pytest.mark.parametrize("arrays", [1, 3, 20, 40])
def test_more_arrays_have_smaller_heat_maps(arrays):
    assert arrays * most_drawn(arrays) ** 2 <= 1_300_000
    assert most_drawn(1) == 512


def test_blocks_are_named_by_what_is_in_them(tmp_path):
    page = page_of(covdist.moments(rows(units=1300, amount=40)), tmp_path)
    (matrix,) = [each for each in page.data if each["scale"]]
    assert len(matrix["names"]["x"]) == 434
    assert sorted(int(each) for name in matrix["names"]["x"] for each in name.split(", ")) == list(range(1300))
    assert "mean of 3 × 3" in page.words


# ---- what it takes


def test_a_result_and_its_path_say_the_same(tmp_path):
    from covdist.results.saving import save

    log = odd_log()
    dims = {"gradient": "step", "activation": "sample"}
    by = {"gradient": covdist.bins("step", 3), "activation": None}
    states = {
        f"{layer}/{name}": covdist.moments(log[f"{layer}/{name}"], dim=dims[name], missing="drop", by=by[name])
        for layer in ODD[1:]
        for name in by
    }
    save(states, tmp_path / "result.zarr")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = page_of(states, tmp_path / "a"), page_of(tmp_path / "result.zarr", tmp_path / "b")
    for each in (one, two):
        assert "Activations are not finite" in each.words
        assert "Gradient by step" in each.words
        assert "compares layers with each other" in each.words
    assert "result on disk" in two.words
    assert len(one.data) == len(two.data)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (covdist.moments(rows()), "Nothing here is called gradient or activation"),
        (covdist.moments(rows()[:, 0]), "Spectrum"),
        (covdist.moments(np.zeros((5, 3))), "3 constant columns"),
        (covdist.moments(np.full((4, 3), np.nan), missing="drop"), "0 rows"),
        (covdist.moments(rows() * 1e-160), "Spectrum"),
        (covdist.moments(rows(), rows(1, 4)), "Correlation"),
        (covdist.moments(rows(), state="variances"), "90 rows"),
        (covdist.moments(rows(), by=np.repeat([0, 1, 2], 30)), "Correlation"),
        (covdist.moments(rows(), state="lagged"), "89 rows"),
        (covdist.moments(np.where(rows() > 3, np.nan, rows()), missing="pairwise"), "Missing values"),
        ({"a": covdist.moments(rows()), "b/activation": covdist.moments(rows(1))}, "Nothing to change."),
    ],
)  # fmt: skip
def test_odd_moments(x, said, tmp_path):
    assert said in page_of(x, tmp_path).words


def test_squares_that_no_float_holds_are_not_called_infinite(tmp_path):
    """Eigenvalues have roots, or were cut to float32; a ratio of gradients and a factor per layer were "inf"."""
    x = np.random.default_rng(0).normal(size=(40, 4))
    for number, scale in enumerate((1e25, 1e200, 1e300)):
        (folder := tmp_path / str(number)).mkdir()
        assert "inf" not in page_of(covdist.moments(x * scale), folder).words.replace("infraise", "")
    nodes = {
        name: xr.Dataset({"gradient": (("step", "p"), x * scale)}) for name, scale in (("fc1", 1e10), ("fc2", 1e-310))
    }
    words = page_of(xr.DataTree.from_dict(nodes), tmp_path).words
    assert ">1e308" in words
    assert "infx" not in words


def test_a_log_without_steps_or_gradients(tmp_path):
    log = xr.DataTree.from_dict({"/fc": xr.Dataset({"activation": (("sample", "unit"), rows())})})
    assert "Nothing to change." in page_of(log, tmp_path).words


def test_dead_units_are_the_verdict_and_their_layers_are_among_the_few_that_are_drawn(tmp_path):
    states = {f"fc{number:02}/activation": covdist.moments(rows(number, 2, 9)) for number in range(40)}
    page = page_of(states | {"fc99/activation": covdist.moments(np.zeros((9, 2)))}, tmp_path)
    links = [attrs for tag, attrs in page.tags if tag == "a"]
    assert links[-1]["href"] == "#array-39"  # that layer's, in the table
    assert "fc99dead" in page.words


def test_thousands_of_arrays_have_few_drawings(tmp_path):
    states = {f"l{number}/activation": covdist.moments(rows(number, 2, 9), state="variances") for number in range(60)}
    page = page_of(states, tmp_path)
    assert "Those of 40 of 60 are drawn." in page.words


# ---- what it refuses


def test_what_is_nothing_of_the_kind(tmp_path):
    for x, said in {(): "found tuple", 3: "found int"}.items():
        with pytest.raises(DataError, match=said):
            covdist.report(x, tmp_path / "r.html")
    with pytest.raises(DataError, match="found a float as 'a'"):
        covdist.report({"a": 1.0}, tmp_path / "r.html")
    with pytest.raises(DataError, match="no node of the log holds a variable 'g' or 'activation'"):
        covdist.report(xr.DataTree(xr.Dataset({"x": ("step", [1.0])})), tmp_path / "r.html", gradient="g")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_left_alone_and_nothing_half_written_stays(tmp_path, monkeypatch):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(ResultError, match="exists already"):
        covdist.report(covdist.moments(rows()), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "mine"
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(ResultError, match=r"cannot be written \(no\)"):
        covdist.report(covdist.moments(rows()), tmp_path / "s.html")
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


def test_without_bokeh_one_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.plotting", None)
    with pytest.raises(DataError, match=r"pip install 'covdist\[report\]'"):
        covdist.report(covdist.moments(rows()), tmp_path / "r.html")


def test_method_of_moments(tmp_path):
    covdist.moments(rows()).report(tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size > 1_000_000

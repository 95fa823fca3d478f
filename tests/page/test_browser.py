"""The page in a real browser: nothing fetched, nothing complained of, everything drawn, zoom and hover."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import covdist

from .logs import odd_log, rows

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
CHROMIUM = shutil.which("chromium")
DRAWN = 60_000  # milliseconds; only a hang takes as long


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium here, and it could not be installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    covdist.report(odd_log(), path)
    return path


class Opened:
    """A page that is open, and all that it asked for and complained of."""

    def __init__(self, browser, path, **options):
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._browser, self._path, self._options = browser, path, options

    def __enter__(self):
        self._context = self._browser.new_context(**self._options)
        self.page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.goto(self._path.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=DRAWN)
        return self

    def __exit__(self, *_):
        self._context.close()

    def _said(self, message):
        if message.type not in ("info", "debug", "log"):
            self.complaints.append(message.text)


DAY, NIGHT = (1200, "light"), (1200, "dark")
SIZES = [DAY, NIGHT, (360, "light"), (360, "dark")]


@pytest.fixture(scope="module")
def opened(request, browser, odd):
    """The odd log's page at a width and in colours, which tests share."""
    width, colours = request.param
    phone = {"is_mobile": True, "has_touch": True} if width < 500 else {}
    with Opened(browser, odd, viewport={"width": width, "height": 900}, color_scheme=colours, **phone) as found:
        yield found


@pytest.mark.parametrize("opened", SIZES, indirect=True)
def test_everything_is_drawn_and_nothing_fetched(opened, odd):
    count = opened.page.locator("figure").count()
    assert int(opened.page.locator("html").get_attribute("data-drawn")) == count > 15
    assert opened.page.locator("figure canvas").count() >= count
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    painted = opened.page.evaluate(
        """() => [...document.querySelectorAll("[data-figure]")].map(place => {
            const canvas = function* (node) {
                for (const each of node.querySelectorAll("*")) {
                    if (each.tagName === "CANVAS") yield each;
                    if (each.shadowRoot) yield* canvas(each.shadowRoot);
                }
            };
            for (const each of canvas(place)) {
                const data = each.getContext("2d").getImageData(0, 0, each.width, each.height).data;
                if (data.some(value => value > 0)) return true;
            }
            return false;
        })"""
    )
    assert all(painted)
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(("blob:", "data:"))] == [odd.as_uri()]


@pytest.mark.parametrize("opened", [DAY, NIGHT], indirect=True)
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # preload would copy styles to where the policy forbids them
    found = axe.Axe().run(opened.page, options={"preload": False})
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []


@pytest.mark.parametrize("opened", [DAY], indirect=True)
def test_hover_says_names_as_they_are_and_a_drag_zooms(opened):
    place = opened.page.locator("figure", has_text="Correlation of 6 columns").first.locator(".drawing")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(at[0] - 5, at[1] - 5)
    opened.page.mouse.move(*at, steps=4)
    tooltip = opened.page.locator(".bk-tooltip-content").first
    tooltip.wait_for(timeout=DRAWN)
    assert "correlation" in tooltip.inner_text()
    assert "</script>" in tooltip.inner_text()

    columns = """place => {
        const found = Bokeh.index.roots.find(each => place.contains(each.el)).model;
        return found.x_range.end - found.x_range.start;
    }"""
    assert place.evaluate(columns) == 6
    opened.page.mouse.move(at[0] - 60, at[1] - 60)
    opened.page.mouse.down()
    opened.page.mouse.move(at[0] + 60, at[1] + 60, steps=5)
    opened.page.mouse.up()
    opened.page.wait_for_function(f"place => ({columns})(place) < 5", arg=place.element_handle(), timeout=DRAWN)
    assert opened.complaints == []


@pytest.mark.parametrize("opened", [DAY], indirect=True)
def test_colours_follow_the_system_and_paper_is_white(opened):
    """The ink of an axis, as it is painted: black on white where a page is printed in the evening."""
    opened.page.evaluate(
        """() => {
            const view = Bokeh.index.roots[0], paint = view.repaint.bind(view);
            window.inks = [];
            view.repaint = () => { inks.push(view.model.below[0].major_label_text_color); paint(); };
        }"""
    )
    page = opened.page
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => inks.includes('#e4e7eb')", timeout=DRAWN)
    page.evaluate("inks.length = 0")
    page.pdf()
    page.wait_for_function("() => inks.at(-1) === '#e4e7eb'", timeout=DRAWN)  # it is dark again on the screen
    assert "#1f2933" in page.evaluate("inks")
    page.emulate_media(color_scheme="light")
    page.wait_for_function("() => inks.at(-1) === '#1f2933'", timeout=DRAWN)
    assert opened.complaints == []


def test_long_names_that_begin_alike_are_told_apart(browser, tmp_path):
    names = [f"model/encoder/layers/{number}/attention/query/linear" for number in range(3)]
    states = {f"{name}/gradient": covdist.moments(rows(n), state="variances") for n, name in enumerate(names)}
    covdist.report(states, tmp_path / "report.html")
    with Opened(browser, tmp_path / "report.html", viewport={"width": 360, "height": 800}) as opened:
        labels = opened.page.evaluate(
            "() => [...Bokeh.index.roots[0].model.below[0].major_label_overrides.values()].map(each => each.text)"
        )
    assert labels == ["…ayers/0/attent…", "…ayers/1/attent…", "…ayers/2/attent…"]


def test_twenty_layers_of_1024_units(browser, tmp_path):
    activation = covdist.moments(rows(0, 1024, 300)).compute()
    gradient = covdist.moments(rows(1, 1024), by=np.repeat(np.arange(9), 10), state="variances").compute()
    states = {}
    for number in range(20):
        states |= {f"layer{number}/activation": activation, f"layer{number}/gradient": gradient}
    covdist.report(states, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    with Opened(browser, tmp_path / "report.html") as opened:
        assert int(opened.page.locator("html").get_attribute("data-drawn")) == 64
        assert opened.complaints == []

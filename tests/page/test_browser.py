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


SIZES = [(1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_everything_is_drawn_and_nothing_fetched(browser, odd, width, scheme):
    phone = {"is_mobile": True, "has_touch": True} if width < 500 else {}
    viewport = {"width": width, "height": 800}
    with Opened(browser, odd, viewport=viewport, color_scheme=scheme, **phone) as opened:
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(browser, odd, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with Opened(browser, odd, color_scheme=scheme) as opened:
        # preload would copy styles to where the policy forbids them
        found = axe.Axe().run(opened.page, options={"preload": False})
        serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []


def test_twenty_layers_of_1024_units(browser, tmp_path):
    states = {}
    for number in range(20):
        states[f"layer{number}/activation"] = covdist.moments(rows(number, 1024, 1500))
        by = np.repeat(np.arange(9), 10)
        states[f"layer{number}/gradient"] = covdist.moments(rows(number, 1024), by=by, state="variances")
    covdist.report(states, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    with Opened(browser, tmp_path / "report.html") as opened:
        assert int(opened.page.locator("html").get_attribute("data-drawn")) == 64
        assert opened.complaints == []


def test_hover_says_names_as_they_are_and_a_drag_zooms(browser, odd):
    with Opened(browser, odd, viewport={"width": 1200, "height": 900}) as opened:
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

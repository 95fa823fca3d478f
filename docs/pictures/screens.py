"""Makes the pictures of pages from the demo's log by Chromium and playwright: ``python docs/pictures/screens.py``."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

import covdist
from covdist.demo import run

HERE = Path(__file__).resolve().parent
SCREENS = {"report": (900, 1140, "light"), "report-phone": (360, 900, "dark")}  # width, height, colours


def screenshot(browser: Browser, page: Path, name: str, width: int, height: int, colours: str) -> None:
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours) as context:
        opened = context.new_page()
        opened.goto(page.as_uri())
        opened.wait_for_selector("html[data-drawn]")
        opened.screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    # Within the folder, as the page shows the path that the log was opened by.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), sync_playwright() as playwright:
        run(Path("demo"), Console(quiet=True))
        covdist.report("demo/vanishing.zarr", page := Path(folder) / "report.html")
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, colours) in SCREENS.items():
            screenshot(chromium, page, name, width, height, colours)
        chromium.close()

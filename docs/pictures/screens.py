"""Makes the pictures of pages by Chromium and playwright: ``python docs/pictures/screens.py``.

The report is of the demo's log; the dashboard, of a job that runs.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

import covdist
from covdist.demo import run

HERE = Path(__file__).resolve().parent
REPORTS = {"report": (900, 1140, "light"), "report-phone": (360, 900, "dark")}  # width, height, colours


def screenshot(browser: Browser, url: str, drawn: str, name: str, width: int, height: int, colours: str) -> None:
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours) as context:
        opened = context.new_page()
        opened.goto(url)
        opened.wait_for_selector(drawn)
        time.sleep(1)  # for what is drawn after that
        opened.screenshot(path=HERE / f"{name}.png")


def reports(browser: Browser) -> None:
    run(Path("demo"), Console(quiet=True))
    covdist.report("demo/vanishing.zarr", page := Path("report.html").resolve())
    for name, (width, height, colours) in REPORTS.items():
        screenshot(browser, page.as_uri(), "html[data-drawn]", name, width, height, colours)


def dashboard(browser: Browser) -> None:
    rng = np.random.default_rng(0)
    with covdist.Recorder("run.zarr") as recorder:
        for step in range(100):
            rows = rng.standard_normal((1000, 1024), dtype=np.float32)
            recorder.log(step, {f"fc{layer}/activation": rows for layer in (1, 2, 3, 4)})
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="1GiB", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        job = covdist.submit("run.zarr", output="out.zarr", client=client)
        while job.status()["folded"] < 6:
            time.sleep(0.1)
        url = cluster.dashboard_link.replace("/status", "/covdist")
        screenshot(browser, url, ".bk-Figure", "dashboard", 1000, 320, "light")
        job.wait()


if __name__ == "__main__":
    # Within the folder, as the page shows the path that the log was opened by.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        reports(chromium)
        dashboard(chromium)
        chromium.close()

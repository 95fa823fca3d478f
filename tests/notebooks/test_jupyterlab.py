"""The quickstart in a real JupyterLab: opened, run and looked at through a browser, and nothing of it stays."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple
from urllib.request import urlopen

import psutil
import pytest

from . import notebooks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

pytest.importorskip("jupyterlab")
NotJSONError = pytest.importorskip("nbformat.reader").NotJSONError
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OUTPUTS = ".jp-OutputArea-output"

# All cells are in the page at once, and the server asks nothing of the network.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class Server(NamedTuple):
    process: psutil.Popen
    address: str
    token: str


@contextmanager
def jupyterlab(work, state):
    """A server of the folder ``work`` that keeps all else in ``state``."""
    for name, values in SETTINGS.items():
        path = state / "lab" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    (state / "tmp").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    kept = {
        "HOME": "home",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
    }
    kept |= {"JUPYTERLAB_SETTINGS_DIR": "lab", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}
    environment = {**os.environ, "JUPYTER_TOKEN": token, "TMPDIR": str(state / "tmp"), "OMP_NUM_THREADS": "1"}
    environment |= {name: str(state / folder) for name, folder in kept.items()}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--notebook-dir={work}"]
    with (state / "server.log").open("w") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{address}/api/status?token={token}"), "JupyterLab to start", 120)
        yield Server(process, address, token)
    finally:
        family = [process, *process.children(recursive=True)] if process.is_running() else []
        process.terminate()  # it ends its kernels first
        _, alive = psutil.wait_procs(family, timeout=60)
        for each in alive:
            each.kill()
    assert not alive, f"JupyterLab left {alive} behind"


def answers(url):
    try:
        with urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def wait_for(condition, what, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.2)


@contextmanager
def page_of(server, path):
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"{server.address}/lab/tree/{path.name}?token={server.token}")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell")
            yield page
        finally:
            browser.close()


def choose(page, menu, item):
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-item:not(.lm-mod-disabled)", has_text=item).first.click()


def last_run(path):
    """Return the number of the last cell's run; None while the notebook is being written."""
    try:
        return notebooks.read(path).cells[-1].execution_count
    except NotJSONError:
        return None


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_quickstart_in_jupyterlab(tmp_path):
    work, state = tmp_path / "work", tmp_path / "state"
    work.mkdir()
    state.mkdir()
    path = shutil.copy(notebooks.QUICKSTART, work / notebooks.QUICKSTART.name)
    amount = sum(cell.cell_type == "code" for cell in notebooks.read(path).cells)
    with jupyterlab(work, state) as server, page_of(server, path) as page:
        page.wait_for_selector("#jp-main-statusbar >> text=/Idle/")  # before that there is no kernel to run anything
        choose(page, "Run", "Run All Cells")
        started = page.locator(".jp-CodeCell .jp-InputPrompt").first
        playwright.expect(started).not_to_have_text("[ ]:", timeout=120_000)
        last = page.locator(".jp-CodeCell .jp-InputPrompt").last
        playwright.expect(last).to_have_text(f"[{amount}]:", timeout=300_000)

        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        assert prompts == [f"[{number}]:" for number in range(1, amount + 1)]
        errors = page.locator(f'{OUTPUTS}[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.all_inner_texts() == []
        pictures = page.locator(f"{OUTPUTS} img:visible")
        widths = pictures.evaluate_all("images => images.map(image => image.naturalWidth)")
        assert len(widths) >= 2
        assert min(widths) > 0
        assert page.locator(f"{OUTPUTS} .xr-wrap").count() >= 2  # a tree and an array
        assert (
            page.locator(OUTPUTS, has_text="covdist.Moments")
            .or_(page.locator(OUTPUTS, has_text="Moments of 12,000 rows"))
            .count()
        )
        choose(page, "File", "Save Notebook")
        wait_for(lambda: last_run(path) == amount, "the notebook to be saved", 60)
        page.set_viewport_size({"width": 1280, "height": 4800})
        page.locator(".jp-Cell").first.scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / "quickstart.png")
    if kept := os.environ.get("COVDIST_SCREENSHOTS"):
        shutil.copy(tmp_path / "quickstart.png", kept)
    assert (tmp_path / "quickstart.png").stat().st_size > 100_000
    assert {each.name for each in work.iterdir()} <= {path.name, ".ipynb_checkpoints"}
    assert not list((state / "tmp").glob("covdist-*"))

"""The page of jobs in the cluster's dashboard: fed by drivers, and never in their way."""

from __future__ import annotations

import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import covdist
from covdist.engine.plan import Work, make_plan
from covdist.jobs.dashboard import reporter
from covdist.jobs.dashboard.board import Board
from covdist.jobs.dashboard.news import JobNews, LayerProgress, news_of
from covdist.jobs.dashboard.serving import PAGE
from covdist.jobs.machine.machine import Machine
from covdist.jobs.machine.tree import MergeTree, Node

from .clusters import until

PLAN = make_plan(Work(100, 1, "64", 512, 51200, 4096.0, 20000))
PROGRESS = {"status": "running", "shards": 320, "folded": 132, "per_second": 1.25, "seconds_left": 150.4}
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def machine(*shards: int, done: int = 0) -> Machine:
    """Return a machine with trees of so many shards, of which the first are on disk."""
    trees = [MergeTree(number, count, 16, 1) for number, count in enumerate(shards)]
    return Machine(trees, saved={Node(number, 0, 1) for number in range(done)})


def news(job: str = "j", **changed: object) -> JobNews:
    layers = LayerProgress("fc1", 4, 4), LayerProgress("fc2", 1, 4)
    return JobNews(job, "run.zarr", PROGRESS | changed, layers, 400 << 20, 100 << 20)


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(0)
    rows = xr.Dataset({"activation": (("sample", "unit"), rng.normal(size=(12, 3)))})
    arrays = {"fc1": rows, "fc2": rows}
    xr.DataTree.from_dict({"/": xr.Dataset(), **arrays}).to_zarr(tmp_path / "log.zarr", zarr_format=2)
    return tmp_path / "log.zarr"


def test_layers_add_up():
    found = news_of("j", "log", ["fc1", "fc1", "fc2"], [PLAN], PROGRESS, machine(2, 3, 1, done=2))
    assert found.layers == (LayerProgress("fc1", 2, 5), LayerProgress("fc2", 0, 1))
    assert found.peak_bytes == PLAN.peak_bytes


def test_of_many_layers_those_are_told_that_are_not_done():
    labels = [f"w{i}" for i in range(100)]
    found = news_of("j", "log", labels, [PLAN], PROGRESS, machine(*[1] * 100, done=50)).layers
    assert len(found) == 40
    assert [each.name for each in found[:-1]] == labels[50:89]
    assert found[-1] == LayerProgress("61 others", 50, 61)
    assert sum(each.shards for each in found) == 100


def test_names_are_as_people_are_to_see_them():
    found = news_of("j", HOSTILE, [HOSTILE], [PLAN], PROGRESS, machine(1))
    assert found.layers[0].name == found.log == r"<script>alert(1)</script>\x1b[31m"


def test_a_board_forgets_old_jobs():
    board = Board()
    for number in range(20):
        board.take(news(f"{number}"))
    board.take(news("15"))
    assert list(board.news) == ["12", "13", "14", "16", "17", "18", "19", "15"]
    assert board.heard.keys() == board.news.keys()


def said_without_dashboard(log, place, monkeypatch) -> list[str]:
    said = list[str]()
    monkeypatch.setattr(reporter, "_log", SimpleNamespace(info=lambda form, text: said.append(text)))
    options = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with Client(processes=False, n_workers=1, threads_per_worker=1, **options) as client:
        job = covdist.submit(log, job=place, client=client).wait()
        until(lambda: said)  # after the result is there
    assert job.status()["status"] == "done"
    return said


def test_without_a_dashboard_a_job_runs_on_and_says_so(log, tmp_path, monkeypatch):
    (said,) = said_without_dashboard(log, tmp_path / "job", monkeypatch)
    assert "watch the job with `covdist status`" in said


def test_a_scheduler_that_takes_no_news_stops_no_job(log, tmp_path, monkeypatch):
    monkeypatch.setattr(reporter, "take", _refuse)
    (said,) = said_without_dashboard(log, tmp_path / "job", monkeypatch)
    assert "took no news" in said


def _refuse(news, dask_scheduler):
    raise ModuleNotFoundError("covdist")


# ---- the page


def view(board: Board, memory: int = 1 << 20):
    page = pytest.importorskip("covdist.jobs.dashboard.page", reason="bokeh is missing", exc_type=ImportError)
    worker = SimpleNamespace(name=0, nthreads=2, memory_limit=1 << 30, metrics={"memory": memory})
    found = page.JobsView(board, SimpleNamespace(workers={"a": worker}))
    found.update()
    return found


def test_a_page_shows_jobs_that_run():
    board = Board()
    board.take(news("done", status="done"))
    board.take(news())
    found = view(board)
    assert "running, 132 of 320 shards (41%), 1.25 a second, about 3 min left" in found.head.text
    assert "400 MiB" in found.head.text
    assert found.layers.data == {"name": ["fc1", "fc2"], "share": [1.0, 0.25], "said": ["4 of 4", "1 of 4"]}
    assert found.memory.data["plan"] == [500 << 20]  # of two threads


def test_a_page_shows_the_last_job_where_none_runs():
    board = Board()
    assert not view(board).head.text
    for job in ("a", "b"):
        board.take(news(job, status="failed", reason="disk on fire"))
    found = view(board)
    assert "job b): failed, 132 of 320 shards (41%): disk on fire." in found.head.text
    assert "job a" not in found.head.text


def test_a_page_says_where_nothing_is_heard():
    board = Board()
    board.take(news())
    board.heard["j"] -= 30
    assert "nothing was heard of it for 30 s" in view(board).head.text


def test_two_jobs_may_have_layers_of_one_name_and_memory_may_outgrow_its_plan():
    board = Board()
    board.take(news("a"))
    board.take(news("b"))
    found = view(board, 600 << 20)
    assert found.layers.data["name"] == ["fc1", "fc2", "fc1′", "fc2′"]
    assert found.memory.data["colour"] == ["#c53030"]


def test_names_break_no_page():
    board = Board()
    board.take(news()._replace(log="<script>", layers=(LayerProgress("<script>", 0, 0),)))
    assert "<script>" not in view(board).head.text


@pytest.mark.slow
def test_the_dashboard_of_a_cluster_has_the_page(log, tmp_path):
    pytest.importorskip("bokeh")
    from bokeh.client import pull_session

    with Client(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        for number in range(2):  # the second finds the page
            job = covdist.submit(log, job=tmp_path / f"job{number}", client=client).wait()
            until(lambda: job.id in client.run_on_scheduler(_known))  # noqa: B023
        client.run_on_scheduler(_tell_hostile)
        link = client.dashboard_link.removesuffix("status") + PAGE
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200
            page = answer.read().decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page
        assert "fc2" in page
        with pull_session(url=link) as session:
            head = session.document.roots[0].children[0].text
        assert "running, 132 of 320 shards" in head
        with urllib.request.urlopen(client.dashboard_link) as answer:  # and dask's own are there
            assert answer.status == 200


def _tell_hostile(dask_scheduler):
    board = dask_scheduler.extensions[PAGE]
    board.take(news()._replace(layers=(LayerProgress(HOSTILE, 0, 1), LayerProgress("fc2", 0, 1))))


def _known(dask_scheduler):
    return list(dask_scheduler.extensions.get(PAGE, Board()).news)

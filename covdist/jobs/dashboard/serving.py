"""``take``: what a driver has the scheduler do with its news; runs in the scheduler's process."""

from __future__ import annotations

from functools import partial
from typing import Any

from covdist.jobs.dashboard.board import Board
from covdist.jobs.dashboard.news import JobNews

PAGE = "covdist"  # its path in the dashboard


def take(news: JobNews, dask_scheduler: Any) -> str:
    """Keep news of a job, and return why no page shows them; empty where one does."""
    board = dask_scheduler.extensions.get(PAGE)
    if board is None:
        board = dask_scheduler.extensions[PAGE] = Board()
        board.missing = _served(board, dask_scheduler)
    board.take(news)
    return str(board.missing)


def _served(board: Board, scheduler: Any) -> str:
    """Add the page beside dask's own, in the way in which these are added."""
    pages = [each for each in scheduler.http_application.applications if hasattr(each, "app_paths")]
    if not pages:
        return (
            "the scheduler has no dashboard, so none shows this job: start it with one, which takes bokeh "
            "(pip install 'covdist[dashboard]'), or watch the job with `covdist status`"
        )
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables

    from covdist.jobs.dashboard.page import document  # needs bokeh

    variables = template_variables(scheduler)
    show = {f"/{PAGE}": partial(document, board)}
    page = BokehApplication(show, scheduler, prefix=pages[0].prefix, template_variables=variables)
    scheduler.http_application.add_application(page)
    page.initialize(scheduler.io_loop)
    page.start()
    return ""

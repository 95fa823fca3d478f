"""``Reporter``: tells the scheduler how far a job is, and makes it show that; the job runs on whatever comes of it."""

from __future__ import annotations

import logging
import math
import threading
import time

from distributed import Client

from covdist.jobs.dashboard.news import JobNews, news_of
from covdist.jobs.dashboard.serving import take
from covdist.jobs.driver import Driver
from covdist.jobs.trees import JobPlan

_SECONDS = 1.0  # between two reports
_PATIENCE = 2.0  # with the last one
_log = logging.getLogger(__name__)


class Reporter:
    """Reports from a thread of its own, one at a time: a scheduler that is slow to answer delays no fold."""

    def __init__(self, client: Client, job: str, plan: JobPlan):
        self._client = client
        self._about = job, plan.question["log"], plan.labels, list(plan.plans.values())
        self._thread: threading.Thread | None = None
        self._due, self._said = time.monotonic() + _SECONDS, ""  # a short job is told of when it has ended

    def tell(self, driver: Driver) -> None:
        """Report unless that was done a moment ago."""
        if time.monotonic() >= self._due and not (self._thread is not None and self._thread.is_alive()):
            self._due = time.monotonic() + _SECONDS
            self._start(driver)

    def tell_last(self, driver: Driver) -> None:
        """Report how the job has ended."""
        self._wait()
        if self._due < math.inf:
            self._start(driver)
            self._wait()

    def _start(self, driver: Driver) -> None:
        news = news_of(*self._about, driver.progress(), driver.machine)
        # As a daemon: where the scheduler is gone, nobody waits for an answer.
        self._thread = threading.Thread(target=self._send, args=(news,), name="covdist-dashboard", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _send(self, news: JobNews) -> None:
        try:
            said = self._client.run_on_scheduler(take, news)
        except Exception as error:  # whatever a scheduler has against it, such as no covdist where it runs
            said = f"the scheduler took no news of the job ({type(error).__name__}: {error})"
            self._due = math.inf  # it would log each of them
        if said and said != self._said:
            _log.info("%s", said)
        self._said = said

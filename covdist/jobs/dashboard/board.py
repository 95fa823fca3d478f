"""``Board``: the jobs that a scheduler was told of."""

from __future__ import annotations

import time

from covdist.jobs.dashboard.news import JobNews

_MOST = 8  # jobs


class Board:
    """News by job, the last told behind the others."""

    def __init__(self) -> None:
        self.news: dict[str, JobNews] = {}
        self.heard: dict[str, float] = {}  # when, by time.monotonic
        self.missing = ""  # why no page shows them

    def take(self, news: JobNews) -> None:
        self.news.pop(news.job, None)
        self.news[news.job], self.heard[news.job] = news, time.monotonic()
        for job in list(self.news)[:-_MOST]:
            del self.news[job], self.heard[job]

    def silence(self, job: str) -> float:
        """Return for how many seconds nothing was heard of a job."""
        return time.monotonic() - self.heard[job]

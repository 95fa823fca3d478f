"""Jobs as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from covdist.errors import shown
from covdist.jobs.job import JobStatus


def jobs_table(statuses: Iterable[JobStatus]) -> Table:
    table = Table("folder", "job", "status", "shards", "left", "log")
    for status in statuses:
        folder = status["path"].rsplit("/", 1)[-1]
        table.add_row(
            shown(folder), status["job"], status["status"], _progress(status), _left(status), shown(status["log"])
        )
    return table


def job_table(status: JobStatus) -> Table:
    """Return a table with one row per fact, and one for each of the last failures."""
    table = Table(show_header=False)
    rate, most = status["per_second"], status["iterations"]
    facts = {
        "job": status["job"], "status": status["status"],
        "iteration": f"{status['iteration']} of at most {most}" if most else "", "shards": _progress(status),
        "rate": f"{rate:.3g} shards a second" if rate else "", "left": _left(status), "driver": status["owner"] or "",
        "reason": status["reason"], "log": status["log"], "folder": status["path"],
    }  # fmt: skip
    for name, value in facts.items():
        if value:
            table.add_row(name, shown(value, 300))
    for failure in status["failures"][-5:]:
        said = f"{failure.get('task', '?')}: {failure.get('reason', 'a checkpoint was damaged')}"
        table.add_row("tried again", shown(said, 1600))
    return table


def _progress(status: JobStatus) -> str:
    share = status["folded"] / status["shards"] if status["shards"] else 1.0
    return f"{status['folded']:,} of {status['shards']:,} ({share:.0%})"


def _left(status: JobStatus) -> str:
    seconds = status["seconds_left"]
    if status["status"] != "running" or seconds is None:
        return ""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"

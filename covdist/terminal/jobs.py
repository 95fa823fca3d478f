"""Jobs as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from covdist.errors import shown
from covdist.jobs.job import JobStatus
from covdist.terminal.columns import TableRow, columns, facts


def jobs_table(statuses: Iterable[JobStatus]) -> str:
    rows = [
        TableRow(
            each["path"].rsplit("/", 1)[-1],
            (each["job"], each["status"], _progress(each), _left(each), shown(each["log"])),
        )
        for each in statuses
    ]
    return columns("folder", ("job", "status", "shards", "left", "log"), rows) if rows else "no jobs"


def job_table(status: JobStatus) -> str:
    """Lay out one line per fact, and one for each of the last failures."""
    return facts(job_facts(status))


def job_facts(status: JobStatus) -> list[tuple[str, str]]:
    """Return what is known of a job, by what it is called, and its last failures."""
    rate, most = status["per_second"], status["iterations"]
    found = {
        "job": status["job"], "status": status["status"],
        "iteration": f"{status['iteration']} of at most {most}" if most else "", "shards": _progress(status),
        "rate": f"{rate:.3g} shards a second" if rate else "", "left": _left(status), "driver": status["owner"] or "",
        "reason": status["reason"], "log": status["log"], "folder": status["path"],
    }  # fmt: skip
    pairs = [(name, shown(value, 300)) for name, value in found.items() if value]
    for failure in status["failures"][-5:]:
        said = f"{failure.get('task', '?')}: {failure.get('reason', 'a checkpoint was damaged')}"
        pairs.append(("tried again", shown(said, 1600)))
    return pairs


def _progress(status: JobStatus) -> str:
    share = status["folded"] / status["shards"] if status["shards"] else 1.0
    return f"{status['folded']:,} of {status['shards']:,} ({share:.0%})"


def _left(status: JobStatus) -> str:
    seconds = status["seconds_left"]
    if status["status"] != "running" or seconds is None:
        return ""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"

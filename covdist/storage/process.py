"""A name for this process, with which others on its machine can find out whether it still runs."""

from __future__ import annotations

import os
from pathlib import Path

_START = 19  # of the fields after the command's name in /proc/PID/stat: when the process began


def here() -> str:
    """Return boot, namespace, number and start time of this process; an empty string on systems without /proc."""
    try:
        return f"{_machine()} {os.getpid()} {_started(os.getpid())}"
    except OSError:
        return ""


def dead(name: str) -> bool:
    """Return whether a process has certainly ended; always False for another machine's or container's."""
    try:
        machine, process, started = name.rsplit(" ", 2)
        if machine != _machine():
            return False
        os.kill(int(process), 0)  # finds processes of other users, which /proc may hide
        return _started(int(process)) != started  # another process has the number now
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # no /proc here, or no name
        return False


def _machine() -> str:
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"


def _started(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[_START]

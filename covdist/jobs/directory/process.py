"""A name for this process, by which others on its machine can ask whether it lives."""

from __future__ import annotations

import os
from pathlib import Path

_START = 19  # of the fields after the command's name in /proc/PID/stat: when the process began


def here() -> str:
    """Return the name: boot, namespace, number and start of this process; nothing where the system has no /proc."""
    try:
        return f"{_machine()} {os.getpid()} {_started(os.getpid())}"
    except OSError:
        return ""


def dead(name: str) -> bool:
    """Say whether a process has certainly ended; never of one on another machine, or in another container."""
    try:
        machine, process, started = name.rsplit(" ", 2)
        if machine != _machine():
            return False
        os.kill(int(process), 0)  # unlike /proc, it hides no process of another user
        return _started(int(process)) != started  # the number has been given to another
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # no /proc here, or there
        return False


def _machine() -> str:
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"


def _started(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[_START]

"""Work of a moment, by processes that are forked."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

# In a process of its own, which has no other threads.
SCRIPT = """
import os, sys
from covdist.engine import forked
from covdist.errors import ClusterError, DataError

forked.CPU_COUNT = 2

def work(number):
    if number == 13:
        raise DataError("13 is refused")
    if number == 14:
        os._exit(9)
    return number, os.getpid()

unsent = [lambda number=number: number for number in range(12)]  # that cannot be pickled
assert list(forked.spread(lambda given: given(), unsent, 6)) == list(range(12))
found = list(forked.spread(work, range(12), 6))
assert [number for number, _ in found] == list(range(12))
assert os.getpid() not in {process for _, process in found}
assert {process for _, process in forked.spread(work, range(11), 6)} == {os.getpid()}
for given, error in ((range(14), DataError), ([*range(10), 14, 15], ClusterError)):
    try:
        list(forked.spread(work, given, 6))
    except error as said:
        print(said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_in_order_from_other_processes_with_their_errors():
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    refused, killed = done.stdout.splitlines()
    assert refused == "13 is refused"
    assert killed.startswith("a process that folded small arrays was killed")


def test_beside_another_thread_nothing_is_forked(monkeypatch):
    from covdist.engine import forked

    monkeypatch.setattr(forked, "ProcessPoolExecutor", None)
    monkeypatch.setattr(forked, "CPU_COUNT", 2)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert list(forked.spread(str, range(4), 1)) == ["0", "1", "2", "3"]
    finally:
        done.set()
        thread.join()

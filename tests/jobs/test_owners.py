"""One owner at a time, also where several try at once."""

from __future__ import annotations

import multiprocessing
import queue
import subprocess
import threading
from typing import Any

import pytest

from covdist.errors import JobError
from covdist.jobs.directory.directory import Directory
from covdist.storage.lease import Lease, next_lease
from covdist.storage.process import dead, here

RACES = 20


@pytest.fixture(params=["folder", "memory://"])
def directory(request, tmp_path):
    return Directory(str(tmp_path / "job") if request.param == "folder" else f"memory://{tmp_path}/job")


def test_a_second_driver_is_told_who_owns_the_job(directory):
    lease = directory.owners.acquire(100.0, 30.0)
    with pytest.raises(JobError, match=r"driven by .* \(process \d+\).* ends in 20 seconds") as refused:
        directory.owners.acquire(110.0, 30.0)
    assert lease.owner in str(refused.value)
    with pytest.raises(JobError, match="ends in 20 seconds"):
        directory.owners.check_free(110.0)


def test_a_lease_that_is_renewed_lasts(directory):
    lease = directory.owners.acquire(100.0, 30.0)
    assert directory.owners.renew(lease, 125.0, 30.0).until == 155.0
    with pytest.raises(JobError, match="driven by"):
        directory.owners.acquire(140.0, 30.0)


def test_an_expired_lease_is_taken_over_and_the_old_owner_hears_of_it(directory):
    old = directory.owners.acquire(100.0, 30.0)
    new = directory.owners.acquire(130.0, 30.0)
    assert (old.term, new.term) == (1, 2)
    assert directory.owners.renew(old, 131.0, 30.0) is None
    assert directory.owners.renew(new, 131.0, 30.0) is not None
    directory.owners.release(old)  # changes nothing
    assert not directory.owners.current().released


def test_a_lease_can_be_stolen(directory):
    old = directory.owners.acquire(100.0, 30.0)
    assert directory.owners.acquire(101.0, 30.0, steal=True).term == 2
    assert directory.owners.renew(old, 102.0, 30.0) is None


def test_a_lease_given_back_is_free_at_once(directory):
    directory.owners.check_free(100.0)
    directory.owners.release(directory.owners.acquire(100.0, 30.0))
    directory.owners.check_free(101.0)
    assert directory.owners.acquire(101.0, 30.0).term == 2


def test_cancelling_reaches_the_owner_there_is_and_not_the_next(directory):
    assert not directory.ask_to_cancel()
    first = directory.owners.acquire(100.0, 30.0)
    assert not directory.cancelled(first)
    assert directory.ask_to_cancel()
    assert directory.cancelled(first)
    directory.owners.release(first)
    assert not directory.ask_to_cancel()
    assert not directory.cancelled(directory.owners.acquire(101.0, 30.0))


def test_a_damaged_lease_is_over(tmp_path):
    directory = Directory(tmp_path)
    directory.owners.acquire(100.0, 30.0)
    (tmp_path / "lease" / "000001.json").write_text("{")
    assert directory.owners.acquire(101.0, 30.0).term == 2


def test_an_owner_that_has_died_on_this_machine_is_replaced_at_once(directory):
    directory.owners.acquire(100.0, 30.0, process=gone())
    assert directory.owners.acquire(101.0, 30.0, process=here()).term == 2
    with pytest.raises(JobError, match="driven by"):  # this process lives
        directory.owners.acquire(102.0, 30.0)


def test_of_a_lease_that_nobody_has_taken_over_yet_nothing_is_known(directory):
    directory.owners.acquire(100.0, 30.0)
    with pytest.raises(JobError, match="driven by"):
        directory.owners.acquire(101.0, 30.0)


def gone() -> str:
    """The name of a process that ended."""
    child = subprocess.Popen(["sleep", "0"])
    child.wait()
    boot, space, _, started = here().split()
    return f"{boot} {space} {child.pid} {started}"


def test_who_is_dead():
    boot, space, process, started = here().split()
    assert not dead(here())
    assert dead(gone())
    assert dead(f"{boot} {space} {process} {int(started) + 1}")  # the number was given anew
    _, _, absent, _ = gone().split()
    for other in (f"another {space} {absent} 1", f"{boot} 1 {absent} 1", ""):  # a machine, a container, a system
        assert not dead(other)


def test_the_rules():
    assert next_lease(None, "a", "n", 0.0, 10.0) == Lease(1, "a", "n", 10.0)
    held = Lease(4, "a", "n", 10.0)
    assert next_lease(held, "b", "m", 9.9, 10.0) is None
    assert next_lease(held, "b", "m", 10.0, 10.0) == Lease(5, "b", "m", 20.0)
    assert [held.due(now, 9.0) for now in (3.9, 4.0)] == [False, True]


# ---- races


def race(path: str, barrier: Any, won: Any) -> None:
    """Try to own each of many directories at the same moment as the others."""
    for number in range(RACES):
        directory = Directory(f"{path}/{number}")
        barrier.wait(200)
        try:
            lease = directory.owners.acquire(100.0, 30.0)
        except JobError:
            continue
        won.put((number, lease.nonce))


def winners(won: Any, path: str) -> None:
    found = sorted(won.get(timeout=200) for _ in range(RACES))
    assert [number for number, _ in found] == list(range(RACES))
    for number, nonce in found:
        assert Directory(f"{path}/{number}").owners.current().nonce == nonce


def test_threads_race(tmp_path):
    barrier, won = threading.Barrier(4), queue.SimpleQueue()
    threads = [threading.Thread(target=race, args=(str(tmp_path), barrier, won)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    winners(won, str(tmp_path))
    assert won.empty()


def test_processes_race(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(3), context.Queue()
    processes = [context.Process(target=race, args=(str(tmp_path), barrier, won)) for _ in range(3)]
    for process in processes:
        process.start()
    winners(won, str(tmp_path))
    for process in processes:
        process.join(200)
        assert process.exitcode == 0
    assert won.empty()

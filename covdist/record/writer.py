"""``Writer``: a thread that stores full chunks while training goes on."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from covdist.record.chunks import Chunk, chunk_memory
from covdist.record.lent import Lent, copy_all
from covdist.record.memory import populate
from covdist.record.newest import Newest
from covdist.record.refused import ended

_SMALL = 64 << 10  # bytes that are written as soon as they are handed over
_LENT = 2  # times the room are the bytes that may wait to be copied

Job = Callable[[], None]


class _Waiting(NamedTuple):
    jobs: list[Job]
    nbytes: int  # of chunks that they store
    lent: int  # bytes that they copy


class Writer:
    """Does jobs in the order in which they are given, and after one that fails no others.

    The chunks that wait, and the memory kept to be filled again, take ``room`` bytes at most. Memory is used again
    because its first touch costs as much as writing it to a file.
    """

    def __init__(self, path: str | os.PathLike[str], least: int, check: Job):
        self._path = path
        self.room = self._least = least
        self._before = check  # of each job
        self._jobs: deque[_Waiting] = deque()  # the first is being done
        self._waiting = self._lent = 0  # bytes of chunks of the jobs, and of rows that they copy
        self._next: list[tuple[Lent, Chunk, int]] = []  # rows that the next job begins with copying
        self._spare: dict[int, list[np.ndarray]] = {}  # memory that is kept, by size
        self._kept = 0  # bytes of it
        self.ahead = False  # whether there is room for all pages of the memory that is used in part
        self._fresh: deque[np.ndarray] = deque()
        self.newest = Newest()
        self._error: BaseException | None = None
        self.slow = False  # whether the disk was, when a large chunk was written last
        self._awaited = self._ended = False
        self._last: Job | None = None
        self._lock = threading.RLock()
        self._done = threading.Condition(self._lock)  # when a job is
        self._patience = 0.0  # seconds that what ``go`` hands over may wait for ``begin``; 0: it does not
        self._woken: SimpleQueue[float | None] = SimpleQueue()  # seconds, then there are things to do; None: wait anew
        self._thread = threading.Thread(target=self._work, name="covdist-writer", daemon=True)
        self._thread.start()

    def take(self, left: int) -> None:
        """Have the room that full buffers leave, up to twice the least, since a step fills several chunks at once.

        What waits is lost when the process is killed.
        """
        self.room = max(self._least, min(left, 2 * self._least))
        self.ahead = left >= self._least

    @property
    def held(self) -> int:
        """Bytes of the chunks that wait or are kept."""
        return self._waiting + self._kept

    def submit(self, job: Job, nbytes: int) -> None:
        """Have a job done whose chunks have ``nbytes``: after ``go``, or now if they are few or take more room."""
        if threading.current_thread() is self._thread or not _SMALL <= nbytes <= self.room:
            self.wait()
            return job()
        self._queue([job], nbytes)

    def is_behind(self) -> bool:
        """Return whether rows come faster than a slow disk takes them."""
        return self.slow and self._awaited

    def borrow(self, rows: Lent, chunk: Chunk, start: int) -> None:
        """Have rows copied that nobody changes, before the next job or when ``go`` is called."""
        self._next.append((rows, chunk, start))

    def go(self) -> None:
        """Have the rows copied that are borrowed, as soon as few enough others wait for it, and wake the thread.

        Not before: it would take the interpreter's lock in turns with whoever hands over more at once. Nor where it
        will be told to begin: waking alone takes that lock, 0.03 ms of a step.
        """
        if self._next:
            self._queue([], 0)
        if not self._patience and (self._jobs or self._fresh):
            self.begin()

    def defer(self, most: float) -> None:
        """Let what is handed over wait for ``begin``, so many seconds at most."""
        self._patience = most
        self._woken.put(None if most else 0.0)

    def begin(self, after: float = 0.0) -> None:
        """Wake the thread, which begins after so many seconds."""
        self._woken.put(after)

    def _queue(self, jobs: list[Job], nbytes: int) -> None:
        copies, self._next = self._next, []
        lent = sum([rows.nbytes for rows, _, _ in copies])
        if copies:
            jobs = [partial(_copy, copies), *jobs]
        with self._lock:
            if not self._has_room(nbytes, lent):
                self._awaited = True
                self.begin()
                self._done.wait_for(lambda: self._has_room(nbytes, lent))
                self._awaited = False
            self.check()
            self._jobs.append(_Waiting(jobs, nbytes, lent))
            self._waiting += nbytes
            self._lent += lent

    def _has_room(self, nbytes: int, lent: int) -> bool:
        return self._waiting + nbytes <= self.room and (not self._lent or self._lent + lent <= _LENT * self.room)

    def wait(self) -> None:
        """Return when all jobs are done."""
        self.go()
        if self._jobs and threading.current_thread() is not self._thread:
            self.begin()
            with self._lock:
                self._done.wait_for(lambda: not self._jobs)
        self.check()

    def check(self) -> None:
        """Raise the error of a job that failed."""
        if isinstance(self._error, OSError):
            raise ended(self._path, self._error) from self._error
        if self._error:
            raise self._error

    def buffer(self, nbytes: int) -> tuple[np.ndarray, bool]:
        """Return memory for a chunk, and whether it has been used before; its size is such that others can use it.

        Of what is kept, too much is dropped here, not when a chunk begins to wait, since its column has no memory until
        it asks for some: a step of a conv net, 26 MB, took 9 MB of new memory then, and takes next to none now.
        """
        size = 1 << (nbytes - 1).bit_length()
        with self._lock:
            if self._spare.get(size):
                return self._take(size), True
            while self._kept and self.held > self.room:
                self._take(max(self._spare, key=lambda size: size * len(self._spare[size])))
        return chunk_memory(size), False

    def _take(self, size: int) -> np.ndarray:
        self._kept -= size
        return self._spare[size].pop()

    def populate(self, memory: np.ndarray) -> None:
        """Have the pages of memory ready before they are used, if there is time and room for it."""
        if self.ahead:
            self._fresh.append(memory)

    def keep(self, memory: np.ndarray) -> None:
        """Take the memory of a chunk that has been stored."""
        size = 1 << memory.nbytes.bit_length() - 1  # of rows, without what a frame takes
        with self._lock:
            self._spare.setdefault(size, []).append(memory)
            self._kept += size

    def drop(self) -> None:
        """Free the memory that is kept."""
        with self._lock:
            self._spare.clear()
            self._kept = 0

    def end(self) -> None:
        """Do what is waiting, and end the thread."""
        self._ended = True
        self.begin()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def finish(self, closing: Job) -> None:
        """Call what closes this writer, after its jobs if that is its own thread, where garbage may be collected."""
        if threading.current_thread() is not self._thread:
            return closing()
        self._last = closing
        self.begin()

    def _work(self) -> None:
        while jobs := self._first():
            try:
                self._do(jobs)
            except BaseException as error:
                self._error = error
            jobs = []
            self._end_first()
        if self._last:
            self._last()

    def _do(self, jobs: list[Job]) -> None:
        self._before()
        for job in jobs:
            job()

    def _first(self) -> list[Job]:
        while not (self._jobs or self._last or self._ended):
            if self._fresh:
                populate(self._fresh.popleft())
            else:
                self._wait_until_told()
        return self._jobs[0].jobs if self._jobs else []

    def _wait_until_told(self) -> None:
        with suppress(Empty):
            while (after := self._woken.get(timeout=self._patience or None)) is None:
                pass
            time.sleep(after)

    def _end_first(self) -> None:
        with self._lock:
            done = len(self._jobs) if self._error else 1
            for _ in range(done):
                _, nbytes, lent = self._jobs.popleft()
                self._waiting -= nbytes
                self._lent -= lent
            self._done.notify_all()


def _copy(borrowed: list[tuple[Lent, Chunk, int]]) -> None:
    copy_all([(rows, chunk.goal(start, start + len(rows))) for rows, chunk, start in borrowed])

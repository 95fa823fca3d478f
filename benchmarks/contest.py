"""One size: every contender in turn, again and again (A B C A B C), each result checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from distributed import Client

from benchmarks.alone import run_alone
from benchmarks.cluster import tidy
from benchmarks.data import Log, deviations, make
from benchmarks.limits import LIMITS
from benchmarks.peers import EXACT, Peer, Skipped, find_peers
from benchmarks.rows import OURS, Row
from benchmarks.watch import Watch

_WARM_ROWS = 64


class Setting(NamedTuple):
    case: str
    statistic: str
    log: Log
    scratch: Path
    repeats: int
    patience: float
    only: tuple[str, ...]  # module names; none means all


class Entry(NamedTuple):
    row: Row
    run: Callable[[], None]  # adds one measurement to the row


class Contest:
    """The contenders of one size on one cluster; ``tired`` are those too slow to be asked again."""

    def __init__(self, setting: Setting, client: Client, tired: set[str]) -> None:
        self.setting, self.client, self.tired = setting, client, tired
        self.workers = len(client.nthreads())
        self.path = make(setting.log, setting.scratch)
        self.reference = setting.scratch / "reference.npy"
        self.reference.unlink(missing_ok=True)
        self.result = setting.scratch / "result.npy"

    def rows(self, say: Callable[[str], None]) -> list[Row]:
        entries = [*self._limits(), *self._peers()]
        for repeat in range(self.setting.repeats):
            for row, run in entries:
                if row.silent or row.contender in self.tired:
                    continue
                say(f"{row.case} {row.rows:,} x {row.columns:,}, {row.contender}, {repeat + 1}")
                _attempt(row, run)
                slow = row.seconds and row.seconds[-1] > self.setting.patience
                if slow and row.contender != OURS:
                    self.tired.add(row.contender)
        return [row for row, _ in entries]

    def _row(self, contender: str, note: str = "") -> Row:
        log = self.setting.log
        if contender in self.tired:
            note = f"skipped: took longer than {self.setting.patience:g} s at a smaller size"
        case, statistic = self.setting.case, self.setting.statistic
        return Row(case, statistic, log.rows, log.columns, self.workers, contender, note=note)

    def _limits(self) -> list[Entry]:
        return [
            Entry(row := self._row(name), partial(self._limit, row, limit))
            for name, limit in LIMITS[self.setting.statistic].items()
        ]

    def _limit(self, row: Row, limit: Callable[[Client, Log, Path], float]) -> None:
        row.seconds.append(limit(self.client, self.setting.log, self.path))

    def _peers(self) -> list[Entry]:
        entries = []
        for module, peer in find_peers().items():
            wanted = not self.setting.only or module in self.setting.only
            if not wanted or self.setting.statistic not in peer.statistics:
                continue
            reason = peer.refuses(self.setting.log)
            row = self._row(peer.name, f"skipped: {reason}" if reason else "")
            entries.append(Entry(row, partial(self._peer, row, module, peer)))
            if not row.note and not peer.alone:
                _attempt(row, partial(self._warm, peer))
        return entries

    def _warm(self, peer: Peer) -> None:
        # The first run in a worker imports what the contender needs: that is not its speed.
        small = Log(_WARM_ROWS, 4, step_rows=_WARM_ROWS // 2, halves=self.setting.log.halves)
        peer.statistics[self.setting.statistic](make(small, self.setting.scratch))

    def _peer(self, row: Row, module: str, peer: Peer) -> None:
        tidy(self.client)
        if peer.alone:
            seconds, watch = run_alone(module, self.setting.statistic, self.path, self.result, self.workers)
            array = np.load(self.result, mmap_mode="r")
        else:
            with Watch() as watch:
                start = time.perf_counter()
                array = np.asarray(peer.statistics[self.setting.statistic](self.path))
                seconds = time.perf_counter() - start
        row.seconds.append(seconds)
        row.tree_bytes = max(row.tree_bytes, watch.tree)
        row.worker_bytes = max(row.worker_bytes, watch.largest)
        self._check(row, array, peer.tolerance)

    def _check(self, row: Row, array: np.ndarray, tolerance: float) -> None:
        row.allowed = tolerance
        if not self.reference.exists():
            # On disk, or the next contenders' client would hold it.
            if tolerance <= EXACT:
                np.save(self.reference, array)
            return
        reference = np.load(self.reference, mmap_mode="r")
        halves = np.split(deviations(row.columns), 2) if row.statistic == "cross" else None
        row.error = max(row.error or 0.0, _difference(array, reference, halves))
        if row.wrong:
            row.note = f"WRONG: differs by {row.error:.1e} of sigma_i sigma_j, {tolerance:.0e} is allowed"


def _attempt(row: Row, run: Callable[[], None]) -> None:
    try:
        run()
    except Skipped as reason:
        row.note = f"skipped: {reason}"
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        kind = "failed" if row.contender == OURS else "skipped"
        row.note = f"{kind}: {type(error).__name__}: {first}"


def _difference(array: np.ndarray, reference: np.ndarray, spreads: Sequence[np.ndarray] | None) -> float:
    """Return the largest, relative to the rows' and columns' spreads; by default those on the diagonal."""
    if array.shape != reference.shape:
        return np.inf
    if array.ndim == 1:
        return float(np.max(np.abs(array - reference) / reference))
    down, across = spreads or [np.sqrt(np.diagonal(reference))] * 2
    tall = max(1, 2**22 // len(across))
    parts = [slice(i, i + tall) for i in range(0, len(down), tall)]
    scaled = (np.abs(array[part] - reference[part]) / np.outer(down[part], across) for part in parts)
    return max(float(np.max(part)) for part in scaled)

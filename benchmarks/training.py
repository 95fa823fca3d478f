"""What hooks cost a step of training, ``python -m benchmarks.training``: a small conv net and a small transformer.

Needs torch. Short rounds of steps without hooks, with them, with hooks that only copy every activation to memory that
is used again, and beside a thread that only writes as many bytes to files, take turns, on one thread of torch, so that
the recorder's thread has a core of its own where there are two. Of each the median step counts; times of the processor
are what other work on the machine changes least.

glibc gives the end of its heap back to the system when a step has freed enough there, and takes it anew in the next: as
chance places what lives longer, a step has none or 6,000 page faults of it, 0 to 3 ms, with hooks and without. Here the
heap is kept, so that both have none.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch
from torch import nn

import covdist
import covdist.record.torch
from covdist.record.chunks import chunk_memory
from covdist.storage.pages import Pages, up_to_page
from covdist.storage.place import Folder

ROUNDS, STEPS, FIRST = 5, 12, 8  # the first steps, not timed, are those in which a watch and chunks get their memory
FILE = 4 << 20  # bytes
WHAT = ("activation", "gradient")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 4, batch_first=True)
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.down(self.act(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, width: int = 128, blocks: int = 4):
        super().__init__()
        self.embed, self.head = nn.Embedding(64, width), nn.Linear(width, 64)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x).transpose(1, 2)


class ConvNet(nn.Sequential):
    def __init__(self, widths: tuple[int, ...] = (3, 32, 64, 128, 128)):
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            conv = nn.Conv2d(before, after, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(4 * widths[-1], 10))


class Case(NamedTuple):
    """A network with its batch, and what of it is recorded."""

    name: str
    model: type[nn.Module]
    batch: tuple[torch.Tensor, torch.Tensor]
    settings: dict[str, Any]
    options: dict[str, Any]  # of the recorder


IMAGES = torch.randn(32, 3, 32, 32), torch.randint(10, (32,))
TOKENS = torch.randint(64, (16, 32)), torch.randint(64, (16, 32))
CASES = [
    case
    for name, model, batch in (("conv net", ConvNet, IMAGES), ("transformer", Transformer, TOKENS))
    for case in (
        Case(f"{name}, activations and gradients of all layers", model, batch, {"what": WHAT}, {}),
        Case(f"{name}, the same in float16", model, batch, {"what": WHAT}, {"dtype": "float16"}),
        Case(f"{name}, the same of every 10th step", model, batch, {"what": WHAT, "every": 10}, {}),
        Case(f"{name}, gradients", model, batch, {"what": ("gradient",)}, {}),
    )
]


class Times(NamedTuple):
    """Seconds of some steps: of the clock, of the training thread's computing, of all threads'."""

    wall: float
    thread: float
    process: float

    @classmethod
    def now(cls) -> Times:
        return cls(time.perf_counter(), time.thread_time(), time.process_time())

    def since(self, start: Times) -> Times:
        return Times(*(a - b for a, b in zip(self, start, strict=True)))


class Copying:
    """Copies the first tensor that each layer returns, as it lies: what any hook costs that copies."""

    def __init__(self, model: nn.Module):
        self._memory: dict[nn.Module, torch.Tensor] = {}
        layers = [each for each in model.modules() if not next(each.children(), None)]
        self._handles = [each.register_forward_hook(self._copy) for each in layers]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _copy(self, module: nn.Module, given: Any, found: torch.Tensor) -> None:
        if module not in self._memory:
            self._memory[module] = torch.empty_like(found.detach())
        self._memory[module].copy_(found.detach())


class Writing:
    """A thread that writes bytes of a step to files past the system's cache: what any thread costs that does so."""

    def __init__(self, path: Path, nbytes: int):
        self._place, self._numbers, self._asked = Folder(str(path)), itertools.count(), SimpleQueue[bool]()
        self._files = max(1, round(nbytes / FILE))
        size = up_to_page(nbytes // self._files)
        self._data = [Pages(chunk_memory(size)[:size].data, size) for _ in range(3 * self._files)]
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def step(self) -> None:
        self._asked.put(True)

    def end(self) -> None:
        self._asked.put(False)
        self._thread.join()

    def _work(self) -> None:
        while self._asked.get():
            for number in itertools.islice(self._numbers, self._files):
                self._place.add(str(number), self._data[number % len(self._data)])


def train(
    model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], after: Callable[[], object] = lambda: None
) -> Times:
    """Take some steps, and return the times of the median one."""
    optimizer, found = torch.optim.SGD(model.parameters(), 0.01), []
    for _ in range(FIRST + STEPS):
        start = Times.now()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
        after()
        found.append(Times.now().since(start))
    return Times(*map(statistics.median, zip(*found[FIRST:], strict=True)))


def measure(case: Case, path: Path) -> str:
    """Return some lines of results, and leave the log."""
    torch.manual_seed(0)
    model, plain, hooked, copied, written = case.model(), [], [], [], []
    train(model, case.batch)
    recorder, data = covdist.Recorder(path, **case.options), 0
    for number in range(ROUNDS):
        plain.append(train(model, case.batch))
        with covdist.record.torch.watch(model, recorder, **case.settings) as watch:
            hooked.append(train(model, case.batch, partial(watch.step, epoch=0)))
        if not data:
            recorder.flush()
            data = _bytes_of(path) // (FIRST + STEPS)  # of a step
        copying = Copying(model)
        copied.append(train(model, case.batch))
        copying.remove()
        writing = Writing(path.with_name(f"{path.name}.{number}"), data)
        written.append(train(model, case.batch, writing.step))
        writing.end()
    start = time.perf_counter()
    recorder.close()
    closing = time.perf_counter() - start
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    step = statistics.median(each.thread for each in plain)
    more, copies, writes = (_more(each, plain) for each in (hooked, copied, written))
    return (
        f"{case.name}: {data / 1e6:.2f} MB beside a step of {step * 1e3:.1f} ms, load {os.getloadavg()[0]:.0f}\n"
        f"  training thread {more.thread:+.1%}, all threads {more.process:+.1%}, clock {more.wall:+.1%}; copying alone "
        f"{copies.wall:+.1%}, writing alone {writes.wall:+.1%}; closing {closing:.2f} s, disk "
        f"{disk / _bytes_of(path):.3f} of the data"
    )


def _bytes_of(path: Path) -> int:
    return sum(array.nbytes for node in covdist.open_log(path).subtree for array in node.data_vars.values())


def _more(times: list[Times], plain: list[Times]) -> Times:
    """Return the median over rounds of what steps take more."""
    rounds = [[a / b - 1 for a, b in zip(*pair, strict=True)] for pair in zip(times, plain, strict=True)]
    return Times(*map(statistics.median, zip(*rounds, strict=True)))


def prepare() -> None:
    """Take one thread of torch, and have malloc leave memory to the process that has been freed."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 25)


if __name__ == "__main__":
    # All logs go at the end: on file systems without a journal, files that go make those to come slower for minutes.
    # A process for each case, since memory that one has kept is not where the next would have it.
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn"), prepare, max_tasks_per_child=1) as process,
    ):
        paths = [Path(folder, f"{number}.zarr") for number in range(len(CASES))]
        for lines in process.map(measure, CASES, paths):
            print(lines, flush=True)
